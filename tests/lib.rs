//! Tests of whole paths, and what they share.

pub mod checkpoint;
pub mod golden;
pub mod model;
pub mod run;
