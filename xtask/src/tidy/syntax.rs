//! Checks on the parsed file: sizes of functions and pages, attributes, macros, keywords.

use super::{Finding, Source};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, File, ImplItemFn, Item, ItemConst, ItemFn, TraitItemFn, Type};

const FUNCTION_LINES_MAX: usize = 70;
const PAGE_LINES_MAX: usize = 200;

/// Where `unsafe` may stand: the arithmetic, and the file that maps files into memory.
const UNSAFE_ALLOWED: &[&str] = &["crates/kernels/", "crates/weights/src/os.rs"];

/// Where `async` may stand: nothing below the server waits for a network.
const ASYNC_ALLOWED: &[&str] = &["crates/server/", "crates/baimo/"];

pub(super) fn check(source: &Source, file: &File) -> Vec<Finding> {
    let mut sizes = Sizes { source, findings: Vec::new() };
    sizes.visit_file(file);
    let mut findings = sizes.findings;
    let tokens: TokenStream = source.text.parse().expect("the file was parsed before");
    check_tokens(source, tokens, &mut findings);
    findings
}

/// Whether an item is compiled for tests only.
pub(super) fn is_test_only(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

struct Sizes<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
}

impl Sizes<'_> {
    fn function(&mut self, name: &syn::Ident, first: usize, last: usize) {
        let count = last + 1 - first;
        if count > FUNCTION_LINES_MAX {
            let message = format!("`{name}` has {count} lines, at most {FUNCTION_LINES_MAX}");
            self.findings.push(self.source.finding(first, message));
        }
    }
}

impl<'ast> Visit<'ast> for Sizes<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let (first, last) = (item.sig.span().start().line, item.block.span().end().line);
        self.function(&item.sig.ident, first, last);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        let (first, last) = (item.sig.span().start().line, item.block.span().end().line);
        self.function(&item.sig.ident, first, last);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.function(&item.sig.ident, item.span().start().line, item.span().end().line);
        visit::visit_trait_item_fn(self, item);
    }

    /// A page is a file that defines a `Lab`: it must fit a short sitting.
    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        let Type::Path(path) = &*item.ty else { return };
        let is_page = self.source.path.starts_with("crates/labs/src/")
            && path.path.segments.last().is_some_and(|segment| segment.ident == "Lab");
        let count = self.source.text.lines().count();
        if is_page && count > PAGE_LINES_MAX {
            let message = format!("a page of {count} lines, at most {PAGE_LINES_MAX}");
            self.findings.push(self.source.finding(item.span().start().line, message));
        }
    }
}

