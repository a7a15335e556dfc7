//! What exists and where: facts of labs and models, the store of downloaded files, the planner.

pub mod facts;
pub mod plan;
pub mod store;
