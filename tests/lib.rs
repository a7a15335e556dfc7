//! Tests of whole paths, and what they share: the golden cases.

pub mod golden;
