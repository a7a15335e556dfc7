//! No lab's name outside `labs/`: a branch on a name is a page that lies in the wrong place.

use super::{Finding, Source, syntax};
use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::{File, Item};

/// Names of labs and of their models, in lower case. `#` stands for a digit.
const NAMES: &[&str] = &[
    "baichuan",
    "bailing",
    "chatglm",
    "deepseek",
    "dots1",
    "ernie",
    "glm#",
    "hunyuan",
    "internlm",
    "kimi",
    "longcat",
    "mimo_",
    "minicpm",
    "minimax",
    "moonlight",
    "moonshot",
    "pangu",
    "qwen",
    "smollm",
    "stepfun",
];

/// Files whose data are such names, each with the reason.
const EXEMPT: &[(&str, &str)] = &[
    (
        "crates/baimo/src/args/examples.rs",
        "examples of a command line that can be typed as they stand name models that exist",
    ),
    (
        "crates/text/src/patterns.rs",
        "GGUF files name their pre-tokenizer after the model that brought it: the ids are data",
    ),
    (
        "crates/text/src/source/filling.rs",
        "tokenizer_config.json names a Python class after its model: the name is data",
    ),
    (
        "crates/text/src/source/ranks.rs",
        "tokenizer_config.json names a Python class after its model: the names are data",
    ),
];

pub(super) fn check(source: &Source, file: &File) -> Vec<Finding> {
    let is_checked = source.crate_folder().is_some_and(|folder| folder != "labs")
        && source.path.contains("/src/")
        && !source.path.ends_with("/tests.rs")
        && !EXEMPT.iter().any(|(path, _)| source.path == *path);
    if !is_checked {
        return Vec::new();
    }
    // Tests are about real files, and say which: a name there decides nothing.
    let tests: Vec<_> = file
        .items
        .iter()
        .filter(|item| syntax::is_test_only(item))
        .map(|item: &Item| item.span().start().line..=item.span().end().line)
        .collect();
    let mut findings = Vec::new();
    let tokens = source.text.parse().expect("the file was parsed before");
    visit(tokens, &mut |word, line| {
        let Some(name) = name_in(word).filter(|_| !tests.iter().any(|t| t.contains(&line))) else {
            return;
        };
        let message = format!("`{name}` in {word}: what is special to a lab stands on its page");
        findings.push(source.finding(line, message));
    });
    findings
}

/// Calls `found` for every identifier and literal; comments, also those for documentation, are
/// passed over.
fn visit(tokens: TokenStream, found: &mut dyn FnMut(&str, usize)) {
    let mut trees = tokens.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(word) => found(&word.to_string(), line),
            TokenTree::Literal(literal) => found(&literal.to_string(), line),
            TokenTree::Group(group) => visit(group.stream(), found),
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                // `/// x` arrives as `#[doc = "x"]`, `//! x` as `#![doc = "x"]`.
                trees.next_if(|next| matches!(next, TokenTree::Punct(p) if p.as_char() == '!'));
                trees.next_if(is_documentation);
            }
            TokenTree::Punct(_) => {}
        }
    }
}

fn is_documentation(tree: &TokenTree) -> bool {
    let TokenTree::Group(group) = tree else { return false };
    let first = group.stream().into_iter().next();
    matches!(first, Some(TokenTree::Ident(word)) if word == "doc")
}

/// The first lab's name in `text` that starts a word (after a non-letter, or at a capital).
fn name_in(text: &str) -> Option<&'static str> {
    NAMES.iter().copied().find(|name| {
        let (stem, digit) = match name.strip_suffix('#') {
            Some(stem) => (stem, true),
            None => (*name, false),
        };
        let lower = text.to_ascii_lowercase();
        lower.match_indices(stem).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let starts = !before.is_some_and(|c| c.is_ascii_alphabetic())
                || text[at..].starts_with(|c: char| c.is_ascii_uppercase());
            let after = text[at + stem.len()..].chars().next();
            starts && (!digit || after.is_some_and(|c| c.is_ascii_digit()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        let source = Source { path: path.into(), text: text.into() };
        let file = syn::parse_file(text).expect("the sample parses");
        check(&source, &file).len()
    }

    fn in_model(text: &str) -> usize {
        count("crates/model/src/x.rs", text)
    }

    #[test]
    fn a_lab_name_in_code_is_found() {
        assert_eq!(in_model("fn f() { if arch == \"qwen3\" {} }"), 1);
        assert_eq!(in_model("struct DeepSeekV3;"), 1);
        assert_eq!(in_model("fn glm4_rope() {}"), 1);
        assert_eq!(in_model("fn f() { g!(kimi_k2) }"), 1);
        assert_eq!(in_model("struct MyErnie;"), 1);
    }

    #[test]
    fn a_lab_name_in_a_comment_may_cite_a_source() {
        assert_eq!(in_model("//! DeepSeek-V2, section 2.1.\n/// as Qwen3 has it\nfn f() {}"), 0);
        assert_eq!(in_model("fn f() { // GLM-4 rotates half\n g() /* kimi */ }"), 0);
    }

    #[test]
    fn other_words_pass() {
        assert_eq!(in_model("fn f() { let hibernied = \"llama\"; glm(); minimum(); }"), 0);
    }

    #[test]
    fn labs_tests_and_exempt_files_may_name_them() {
        let text = "fn qwen() {}";
        assert_eq!(count("crates/labs/src/qwen.rs", text), 0);
        assert_eq!(count("crates/text/tests/tokens.rs", text), 0);
        assert_eq!(count("tests/golden.rs", text), 0);
        assert_eq!(in_model("#[cfg(test)]\nmod tests {\n fn qwen() {}\n}"), 0);
        for (path, _) in EXEMPT {
            assert_eq!(count(path, text), 0);
        }
    }
}
