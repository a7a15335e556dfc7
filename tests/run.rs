//! Runs a command and takes down what it says.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

/// What a finished command left.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether the exit code was 0.
    pub success: bool,
    /// What it printed.
    pub stdout: String,
    /// What it said beside.
    pub stderr: String,
}

/// Runs a program with arguments, something to read, and no model in its environment.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Outcome {
    run_in(program, arguments, input, &[])
}

/// Likewise, with variables in its environment.
pub fn run_in(
    program: &str,
    arguments: &[&str],
    input: &str,
    environment: &[(&str, &OsStr)],
) -> Outcome {
    let mut child = Command::new(program)
        .args(arguments)
        .env_remove("BAIMO_MODEL")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the program ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Outcome {
        success: output.status.success(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
