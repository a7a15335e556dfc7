//! White space in vocabularies that were trained on text without: spelled out, by tokens.

/// The token of a line break, and that of a tab.
const BREAK: &str = "<n>";
const TAB: &str = "<|tab|>";

/// Line breaks, tabs and runs of spaces have tokens of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WhiteSpace {
    /// How many spaces the longest token of a run is. A longer run is several of them.
    pub longest: usize,
}

impl WhiteSpace {
    /// `text` with its white space as tokens; a single space stays one.
    pub fn spell(self, text: &str) -> String {
        let mut spelled = String::with_capacity(text.len());
        let mut spaces = 0;
        for character in text.chars() {
            if character == ' ' {
                spaces += 1;
                continue;
            }
            self.spell_run(std::mem::take(&mut spaces), &mut spelled);
            match character {
                '\n' => spelled += BREAK,
                '\t' => spelled += TAB,
                other => spelled.push(other),
            }
        }
        self.spell_run(spaces, &mut spelled);
        spelled
    }

    fn spell_run(self, mut spaces: usize, spelled: &mut String) {
        while spaces > 1 {
            let run = spaces.min(self.longest);
            *spelled += &blank(run);
            spaces -= run;
        }
        if spaces == 1 {
            spelled.push(' ');
        }
    }

    /// Every such token with the text it stands for: the line break, the tab, then runs of two
    /// spaces and more.
    pub fn tokens(self) -> impl Iterator<Item = (String, String)> {
        let fixed = [(BREAK.to_owned(), "\n".to_owned()), (TAB.to_owned(), "\t".to_owned())];
        fixed.into_iter().chain((2..=self.longest).map(|run| (blank(run), " ".repeat(run))))
    }
}

fn blank(spaces: usize) -> String {
    format!("<|blank_{spaces}|>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_spaces_are_the_longest_tokens_first_and_one_space_stays() {
        let spell = |text: &str| WhiteSpace { longest: 4 }.spell(text);
        assert_eq!(spell("a b  c\n\t d"), "a b<|blank_2|>c<n><|tab|> d");
        assert_eq!(spell(&" ".repeat(9)), "<|blank_4|><|blank_4|> ");
        assert_eq!(spell(&" ".repeat(6)), "<|blank_4|><|blank_2|>");
        assert_eq!(spell("  "), "<|blank_2|>");
        assert_eq!(WhiteSpace { longest: 80 }.tokens().count(), 81);
    }
}
