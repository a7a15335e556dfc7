//! A model that says anything it is allowed to.

use baimo_blueprint::Voice;
use baimo_text::grammar::{Allowed, Constraint, Guide, TokenEnvironment};
use baimo_text::{Decoder, EncodeOptions, Tokenizer};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Logits of the model: more than there are tokens, as in most checkpoints.
const PADDING: usize = 37;

/// More tokens than any answer of these tests needs.
const STEPS: usize = 3000;

pub struct Speaker {
    pub tokenizer: Arc<Tokenizer>,
    pub environment: TokenEnvironment,
    pub end: u32,
    random: u64,
}

fn fixture(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers").join(kind)
}

impl Speaker {
    /// Of a tokenizer in the fixtures.
    pub fn new(kind: &str, end: &str, voice: Option<&'static Voice>, seed: u8) -> Speaker {
        Speaker::of(Tokenizer::from_folder(fixture(kind)).unwrap(), end, voice, seed)
    }

    /// The same, `tags` being tokens; special ones where `special`.
    pub fn with_tags(voice: &'static Voice, tags: &[&str], special: bool, seed: u8) -> Speaker {
        let folder = tempfile::tempdir().unwrap();
        let source = fixture("byte_level");
        let text = std::fs::read_to_string(source.join("tokenizer.json")).unwrap();
        let mut file: Value = serde_json::from_str(&text).unwrap();
        let added = file["added_tokens"].as_array_mut().unwrap();
        added.retain(|token| !tags.contains(&token["content"].as_str().unwrap()));
        for (index, tag) in tags.iter().enumerate() {
            added.push(json!({ "id": 800 + index, "content": tag, "special": special,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false }));
        }
        std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        Speaker::of(tokenizer, "<|im_end|>", Some(voice), seed)
    }

    fn of(tokenizer: Tokenizer, end: &str, voice: Option<&'static Voice>, seed: u8) -> Speaker {
        let tokenizer = Arc::new(tokenizer);
        let end = tokenizer.special_id(end).unwrap();
        let logits = tokenizer.vocab_size() + PADDING;
        let environment = TokenEnvironment::new(tokenizer.clone(), voice, &[end], logits);
        let random =
            0x9e37_79b9_7f4a_7c15 ^ (u64::from(seed) + 1).wrapping_mul(0x2545_f491_4f6c_dd1d);
        Speaker { tokenizer, environment, end, random }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        // Marsaglia's xorshift.
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.random ^= if left { self.random << shift } else { self.random >> shift };
        }
        (self.random >> 32) as usize % bound
    }

    /// One of the allowed tokens. The longer an answer, the more probable what closes something.
    pub fn choose(&mut self, allowed: Allowed<'_>, step: usize) -> Option<u32> {
        let words = match allowed {
            Allowed::End => return None,
            Allowed::Forced(token) => return Some(token),
            Allowed::Any => {
                let mut ids = 0..self.tokenizer.vocab_size() as u32;
                let seen = ids.by_ref().filter(|id| self.tokenizer.token_bytes(*id).is_some());
                let all: Vec<u32> = seen.filter(|id| *id != self.end).collect();
                return Some(all[self.below(all.len())]);
            }
            Allowed::Only(words) => words,
        };
        let is_set = |id: &u32| words[*id as usize / 32] >> (id % 32) & 1 == 1;
        let all: Vec<u32> = (0..32 * words.len() as u32).filter(is_set).collect();
        assert!(
            all.iter().all(|id| self.tokenizer.token_bytes(*id).is_some()),
            "beyond all tokens"
        );
        if all.contains(&self.end) && self.below(4) == 0 {
            return Some(self.end);
        }
        let closes = |id: &&u32| {
            let text = self.tokenizer.token_text(**id).unwrap();
            **id == self.end || text.starts_with(['"', '}', ']', '<', ')', '\''])
        };
        // Chance alone would hardly ever spell a tag; where tags are tokens, it finds them.
        let is_tag = |id: &&u32| {
            let text = self.tokenizer.token_text(**id).unwrap();
            text.len() > 2 && self.tokenizer.special_id(&text) == Some(**id)
        };
        let tags: Vec<u32> = all.iter().filter(is_tag).copied().collect();
        let closing: Vec<u32> = all.iter().filter(closes).copied().collect();
        if !tags.is_empty() && self.below(6) == 0 {
            return Some(tags[self.below(tags.len())]);
        }
        let presses = self.below(400) < step.min(390);
        let choices = if presses && !closing.is_empty() { closing } else { all };
        Some(choices[self.below(choices.len())])
    }

    /// An answer under a constraint: its text, less the token that ends it.
    pub fn say(&mut self, mut constraint: Constraint) -> String {
        let mut decoder = Decoder::continuing(self.tokenizer.clone(), false);
        let mut text = String::new();
        for step in 0..STEPS {
            let allowed = constraint.allowed();
            let ends = allowed.has(self.end);
            let token = self.choose(allowed, step);
            assert_eq!(constraint.fault(), None, "after {text}");
            assert_eq!(ends, constraint.is_complete(), "after {text}");
            match token {
                Some(token) if token != self.end => {
                    constraint.took(token);
                    text += &decoder.push(token).unwrap();
                }
                _ => return text + &decoder.finish(),
            }
        }
        panic!("no end: {text:.400}");
    }

    /// The token with this text.
    pub fn token(&self, text: &str) -> u32 {
        let mut ids = 0..self.tokenizer.vocab_size() as u32;
        ids.find(|id| self.tokenizer.token_bytes(*id) == Some(text.as_bytes())).unwrap()
    }

    /// The tokens of a text.
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, EncodeOptions::TEMPLATE).unwrap()
    }

    /// A reply under a guide: its text and its tokens, less the token that ends it.
    pub fn reply(&mut self, guide: Guide) -> (String, Vec<u32>) {
        let (text, tokens) = self.begin(guide, STEPS);
        assert!(tokens.len() < STEPS, "no end: {text:.400}");
        (text, tokens)
    }

    /// The same, or its first tokens.
    pub fn begin(&mut self, mut guide: Guide, steps: usize) -> (String, Vec<u32>) {
        let mut decoder = Decoder::continuing(self.tokenizer.clone(), false);
        let (mut text, mut tokens) = (String::new(), Vec::new());
        for step in 0..steps {
            let token = self.choose(guide.allowed(), step);
            assert_eq!(guide.fault(), None, "after {text}");
            match token {
                Some(token) if token != self.end => {
                    guide.took(token);
                    text += &decoder.push(token).unwrap();
                    tokens.push(token);
                }
                _ => break,
            }
        }
        (text + &decoder.finish(), tokens)
    }
}
