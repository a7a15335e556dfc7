//! What is known of labs and their models beyond how they compute: a file per lab, compiled in.

/// The files of facts: the name of each without its ending, and its text. The crate `catalog`
/// says what may stand in them.
pub const FACTS: &[(&str, &str)] = &[("qwen", include_str!("../facts/qwen.toml"))];
