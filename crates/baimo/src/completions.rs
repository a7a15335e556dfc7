//! `baimo completions`, and what is answered when a shell then asks.
//!
//! The shell runs baimo with [`VARIABLE`] set and the words that were typed behind `--`.

use crate::args::{Arguments, Completions, Shell};
use crate::{fetching, source};
use anyhow::{Context, Result};
use baimo_catalog::facts::compiled;
use clap::CommandFactory;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{CompleteEnv, Shells};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

/// Says that a shell asks, and which.
const VARIABLE: &str = "BAIMO_COMPLETE";

/// Names that are listed whole; of more, only what stands before the colon.
const LISTED_MAX: usize = 60;

/// bash takes words apart at `:` and `@`, which names of models have: they are put together again,
/// and what bash takes for the beginning of another word is left out of what it is given.
const BASH: &str = r#"
_baimo() {
    local words=("${COMP_WORDS[0]}") last=0 word i
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        # Up to the cursor; behind a colon alone bash says nothing of it.
        if ((i == COMP_CWORD)) && [[ $word != [:@]* ]]; then word=$2; fi
        if [[ $word == [:@]* || ${words[last]} == *[:@] ]]; then
            words[last]+=$word
        else
            words[++last]=$word
        fi
    done
    local current=${words[last]} COMP_WORDS=("${words[@]}") COMP_CWORD=$last
    _clap_complete_baimo "$1" "$current" "$3"
    local shown=${current%"${current##*[:@]}"}
    COMPREPLY=("${COMPREPLY[@]#"$shown"}")
}
complete -o nospace -o bashdefault -F _baimo baimo
"#;

/// Prints what a shell is to read.
pub(crate) fn run(arguments: &Completions) -> Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(arguments.shell.name()).context("the library knows the shell")?;
    let mut out = std::io::stdout().lock();
    shell.write_registration(VARIABLE, "baimo", "baimo", &program(), &mut out)?;
    if arguments.shell == Shell::Bash {
        write!(out, "{BASH}")?;
    }
    Ok(())
}

/// What the shell is to run: the program as it was called, so that another version is found where
/// it is a name alone.
fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let is_name = Path::new(&called).components().count() == 1;
    let whole = std::env::current_exe().ok().filter(|_| !is_name);
    whole.map_or_else(|| "baimo".to_owned(), |path| path.to_string_lossy().into_owned())
}

/// Answers a shell that asks, and ends; else does nothing.
pub fn answer_shell() {
    CompleteEnv::with_factory(Arguments::command).var(VARIABLE).bin("baimo").complete();
}

/// Models that can be run: here, in the catalog, by their paths, and built in.
pub(crate) fn models(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = PathCompleter::any().complete(current);
    let names = local_names().into_iter().chain(catalog_names());
    let names = names.chain([source::BUILT_IN.to_owned()]);
    found.extend(candidates(names, current));
    found
}

/// Models that can be fetched by a name of the catalog.
pub(crate) fn catalog(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(catalog_names(), current)
}

/// Models of hubs that are here.
pub(crate) fn local(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(local_names().into_iter(), current)
}

fn local_names() -> BTreeSet<String> {
    let kept = fetching::store().kept().into_iter();
    kept.flat_map(|one| one.models).map(|model| model.to_string()).collect()
}

fn catalog_names() -> impl Iterator<Item = String> {
    let open = compiled().rows().filter(|(_, row)| row.is_open());
    let placed = open.filter(|(_, row)| row.text("hugging_face").is_some());
    placed.map(|(_, row)| row.name.clone())
}

/// Those that go on from what is typed, whole or, where there are many, up to the colon.
fn candidates(names: impl Iterator<Item = String>, current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let mut names: BTreeSet<String> = names.filter(|name| name.starts_with(current)).collect();
    if names.len() > LISTED_MAX {
        let family = |name: String| match name[current.len()..].find(':') {
            Some(at) => name[..=current.len() + at].to_owned(),
            None => name,
        };
        names = names.into_iter().map(family).collect();
    }
    names.into_iter().map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(found: Vec<CompletionCandidate>) -> Vec<String> {
        found.iter().map(|one| one.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn every_command_and_its_flags_are_completed() {
        let complete = |words: &[&str]| {
            let words: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
            let last = words.len() - 1;
            let mut command = Arguments::command();
            texts(clap_complete::engine::complete(&mut command, words, last, None).unwrap())
        };
        let commands = complete(&["baimo", ""]);
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            assert!(commands.contains(&name.to_owned()), "{name}: {commands:?}");
            let flags = complete(&["baimo", name, "--"]);
            for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
                assert!(flags.contains(&format!("--{flag}")), "{name}: {flag}: {flags:?}");
            }
        }
    }

    #[test]
    fn names_of_the_catalog_go_on_from_what_is_typed() {
        let found = texts(catalog(OsStr::new("qwen3:0")));
        assert!(found.contains(&"qwen3:0.6b".to_owned()), "{found:?}");
        assert!(found.iter().all(|name| name.starts_with("qwen3:0")), "{found:?}");
    }

    #[test]
    fn many_names_are_told_up_to_the_colon() {
        let found = texts(catalog(OsStr::new("")));
        assert!(found.contains(&"qwen3:".to_owned()), "{found:?}");
        assert!(
            found.iter().all(|name| name.split_once(':').is_none_or(|(_, rest)| rest.is_empty()))
        );
        assert!(texts(models(OsStr::new("poe"))).contains(&"poet".to_owned()));
    }
}
