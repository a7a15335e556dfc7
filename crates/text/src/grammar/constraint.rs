//! A grammar on its way through an answer.

use super::error::GrammarError;
use llguidance::Matcher;
use std::fmt;

/// Characters of what the library says.
const SAID_MAX: usize = 400;

/// The tokens that may be chosen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed<'a> {
    /// All of them.
    Any,
    /// Those whose bit is set: token `t` is bit `t % 32` of word `t / 32`.
    Only(&'a [u32]),
    /// This one, whatever the model says.
    Forced(u32),
    /// None: the answer is complete.
    End,
}

impl Allowed<'_> {
    /// Whether `token` may be chosen.
    pub fn has(&self, token: u32) -> bool {
        match self {
            Allowed::Any => true,
            Allowed::Only(words) => {
                let word = words.get(token as usize / 32).copied().unwrap_or(0);
                word >> (token % 32) & 1 == 1
            }
            Allowed::Forced(forced) => *forced == token,
            Allowed::End => false,
        }
    }
}

/// Says token by token what a grammar allows. What it says depends on the tokens it took and on
/// nothing else.
pub struct Constraint {
    matcher: Matcher,
    /// Bits of the model's tokens.
    mask: Vec<u32>,
    /// The mask is of now.
    current: bool,
    fault: Option<GrammarError>,
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.matcher.stop_reason();
        f.debug_struct("Constraint").field("state", &state).field("fault", &self.fault).finish()
    }
}

impl Constraint {
    pub(super) fn new(matcher: Matcher, tokens: usize) -> Constraint {
        let mask = vec![0; tokens.div_ceil(32)];
        Constraint { matcher, mask, current: false, fault: None }
    }

    /// The tokens that may come next. The tokens that end an answer are among them exactly where
    /// the grammar may stop. After a [`fault`](Constraint::fault) there are none.
    pub fn allowed(&mut self) -> Allowed<'_> {
        if !self.current {
            self.compute();
        }
        let mut set = self.mask.iter().enumerate().filter(|(_, word)| **word != 0);
        match (set.next(), set.next()) {
            (None, _) => Allowed::End,
            (Some((index, word)), None) if word.is_power_of_two() => {
                Allowed::Forced(32 * index as u32 + word.trailing_zeros())
            }
            _ => Allowed::Only(&self.mask),
        }
    }

    fn compute(&mut self) {
        self.mask.fill(0);
        self.current = true;
        if self.fault.is_some() {
            return;
        }
        match self.matcher.compute_mask_or_eos() {
            Ok(set) => {
                let words = set.as_slice().len().min(self.mask.len());
                self.mask[..words].copy_from_slice(&set.as_slice()[..words]);
            }
            // Where no token ends an answer, an answer that is complete leaves no token at all.
            Err(_) if self.matcher.stop_reason().is_ok() => {}
            Err(cause) => self.fails(&cause.to_string()),
        }
    }

    /// Learns which token came. One that was not allowed is a [`fault`](Constraint::fault).
    pub fn took(&mut self, token: u32) {
        self.current = false;
        if self.fault.is_none()
            && let Err(cause) = self.matcher.consume_token(token)
        {
            self.fails(&cause.to_string());
        }
    }

    /// Whether the grammar may stop here.
    pub fn is_complete(&mut self) -> bool {
        self.fault.is_none()
            && (self.matcher.is_stopped() || self.matcher.is_accepting().unwrap_or(false))
    }

    /// Why nothing is allowed any more, where that is not because the answer is complete.
    pub fn fault(&self) -> Option<&GrammarError> {
        self.fault.as_ref()
    }

    fn fails(&mut self, cause: &str) {
        self.fault = Some(GrammarError::TooComplex {
            fault: plain(cause),
            hint: "a grammar with fewer alternatives at one place takes less",
        });
    }
}

/// What the library says, less what it adds to it for its authors.
pub(super) fn plain(cause: &str) -> String {
    let said = cause.split("\n<").next().unwrap_or(cause).trim();
    let said = if said == "NoExtensionBias" { "there is no text that it allows" } else { said };
    match said.char_indices().nth(SAID_MAX) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    }
}
