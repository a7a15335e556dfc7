//! Any JSON as a schema: an error, or a constraint that a few tokens are taken under.
#![no_main]

use baimo_text::grammar::Grammar;
use libfuzzer_sys::fuzz_target;

#[path = "speaking.rs"]
mod speaking;

fuzz_target!(|bytes: &[u8]| {
    let Ok(schema) = serde_json::from_slice(bytes) else { return };
    for strict in [true, false] {
        if let Ok(grammar) = Grammar::json_schema(&schema, strict) {
            speaking::try_it(&grammar, bytes);
        }
    }
});
