//! Any text as GBNF: an error, or a constraint that a few tokens are taken under.
#![no_main]

use baimo_text::grammar::Grammar;
use libfuzzer_sys::fuzz_target;

#[path = "speaking.rs"]
mod speaking;

fuzz_target!(|text: &str| {
    if let Ok(grammar) = Grammar::gbnf(text) {
        speaking::try_it(&grammar, text.as_bytes());
    }
});
