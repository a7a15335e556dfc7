//! What the command lines of `baimo pull`, `rm` and `prune` say.

use crate::completions;
use clap::Args;
use clap_complete::ArgValueCompleter;

/// `baimo pull`.
#[derive(Args, Debug)]
pub struct Pull {
    /// The models
    #[arg(required = true, add = ArgValueCompleter::new(completions::catalog))]
    pub models: Vec<String>,
    /// Says what would be fetched, and fetches nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Prints a JSON object for each model, on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// `baimo rm`.
#[derive(Args, Debug)]
pub struct Rm {
    /// The models, as `baimo list --local` names them
    #[arg(required = true, add = ArgValueCompleter::new(completions::local))]
    pub models: Vec<String>,
    /// Says what would be removed, and removes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// `baimo prune`.
#[derive(Args, Debug)]
pub struct Prune {
    /// Does not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Says what would be removed, and removes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}
