//! The tokens of a model, as the grammar engine wants them.

use super::constraint::Constraint;
use super::error::GrammarError;
use super::limits;
use super::source::{Grammar, Program};
use crate::tokenizer::{EncodeOptions, Tokenizer};
use baimo_blueprint::Voice;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{
    INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenizerEnv,
};
use llguidance::{Matcher, ParserFactory};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Compiled grammars that are kept for requests to come.
const KEPT: usize = 32;

/// A model's tokens in a tree of their bytes, and grammars that were compiled for them. Made once
/// for each model; a clone is the same environment.
#[derive(Clone)]
pub struct TokenEnvironment(Arc<Inner>);

struct Inner {
    tokens: Arc<Tokens>,
    voice: Option<&'static Voice>,
    /// Tokens that end an answer.
    ends: Vec<u32>,
    factory: ParserFactory,
    /// Compiled grammars by their text, the one used last at the end.
    kept: Mutex<VecDeque<(String, Arc<Matcher>)>>,
}

/// The tokenizer, as the grammar engine wants it.
struct Tokens {
    tokenizer: Arc<Tokenizer>,
    trie: TokTrie,
    /// Whether a text's tokens are the text's bytes, so that what a grammar leaves no choice about
    /// can be tokenized as the model was taught.
    exact: bool,
    /// Tokens that no text is made of, by their id and spelling, the longest first.
    markers: Vec<(u32, String)>,
}

impl fmt::Debug for TokenEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trie = &self.0.tokens.trie;
        write!(f, "TokenEnvironment({} tokens)", trie.vocab_size())
    }
}

impl TokenEnvironment {
    /// For a model that gives `logits` logits, of which those beyond the tokenizer are never
    /// allowed. No text holds one of the special tokens, of the tokens in `voice`'s tags or of
    /// `ends`, the tokens that end an answer: a grammar has them only where it names them.
    pub fn new(
        tokenizer: Arc<Tokenizer>,
        voice: Option<&'static Voice>,
        ends: &[u32],
        logits: usize,
    ) -> TokenEnvironment {
        let markers = markers(&tokenizer, voice, ends, logits);
        let mut words = vec![Vec::new(); logits];
        for (id, word) in words.iter_mut().enumerate().take(tokenizer.vocab_size()) {
            if let Some(bytes) = tokenizer.token_bytes(id as u32) {
                // Such long tokens, runs of spaces all of them, the tree has no room for.
                *word = if bytes.len() <= limits::TOKEN_BYTES { bytes.to_vec() } else { vec![] };
            }
        }
        for (id, _) in &markers {
            words[*id as usize].insert(0, TokTrie::SPECIAL_TOKEN_MARKER);
        }
        let ends: Vec<u32> = ends.iter().copied().filter(|id| (*id as usize) < logits).collect();
        let first = ends.first().copied().unwrap_or(INVALID_TOKEN);
        let mut trie = TokTrie::from(&TokRxInfo::new(logits as u32, first), &words);
        if !ends.is_empty() {
            trie = trie.with_eos_tokens(&ends);
        }
        let exact = ["a", "{\"a b\": 1}", "\n你好"].iter().all(|text| {
            let ids = tokenizer.encode(text, EncodeOptions::default()).unwrap_or_default();
            let bytes = ids.iter().filter_map(|id| tokenizer.token_bytes(*id));
            bytes.collect::<Vec<_>>().concat() == text.as_bytes()
        });
        let tokens = Arc::new(Tokens { tokenizer, trie, exact, markers });
        let env: TokEnv = tokens.clone();
        let mut factory = ParserFactory::new(
            &env,
            InferenceCapabilities { ff_tokens: exact, ..InferenceCapabilities::default() },
            &SlicedBiasComputer::general_slices(),
        )
        .expect("the slices are the library's own");
        factory.quiet();
        *factory.limits_mut() = limits::parser();
        TokenEnvironment(Arc::new(Inner { tokens, voice, ends, factory, kept: Mutex::default() }))
    }

