//! The command: see `baimo --help`.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    baimo::completions::answer_shell();
    match baimo::run(&baimo::args::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output may have seen enough.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
