//! GBNF, the grammars of llama.cpp, as Lark.
//!
//! Characters stay characters: no terminals are made of repetitions, which would take the longest
//! match where GBNF takes any.

use super::error::GrammarError;
use super::limits;
use super::source::quoted;
use std::collections::HashMap;
use std::fmt::Write as _;

const KIND: &str = "GBNF";

/// The Lark of a GBNF grammar, whose rule `root` is the whole.
///
/// # Errors
/// What is malformed or has no counterpart, with its line.
pub(super) fn to_lark(grammar: &str) -> Result<String, GrammarError> {
    let mut reader = Reader { rest: grammar, line: 1, depth: 0, rules: HashMap::new() };
    let mut lark = String::new();
    let mut defined = Vec::new();
    reader.skip(true);
    while !reader.rest.is_empty() {
        let line = reader.line;
        let name = reader.name()?.to_owned();
        reader.skip(false);
        if !reader.takes("::=") {
            return Err(reader.fault(&format!("wanted `::=` after `{name}`")));
        }
        reader.skip(true);
        let body = reader.alternatives()?;
        if !reader.rest.is_empty() && !reader.rest.starts_with(['\n', '\r']) {
            return Err(reader.fault("wanted the end of the rule"));
        }
        let rule = reader.rule(&name, line);
        if defined.contains(&rule) {
            return Err(GrammarError::syntax(KIND, line, format!("`{name}` is defined again")));
        }
        let _ = writeln!(lark, "{rule}: {body}");
        defined.push(rule);
        reader.skip(true);
    }
    let mut used: Vec<_> = reader.rules.into_iter().collect();
    used.sort_by_key(|(_, (_, line))| *line);
    if let Some((name, (_, line))) = used.iter().find(|(_, (rule, _))| !defined.contains(rule)) {
        return Err(GrammarError::syntax(KIND, *line, format!("`{name}` is no rule")));
    }
    match defined.iter().any(|rule| rule == "start") {
        true => Ok(lark),
        false => Err(GrammarError::syntax(KIND, 1, "there is no rule `root`")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    depth: usize,
    /// What a rule is called in Lark, and the line where it is first named.
    rules: HashMap<String, (String, usize)>,
}

impl<'a> Reader<'a> {
    fn fault(&self, fault: &str) -> GrammarError {
        let found: String = self.rest.lines().next().unwrap_or("").chars().take(20).collect();
        let found = if found.is_empty() { "the end of the line".to_owned() } else { found };
        GrammarError::syntax(KIND, self.line, format!("{fault}, found {found:?}"))
    }

    fn takes(&mut self, text: &str) -> bool {
        let after = self.rest.strip_prefix(text);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.line += usize::from(c == '\n');
        Some(c)
    }

    /// White space and comments; where `lines`, the ends of lines too.
    fn skip(&mut self, lines: bool) {
        while let Some(c) = self.rest.chars().next() {
            match c {
                ' ' | '\t' => {}
                '\r' | '\n' if lines => {}
                '#' => {
                    let end = self.rest.find(['\r', '\n']).unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                    continue;
                }
                _ => return,
            }
            self.next();
        }
    }

    fn name(&mut self) -> Result<&'a str, GrammarError> {
        let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let end = self.rest.find(|c| !goes_on(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.fault("wanted the name of a rule"));
        }
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(name)
    }

    fn rule(&mut self, name: &str, line: usize) -> String {
        if name == "root" {
            return "start".to_owned();
        }
        let fresh = format!("g{}", self.rules.len());
        self.rules.entry(name.to_owned()).or_insert((fresh, line)).0.clone()
    }

    /// Up to the end of the rule or the group.
    fn alternatives(&mut self) -> Result<String, GrammarError> {
        let mut all = vec![self.sequence()?];
        loop {
            // A line that begins with a bar goes on with the rule before it.
            let (rest, line) = (self.rest, self.line);
            self.skip(true);
            if !self.takes("|") {
                (self.rest, self.line) = (rest, line);
                return Ok(all.join(" | "));
            }
            self.skip(true);
            all.push(self.sequence()?);
        }
    }

    fn sequence(&mut self) -> Result<String, GrammarError> {
        let nested = self.depth > 0;
        let mut all: Vec<String> = Vec::new();
        while let Some(c) = self.rest.chars().next() {
            let item = match c {
                '"' => self.literal()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '.' => {
                    self.next();
                    "/(?s:.)/".to_owned()
                }
                '<' | '!' => {
                    let fault = "tokens are not named in GBNF here (hint: Lark can name them)";
                    return Err(self.fault(fault));
                }
                '*' | '+' | '?' | '{' => {
                    return Err(self.fault("wanted something before the repetition"));
                }
                c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => {
                    let line = self.line;
                    let name = self.name()?;
                    self.rule(name, line)
                }
                _ => break,
            };
            self.skip(nested);
            let item = self.repeated(item)?;
            self.skip(nested);
            all.push(item);
        }
        // Nothing at all is an alternative too.
        Ok(if all.is_empty() { "\"\"".to_owned() } else { all.join(" ") })
    }

    fn group(&mut self) -> Result<String, GrammarError> {
        self.next();
        self.depth += 1;
        if self.depth > limits::DEPTH {
            return Err(self.fault(&format!("more than {} groups are open", limits::DEPTH)));
        }
        self.skip(true);
        let inside = self.alternatives()?;
        self.skip(true);
        if !self.takes(")") {
            return Err(self.fault("wanted `)`"));
        }
        self.depth -= 1;
        Ok(format!("({inside})"))
    }

    fn repeated(&mut self, item: String) -> Result<String, GrammarError> {
        let mut item = item;
        loop {
            let sign = match self.rest.chars().next() {
                Some(c @ ('*' | '+' | '?')) => {
                    self.next();
                    c.to_string()
                }
                Some('{') => self.bounds()?,
                _ => return Ok(item),
            };
            item = match item.ends_with(['*', '+', '?', '}']) {
                true => format!("({item}){sign}"),
                false => item + &sign,
            };
            self.skip(self.depth > 0);
        }
    }

    /// `{2}`, `{2,}` or `{2,3}`.
    fn bounds(&mut self) -> Result<String, GrammarError> {
        self.next();
        let end = self.rest.find('}').filter(|end| *end <= 24);
        let Some(end) = end else { return Err(self.fault("wanted `}`")) };
        let inside: String = self.rest[..end].chars().filter(|c| !c.is_whitespace()).collect();
        let (least, most) = inside.split_once(',').unwrap_or((&inside, &inside));
        let number = |text: &str| text.parse::<u32>().ok();
        let bounds = match (number(least), number(most)) {
            (Some(least), Some(most)) if least <= most => format!("{{{least},{most}}}"),
            (Some(least), None) if most.is_empty() => format!("{{{least},}}"),
            _ => return Err(self.fault("wanted `{n}`, `{n,}` or `{n,m}`")),
        };
        self.rest = &self.rest[end + 1..];
        Ok(bounds)
    }

    fn literal(&mut self) -> Result<String, GrammarError> {
        self.next();
        let mut text = String::new();
        loop {
            match self.rest.chars().next() {
                Some('"') => {
                    self.next();
                    return Ok(quoted(&text));
                }
                None | Some('\n') => return Err(self.fault("wanted `\"` at the end of a text")),
                Some(_) => text.push(self.character()?),
            }
        }
    }

    /// One character, or what a backslash and what follows it stand for.
    fn character(&mut self) -> Result<char, GrammarError> {
        let wrong = "wanted an escape such as `\\n`, `\\\\`, `\\x41` or `\\u5317`";
        let Some(c) = self.next() else { return Err(self.fault("wanted a character")) };
        if c != '\\' {
            return Ok(c);
        }
        let digits = match self.next() {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some('n') => return Ok('\n'),
            Some('t') => return Ok('\t'),
            Some('r') => return Ok('\r'),
            Some(c @ ('\\' | '"' | '[' | ']' | '-' | '^' | '/')) => return Ok(c),
            _ => return Err(self.fault(wrong)),
        };
        let code = self.rest.get(..digits).and_then(|code| u32::from_str_radix(code, 16).ok());
        let found = code.and_then(char::from_u32).ok_or_else(|| self.fault(wrong))?;
        self.rest = &self.rest[digits..];
        Ok(found)
    }

    fn class(&mut self) -> Result<String, GrammarError> {
        self.next();
        let mut class = String::from(if self.takes("^") { "[^" } else { "[" });
        let opening = class.len();
        let code = |c: char| format!("\\x{{{:x}}}", u32::from(c));
        loop {
            match self.rest.chars().next() {
                Some(']') => break,
                None | Some('\n') => return Err(self.fault("wanted `]`")),
                Some(_) => {}
            }
            let first = self.character()?;
            class += &code(first);
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.next();
                let last = self.character()?;
                if last < first {
                    return Err(self.fault(&format!("{first:?} comes after {last:?}")));
                }
                class += &format!("-{}", code(last));
            }
        }
        self.next();
        match class.len() == opening {
            // No character at all, or any.
            true if opening == 1 => Err(self.fault("wanted a character between `[` and `]`")),
            true => Ok("/(?s:.)/".to_owned()),
            false => Ok(format!("/{class}]/")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rules_become_rules() {
        let lark = to_lark(
            "# a list\nroot ::= \"[\" ( item (\",\" ws item)* )? \"]\"\n\
             item ::= [0-9a-fA-F]{1,3} | \"\\\"\" [^\"\\\\\\x00-\\x1f]* \"\\\"\"\n  | yes-no\n\
             yes-no ::= (\"yes\" |\n \"no\") .\nws ::= | \" \" ws\n",
        );
        let wanted = "start: \"[\" (g0 (\",\" g1 g0)*)? \"]\"\n\
             g0: /[\\x{30}-\\x{39}\\x{61}-\\x{66}\\x{41}-\\x{46}]/{1,3} | \
             \"\\\"\" /[^\\x{22}\\x{5c}\\x{0}-\\x{1f}]/* \"\\\"\" | g2\n\
             g2: (\"yes\" | \"no\") /(?s:.)/\ng1: \"\" | \" \" g1\n";
        assert_eq!(lark.unwrap(), wanted);
    }

    #[test]
    fn faults_have_lines() {
        for (grammar, place) in [
            ("root ::= \"a", "GBNF, line 1: wanted `\"`"),
            ("root ::= a\n", "GBNF, line 1: `a` is no rule"),
            ("\n\nroot = \"a\"", "GBNF, line 3: wanted `::=`"),
            ("root ::= (\"a\"\n", "GBNF, line 2: wanted `)`"),
            ("root ::= \"a\"\nroot ::= \"b\"", "GBNF, line 2: `root` is defined again"),
            ("item ::= \"a\"", "GBNF, line 1: there is no rule `root`"),
            ("root ::= [z-a]", "GBNF, line 1: 'z' comes after 'a'"),
            ("root ::= \"a\"{3,1}", "GBNF, line 1: wanted `{n}`"),
            ("root ::= <[5]>", "GBNF, line 1: tokens are not named"),
            ("root ::= * \"a\"", "GBNF, line 1: wanted something"),
            ("root ::= \"\\q\"", "GBNF, line 1: wanted an escape"),
        ] {
            let error = to_lark(grammar).unwrap_err().to_string();
            assert!(error.starts_with(place), "{error}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in "[a-z:= |()\\[\\]{}\"\\\\\\n*+?.^#,0-9-]{0,60}") {
            let _ = to_lark(&format!("root ::= {text}"));
            let _ = to_lark(&text);
        }
    }
}
