//! What the command lines of `baimo completions` and `baimo man` say.

use super::examples;
use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

/// `baimo completions`.
#[derive(Args, Debug)]
#[command(after_help = examples::COMPLETIONS)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash, from version 4 on
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
    /// Elvish
    Elvish,
}

impl Shell {
    /// Its name, as it is said and as the shell's program is called.
    pub fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
            Shell::Powershell => "powershell",
            Shell::Elvish => "elvish",
        }
    }
}

/// `baimo man`.
#[derive(Args, Debug)]
#[command(after_help = examples::MAN)]
pub struct Man {
    /// Writes a page for each command into this folder, which is made where it is missing
    /// [default: the main page, to stdout]
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}