    /// What says token by token what `grammar` allows.
    ///
    /// # Errors
    /// A grammar that is malformed, or takes more than a request may have.
    pub fn constraint(&self, grammar: &Grammar) -> Result<Constraint, GrammarError> {
        self.run(&grammar.program())
    }

    /// The same, of a grammar made of several.
    pub(super) fn run(&self, program: &Program) -> Result<Constraint, GrammarError> {
        let matcher = self.compiled(program)?;
        Ok(Constraint::new(matcher.deep_clone(), self.0.tokens.trie.vocab_size()))
    }

    fn compiled(&self, program: &Program) -> Result<Arc<Matcher>, GrammarError> {
        let key = program.key();
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|(text, _)| *text == key) {
            let entry = kept.remove(place).expect("it was found there");
            kept.push_back(entry.clone());
            return Ok(entry.1);
        }
        drop(kept);
        let parser = self.0.factory.create_parser(program.top_level());
        let mut matcher = Matcher::new(parser);
        // What a first step finds out is found out once.
        matcher.compute_mask_or_eos().map_err(|cause| program.fault(&cause.to_string()))?;
        let matcher = Arc::new(matcher);
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((key, matcher.clone()));
        Ok(matcher)
    }

    /// The tokenizer it was made of.
    pub(super) fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.0.tokens.tokenizer
    }

    /// How the model thinks and calls tools.
    pub(super) fn voice(&self) -> Option<&'static Voice> {
        self.0.voice
    }

    /// The tokens that end an answer.
    pub(super) fn ends(&self) -> &[u32] {
        &self.0.ends
    }

    /// Bits of all tokens but those that end an answer.
    pub(super) fn lasting_tokens(&self) -> Vec<u32> {
        let trie = &self.0.tokens.trie;
        let mut bits = vec![0; trie.vocab_size().div_ceil(32)];
        for id in 0..trie.vocab_size() as u32 {
            let known = self.tokenizer().token_bytes(id).is_some();
            if known && !self.ends().contains(&id) {
                bits[id as usize / 32] |= 1 << (id % 32);
            }
        }
        bits
    }

    /// Tokens whose bytes are the text, not always those that the tokenizer would choose.
    pub(super) fn any_tokens(&self, text: &str) -> Vec<u32> {
        self.0.tokens.trie.greedy_tokenize(text.as_bytes())
    }

    /// Tokens that no text is made of, by their id and spelling, the longest first.
    pub(super) fn markers(&self) -> &[(u32, String)] {
        &self.0.tokens.markers
    }
}

impl TokenizerEnv for Tokens {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            let ids = self.tokenizer.encode(text, EncodeOptions::default()).unwrap_or_default();
            let pieces: Vec<_> = ids.iter().map(|id| self.trie.token(*id)).collect();
            // An unknown token, say, is not the text: it must not be forced.
            match pieces.concat() == text.as_bytes() {
                true => ids,
                false => self.trie.greedy_tokenize(text.as_bytes()),
            }
        })
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.exact
    }
}

fn markers(
    tokenizer: &Tokenizer,
    voice: Option<&Voice>,
    ends: &[u32],
    logits: usize,
) -> Vec<(u32, String)> {
    let tags = voice.map(Voice::tags).unwrap_or_default();
    let is_mark = |text: &str| text.len() > 2 && !text.starts_with(char::is_alphanumeric);
    let in_tag = |text: &str| is_mark(text) && tags.iter().any(|tag| tag.contains(text));
    let mut markers = Vec::new();
    for id in 0..tokenizer.vocab_size().min(logits) as u32 {
        let Some(text) = tokenizer.token_text(id) else { continue };
        let added = tokenizer.special_id(&text) == Some(id);
        if tokenizer.is_special(id) || ends.contains(&id) || (added && in_tag(&text)) {
            markers.push((id, text));
        }
    }
    markers.sort_by_key(|(id, text)| (std::cmp::Reverse(text.len()), *id));
    markers
}
