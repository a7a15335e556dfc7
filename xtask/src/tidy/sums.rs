//! A `match` on the blueprint's vocabulary lists every case, so that a new block stops the build.

use super::{Finding, Source};
use std::collections::BTreeSet;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, ExprMatch, File, Item, ItemEnum, ItemImpl, Pat, Path, Type};

/// The enums that `file` defines.
pub(super) fn enums_of(file: &File) -> Vec<String> {
    #[derive(Default)]
    struct Enums(Vec<String>);
    impl<'ast> Visit<'ast> for Enums {
        fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
            self.0.push(item.ident.to_string());
        }
    }
    let mut enums = Enums::default();
    enums.visit_file(file);
    enums.0
}

pub(super) fn check(source: &Source, file: &File, closed: &BTreeSet<String>) -> Vec<Finding> {
    let mut matches = Matches { source, closed, this: None, findings: Vec::new() };
    matches.visit_file(file);
    matches.findings
}

struct Matches<'a> {
    source: &'a Source,
    closed: &'a BTreeSet<String>,
    /// What `Self` names here, if it is one of the closed enums.
    this: Option<String>,
    findings: Vec<Finding>,
}

impl<'ast> Visit<'ast> for Matches<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        // A test asks about one case at a time, and fails loudly if that goes stale.
        if !super::syntax::is_test_only(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let before = self.this.take();
        if let Type::Path(path) = &*item.self_ty {
            let name = path.path.segments.last().map(|segment| segment.ident.to_string());
            self.this = name.filter(|name| self.closed.contains(name));
        }
        visit::visit_item_impl(self, item);
        self.this = before;
    }

    fn visit_expr_match(&mut self, expression: &'ast ExprMatch) {
        let named = expression.arms.iter().find_map(|arm| self.closed_enum_in(arm));
        let open = expression.arms.iter().find(|arm| takes_the_rest(arm));
        if let (Some(name), Some(arm)) = (named, open) {
            let message = format!(
                "this arm takes any other `{name}`: list the cases, so that a new one stops the \
                 build here"
            );
            self.findings.push(self.source.finding(arm.pat.span().start().line, message));
        }
        visit::visit_expr_match(self, expression);
    }
}

impl Matches<'_> {
    fn closed_enum_in(&self, arm: &Arm) -> Option<String> {
        struct Paths<'a>(Vec<&'a Path>);
        impl<'ast> Visit<'ast> for Paths<'ast> {
            fn visit_path(&mut self, path: &'ast Path) {
                self.0.push(path);
            }
        }
        let mut paths = Paths(Vec::new());
        paths.visit_pat(&arm.pat);
        paths.0.iter().find_map(|path| {
            let [.., owner, _variant] = &*path.segments.iter().collect::<Vec<_>>() else {
                return None;
            };
            let owner = owner.ident.to_string();
            let name = if owner == "Self" { self.this.clone()? } else { owner };
            self.closed.contains(&name).then_some(name)
        })
    }
}

fn takes_the_rest(arm: &Arm) -> bool {
    arm.guard.is_none() && takes_anything(&arm.pat)
}

/// `_`, or a plain name, which is `_` with a name. A capital is a constant or a variant.
fn takes_anything(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        Pat::Ident(name) => {
            name.subpat.is_none() && !name.ident.to_string().starts_with(char::is_uppercase)
        }
        Pat::Paren(inner) => takes_anything(&inner.pat),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        let file = syn::parse_file(text).expect("the sample parses");
        let source = Source { path: "crates/model/src/x.rs".into(), text: text.into() };
        let closed = ["Mixer", "Ffn"].map(String::from).into();
        check(&source, &file, &closed).len()
    }

    #[test]
    fn a_wild_arm_on_the_vocabulary_is_found() {
        assert_eq!(count("fn f() { match m { Mixer::Mla(a) => a, _ => 0 } }"), 1);
        assert_eq!(count("fn f() { match m { b::Mixer::Mla(a) | Mixer::B(a) => a, _ => 0 } }"), 1);
        assert_eq!(count("fn f() { match m { Some(Ffn::Dense) => 1, (_) => 0 } }"), 1);
    }

    #[test]
    fn a_named_catch_all_is_a_wild_arm() {
        assert_eq!(count("fn f() { match m { Mixer::Mla(a) => a, other => g(other) } }"), 1);
    }

    #[test]
    fn self_is_seen_through() {
        assert_eq!(count("impl Mixer { fn f(&self) { match self { Self::A => 1, _ => 0 } } }"), 1);
        assert_eq!(count("impl Other { fn f(&self) { match self { Self::A => 1, _ => 0 } } }"), 0);
    }

    #[test]
    fn a_closed_match_and_a_match_on_other_things_pass() {
        assert_eq!(count("fn f() { match m { Mixer::A(_) => 1, Mixer::B { .. } => 0 } }"), 0);
        assert_eq!(count("fn f() { match n { 0 => Mixer::A, _ => Mixer::B } }"), 0);
        assert_eq!(count("fn f() { match c { Color::Red => 1, _ => 0 } }"), 0);
        assert_eq!(count("fn f() { match m { _ if a => 2, Mixer::A => 1, Mixer::B => 0 } }"), 0);
    }

    #[test]
    fn a_nested_match_is_found() {
        assert_eq!(count("fn f() { g(|| match a { 1 => match m { Ffn::A => 1, _ => 0 } }) }"), 1);
    }

    #[test]
    fn tests_may_ask_about_one_case() {
        let inside = "fn f() { match m { Mixer::Mla(a) => a, _ => panic!() } }";
        assert_eq!(count(&format!("#[cfg(test)] mod tests {{ {inside} }}")), 0);
    }
}
