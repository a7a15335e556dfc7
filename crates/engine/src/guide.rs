//! What may come next, where somebody has a say in it: a grammar, a budget of thoughts.

/// The tokens that may be chosen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed<'a> {
    /// All of them.
    Any,
    /// Those whose bit is set: token `t` is bit `t % 32` of word `t / 32`. Where none is, the
    /// answer ends.
    Only(&'a [u32]),
    /// This one, whatever the model says.
    Forced(u32),
    /// None: the answer is complete.
    End,
}

impl Allowed<'_> {
    /// Whether no token may be chosen.
    pub fn is_empty(&self) -> bool {
        match self {
            Allowed::Any | Allowed::Forced(_) => false,
            Allowed::Only(words) => words.iter().all(|&word| word == 0),
            Allowed::End => true,
        }
    }

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

/// Has a say in the tokens of one answer. It is asked before each token and told the one chosen;
/// what it says may depend on nothing else, so that the answer is the same in any company.
pub trait Guide: Send + std::fmt::Debug {
    /// The tokens that may come next.
    fn allowed(&mut self) -> Allowed<'_>;

    /// Learns which came.
    fn took(&mut self, token: u32);
}