/// Walks all tokens, those inside macros too, which a visitor of the syntax tree does not see.
fn check_tokens(source: &Source, tokens: TokenStream, findings: &mut Vec<Finding>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, tree) in trees.iter().enumerate() {
        let line = tree.span().start().line;
        let next = trees.get(index + 1);
        match tree {
            TokenTree::Ident(word) => {
                let called = matches!(next, Some(TokenTree::Punct(p)) if p.as_char() == '!');
                if let Some(message) = check_word(source, &word.to_string(), called) {
                    findings.push(source.finding(line, message));
                }
            }
            TokenTree::Punct(hash) if hash.as_char() == '#' => {
                let inner = matches!(next, Some(TokenTree::Punct(p)) if p.as_char() == '!');
                let attribute = trees.get(index + 1 + usize::from(inner));
                if let Some(message) = attribute.and_then(check_attribute) {
                    findings.push(source.finding(line, message));
                }
            }
            TokenTree::Group(group) => check_tokens(source, group.stream(), findings),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn check_word(source: &Source, word: &str, called: bool) -> Option<String> {
    let allowed = |places: &[&str]| places.iter().any(|place| source.path.starts_with(place));
    match word {
        "todo" | "unimplemented" | "dbg" if called => Some(format!("`{word}!` is unfinished work")),
        "unsafe" if !allowed(UNSAFE_ALLOWED) => {
            Some(format!("`unsafe` may stand only in {UNSAFE_ALLOWED:?}"))
        }
        "async" if !allowed(ASYNC_ALLOWED) => {
            Some(format!("`async` may stand only in {ASYNC_ALLOWED:?}"))
        }
        _ => None,
    }
}

/// `attribute` is the bracketed group after `#` or `#!`.
fn check_attribute(attribute: &TokenTree) -> Option<String> {
    let TokenTree::Group(group) = attribute else { return None };
    if group.delimiter() != Delimiter::Bracket {
        return None;
    }
    let mut inside = group.stream().into_iter();
    let Some(TokenTree::Ident(name)) = inside.next() else { return None };
    match name.to_string().as_str() {
        "ignore" => Some("an ignored test is no test: make it quick, or drop it".into()),
        name @ ("allow" | "expect") => {
            let has_reason = inside.next().is_some_and(|list| list.to_string().contains("reason"));
            (!has_reason).then(|| format!("`#[{name}(..)]` without `reason = \"..\"`"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let source = Source { path: path.into(), text: text.into() };
        let file = syn::parse_file(text).expect("the sample parses");
        check(&source, &file).iter().map(ToString::to_string).collect()
    }

    fn count(text: &str) -> usize {
        messages("crates/engine/src/x.rs", text).len()
    }

    #[test]
    fn a_function_of_70_lines_passes_and_one_of_71_does_not() {
        let function = |lines: usize| format!("fn long() {{\n{}}}\n", "g();\n".repeat(lines - 2));
        assert_eq!(count(&function(70)), 0);
        assert_eq!(count(&function(71)), 1);
        assert_eq!(count(&format!("impl A {{ {} }}", function(71))), 1);
        assert_eq!(count(&format!("trait A {{ {} }}", function(71))), 1);
        assert_eq!(count(&format!("mod a {{ fn b() {{ {} }} }}", function(71))), 2);
    }

    #[test]
    fn doc_comments_do_not_make_a_function_longer() {
        let body = "g();\n".repeat(60);
        assert_eq!(count(&format!("{}fn f() {{\n{body}}}\n", "/// doc\n".repeat(30))), 0);
    }

    #[test]
    fn a_page_has_at_most_200_lines_and_other_files_of_labs_more() {
        let rows = "// row\n".repeat(200);
        let page = format!("pub const LAB: Lab = Lab {{}};\n{rows}");
        assert_eq!(messages("crates/labs/src/qwen.rs", &page).len(), 1);
        assert_eq!(messages("crates/labs/src/config.rs", &rows).len(), 0);
        assert_eq!(count(&page), 0);
    }

    #[test]
    fn an_attribute_needs_its_reason() {
        assert_eq!(count("#[allow(dead_code)] fn f() {}"), 1);
        assert_eq!(count("#![allow(dead_code)] fn f() {}"), 1);
        assert_eq!(count("#[allow(dead_code, reason = \"called by C\")] fn f() {}"), 0);
        assert_eq!(count("#[expect(dead_code)] fn f() {}"), 1);
        assert_eq!(count("m! { #[allow(unused)] fn f() {} }"), 1);
        assert_eq!(count("fn f() { allow(dead_code) }"), 0);
    }

    #[test]
    fn ignored_tests_and_unfinished_macros_are_found() {
        assert_eq!(count("#[test] #[ignore] fn f() {}"), 1);
        assert_eq!(count("#[test] #[ignore = \"slow\"] fn f() {}"), 1);
        assert_eq!(count("fn f() { todo!() }"), 1);
        assert_eq!(count("fn f() { vec![unimplemented!(\"x\")] }"), 1);
        assert_eq!(count("fn todo() { ignore() }"), 0);
    }

    #[test]
    fn unsafe_stands_in_two_places_only() {
        let text = "fn f() { unsafe { g() } }";
        assert_eq!(count(text), 1);
        assert_eq!(messages("crates/weights/src/lib.rs", text).len(), 1);
        assert_eq!(messages("crates/weights/src/os.rs", text).len(), 0);
        assert_eq!(messages("crates/kernels/src/matmul/avx2.rs", text).len(), 0);
        assert_eq!(count("/// unsafe, says the doc\nfn f() { g(\"unsafe\") } // unsafe"), 0);
    }

    #[test]
    fn nothing_below_the_server_is_async() {
        let text = "async fn f() {}";
        assert_eq!(count(text), 1);
        assert_eq!(messages("crates/server/src/lib.rs", text).len(), 0);
    }

    #[test]
    fn test_only_items_are_known() {
        let test_only = |text: &str| is_test_only(&syn::parse_str(text).expect("an item"));
        assert!(test_only("#[cfg(test)] mod tests {}"));
        assert!(test_only("#[test] fn f() {}"));
        assert!(!test_only("#[cfg(unix)] mod unix {}"));
        assert!(!test_only("#[cfg(not(test))] fn f() {}"));
    }
}
