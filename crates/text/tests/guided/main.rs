//! What a model may say is what it says: under every constraint, tokens chosen by chance make an
//! answer that keeps the rule.

mod called;
mod hostile;
mod rules;
mod speaker;
mod thoughts;
