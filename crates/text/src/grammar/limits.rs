//! What a request may cost.

use llguidance::api::ParserLimits;

/// Bytes of a schema or a grammar.
pub(super) const SOURCE_BYTES: usize = 256 << 10;

/// Bytes of a regular expression.
pub(super) const REGEX_BYTES: usize = 16 << 10;

/// Levels of a schema within one another.
pub(super) const DEPTH: usize = 64;

/// Combinations of alternatives that have to be looked at to merge the parts of one schema.
pub(super) const COMBINATIONS: usize = 256;

/// Properties of one object.
pub(super) const PROPERTIES: usize = 400;

/// The largest divisor in a schema, less its decimal point.
pub(super) const DIVISOR: f64 = 10_000.0;

/// Bytes of one token; longer ones are never allowed.
pub(super) const TOKEN_BYTES: usize = 1000;

/// What the grammar engine may spend: a fraction of a second to compile a grammar, some tens of
/// milliseconds for a token, some tens of megabytes.
pub(super) fn parser() -> ParserLimits {
    ParserLimits {
        initial_lexer_fuel: 1_000_000,
        step_lexer_fuel: 200_000,
        step_max_items: 200_000,
        max_items_in_row: 2_000,
        max_lexer_states: 25_000,
        max_grammar_size: 200_000,
        precompute_large_lexemes: false,
        verbose_errors: false,
    }
}
