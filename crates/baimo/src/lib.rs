//! The command's parts: what MODEL names ([`source`]), a loaded model and its engine
//! ([`session`]), one answer ([`answer`]), and a module for each subcommand.
//!
//! Only answers go to stdout; progress, speed and errors go to stderr.

pub mod answer;
pub mod args;
mod bench;
mod builtin;
mod cache;
mod catalog;
mod chat;
pub mod completions;
pub mod conversation;
mod corpus;
mod fetching;
mod fidelity;
mod limits;
mod list;
mod local;
mod logits;
mod manual;
mod plan;
mod pull;
mod quantize;
pub mod run;
mod screen;
pub mod serve;
pub mod session;
mod settings;
mod show;
pub mod source;
mod tokenize;

use anyhow::Result;
use args::{Arguments, Command};

/// Does what the command line says.
///
/// # Errors
/// What went wrong, in a line or two that name the file, key or flag at fault.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Logits(arguments) => logits::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Plan(arguments) => plan::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Tokenize(arguments) => tokenize::run(arguments),
        Command::ChatTemplate(arguments) => conversation::run(arguments),
        Command::Quantize(arguments) => quantize::run(arguments),
        Command::Fidelity(arguments) => fidelity::run(arguments),
        Command::Pull(arguments) => pull::pull(arguments),
        Command::Rm(arguments) => pull::remove(arguments),
        Command::Prune(arguments) => pull::prune(arguments),
        Command::List(arguments) => list::run(arguments),
        Command::Cache(arguments) => cache::run(arguments),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man(arguments) => manual::run(arguments),
    }
}
