//! A model that says whatever it is allowed to.

use baimo_text::Tokenizer;
use baimo_text::grammar::{Allowed, Grammar, TokenEnvironment};
use std::path::Path;
use std::sync::{Arc, OnceLock};

const TOKENIZER: &str = "../crates/text/tests/fixtures/tokenizers/byte_level";

fn environment() -> &'static TokenEnvironment {
    static MADE: OnceLock<TokenEnvironment> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(TOKENIZER);
        let tokenizer = Arc::new(Tokenizer::from_folder(folder).expect("the fixture is there"));
        let size = tokenizer.vocab_size();
        TokenEnvironment::new(tokenizer, None, &[], size)
    })
}

/// Takes some tokens that `grammar` allows; `bytes` say which.
pub fn try_it(grammar: &Grammar, bytes: &[u8]) {
    let Ok(mut constraint) = environment().constraint(grammar) else { return };
    for byte in bytes.iter().cycle().take(24) {
        let token = match constraint.allowed() {
            Allowed::End => break,
            Allowed::Forced(token) => token,
            allowed => {
                let size = 700;
                let choices: Vec<u32> = (0..size).filter(|id| allowed.has(*id)).collect();
                let Some(token) = choices.get(usize::from(*byte) % choices.len().max(1)) else {
                    break;
                };
                *token
            }
        };
        constraint.took(token);
    }
}
