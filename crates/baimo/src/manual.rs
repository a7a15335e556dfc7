//! `baimo man`: the pages of the manual, made of what `--help` says.

use crate::args::{Arguments, Man};
use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::roff::{Roff, roman};
use std::io::Write;

/// What stands before the examples of a command's help.
const EXAMPLES: &str = "Examples:";

/// Writes every page into a folder, or the main page to stdout.
pub(crate) fn run(arguments: &Man) -> Result<()> {
    let Some(folder) = &arguments.folder else {
        return page(&main_command(), &mut std::io::stdout().lock());
    };
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let main = main_command();
    for command in std::iter::once(&main).chain(main.get_subcommands()) {
        let path = folder.join(format!("{}.1", name(command)));
        let mut text = Vec::new();
        page(command, &mut text)?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(())
}

/// The command with all that clap adds; `help` is no page.
fn main_command() -> Command {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    command
}

/// `baimo-run`, as `man` finds it.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// A page: what the library makes of the flags, and then the rest of the help, which it would run
/// together.
fn page(command: &Command, out: &mut dyn Write) -> Result<()> {
    let version = format!("baimo {}", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command.clone()).source(version).manual("baimo");
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (examples, notes): (Vec<&str>, Vec<&str>) =
        help.split("\n\n").partition(|part| part.starts_with(EXAMPLES));
    let mut roff = Roff::new();
    section(&mut roff, "NOTES", &notes);
    let examples: Vec<&str> =
        examples.iter().map(|part| part[EXAMPLES.len()..].trim_start_matches('\n')).collect();
    section(&mut roff, "EXAMPLES", &examples);
    roff.to_writer(out)?;
    Ok(())
}

/// Paragraphs below a heading; indented ones keep their lines.
fn section(roff: &mut Roff, heading: &str, paragraphs: &[&str]) {
    let paragraphs = paragraphs.iter().filter(|text| !text.is_empty());
    for (index, text) in paragraphs.enumerate() {
        if index == 0 {
            roff.control("SH", [heading]);
        } else {
            roff.control("PP", []);
        }
        let is_kept = text.lines().any(|line| line.starts_with("  "));
        if is_kept {
            roff.control("nf", []);
        }
        for line in text.lines() {
            roff.text([roman(line)]);
        }
        if is_kept {
            roff.control("fi", []);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// The examples below [`EXAMPLES`], without what is said of them: two spaces stand before that.
    fn examples(help: &str) -> Vec<String> {
        let below = help.split("\n\n").filter_map(|part| part.strip_prefix(EXAMPLES));
        let lines = below.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| line.split("  ").next().unwrap_or_default().to_owned()).collect()
    }

    /// The words a shell would make of a line, up to where it would redirect.
    fn words(line: &str) -> Vec<String> {
        let words = shlex::split(line).unwrap_or_else(|| panic!("{line}: quotes"));
        let is_plain = |word: &String| !["<", ">", "|"].contains(&word.as_str());
        words.into_iter().take_while(is_plain).collect()
    }

    fn parse(line: &str) -> Arguments {
        let parsed = Arguments::try_parse_from(words(line));
        parsed.unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        for command in main_command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (name, examples) = (command.get_name(), examples(&help));
            assert!(!examples.is_empty(), "baimo {name} has no examples");
            for line in examples {
                assert!(line.starts_with(&format!("baimo {name}")), "{name}: {line}");
                parse(&line);
            }
        }
    }

    #[test]
    fn the_examples_of_the_readme_parse_and_name_every_command() {
        let readme = include_str!("../../../README.md");
        let rows = readme.lines().filter(|line| line.starts_with("| `"));
        let quoted: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
        let examples = quoted.iter().filter(|text| text.starts_with("baimo "));
        let parsed: Vec<Arguments> = examples.map(|line| parse(line)).collect();
        assert!(parsed.len() > 10, "{parsed:?}");
        for command in main_command().get_subcommands() {
            assert!(quoted.contains(&command.get_name()), "{}", command.get_name());
        }
    }

    #[test]
    fn every_command_has_a_page_with_its_flags_and_examples() {
        let folder = tempfile::tempdir().expect("a folder");
        run(&Man { folder: Some(folder.path().join("man1")) }).expect("pages");
        for command in main_command().get_subcommands() {
            let path = folder.path().join(format!("man1/baimo-{}.1", command.get_name()));
            let text = std::fs::read_to_string(&path).expect("a page");
            assert!(text.starts_with(".ie") && text.contains(".SH EXAMPLES"), "{text}");
            for flag in command.get_arguments().filter_map(|flag| flag.get_long()) {
                let flag = flag.replace('-', "\\-");
                assert!(text.contains(&format!("\\-\\-{flag}")), "{}: {flag}", path.display());
            }
        }
        let main = std::fs::read_to_string(folder.path().join("man1/baimo.1")).expect("a page");
        assert!(main.contains("baimo\\-quantize(1)") && main.contains(".SH NOTES"), "{main}");
    }
}
