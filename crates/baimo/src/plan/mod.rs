//! `baimo plan`: whether a model fits, how fast it will be, and what to change where it does not.

mod check;
mod host;

use crate::args::Plan;
use crate::fetching;
use crate::run::{SNAPSHOT_BYTES, SPAN};
use crate::session::{self, KEPT_BYTES_MIN};
use crate::show::human;
use crate::source::{self, Source};
use anyhow::{Context, Result};
use baimo_catalog::plan::{Copies, Fit, Forecast, Memory, Packing, Question, Said, Stored, plot};
use baimo_engine::{SNAPSHOT_EVERY, SNAPSHOTS_BESIDE};
use baimo_weights::Target;
use serde_json::json;
use std::io::Write;

/// The longest context that is planned for without being asked.
const CONTEXT_MAX: usize = 8192;

/// Plans and prints.
pub fn run(arguments: &Plan) -> Result<()> {
    if arguments.probe {
        host::probe(session::threads(arguments.threads))?;
        if arguments.model.is_none() {
            return Ok(());
        }
    }
    let model = arguments.model.clone().unwrap_or_else(source::default_model);
    if arguments.check {
        fetching::ensure(&model, false)?;
    }
    let source = Source::describe(&model)?;
    if arguments.check {
        return check::run(arguments, &source);
    }
    let host = host::find(&arguments.machine)?;
    let target = source.target(arguments.weights);
    let packing = Packing { stored: stored(&source)?, target };
    let question = question(arguments, &source, &packing);
    let memory = Memory::of(&question);
    let forecast = host.as_ref().map(|host| host.forecast(&question));
    let available = arguments.memory.or_else(|| host::memory(host.as_ref()));
    let fit = available.map(|available| Fit::of(&question, &memory, available));
    if let Some(path) = &arguments.plot {
        let forecast = forecast.as_ref().with_context(|| host::UNKNOWN.to_owned())?;
        let title = format!("{}, weights {}", question.blueprint.architecture, target.name());
        std::fs::write(path, plot::svg(&title, forecast))
            .with_context(|| path.display().to_string())?;
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let count = question.blueprint.count();
        let report = json!({
            "architecture": question.blueprint.architecture,
            "parameters": count.parameters,
            "active_parameters": count.active,
            "weights": target.name(),
            "context": question.context,
            "users": question.users,
            "threads": question.threads,
            "memory": memory,
            "fit": fit,
            "speed": forecast,
        });
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    heading(&mut out, &question, target)?;
    table(&mut out, &memory)?;
    if let Some(fit) = fit {
        verdict(&mut out, &fit)?;
    }
    match forecast {
        Some(forecast) => speeds(&mut out, &forecast)?,
        None => writeln!(out, "\n{}", host::UNKNOWN)?,
    }
    Ok(())
}

/// What is known of a model's weights.
fn stored(source: &Source) -> Result<Stored<'_>> {
    Ok(match source.checkpoint() {
        Ok(checkpoint) => Stored::Files(checkpoint),
        Err(_) => Stored::Said(Said::of(&source.config()?)),
    })
}

fn question<'a>(arguments: &Plan, source: &'a Source, packing: &'a Packing) -> Question<'a> {
    let blueprint = source.blueprint();
    let mut question = Question {
        blueprint,
        packing,
        element: arguments.kv,
        context: arguments.context.unwrap_or(blueprint.context.min(CONTEXT_MAX)),
        users: arguments.users,
        threads: session::threads(arguments.threads),
        chunk: SPAN,
        mapped: true,
        copies: Some(Copies {
            every: SNAPSHOT_EVERY,
            beside: SNAPSHOTS_BESIDE,
            bytes_max: SNAPSHOT_BYTES,
        }),
    };
    let on_disk = source.weight_bytes();
    let bytes = on_disk.unwrap_or_else(|| Memory::of(&question).weights_mapped);
    question.mapped = bytes >= KEPT_BYTES_MIN;
    question
}

fn heading(out: &mut impl Write, question: &Question, target: Target) -> Result<()> {
    let blueprint = question.blueprint;
    let count = blueprint.count();
    let active = match count.active == count.parameters {
        true => String::new(),
        false => format!(" ({} active)", human(count.active, 1000, "")),
    };
    let parameters = human(count.parameters, 1000, "");
    writeln!(out, "{}, {parameters} parameters{active}", blueprint.architecture)?;
    let users = if question.users == 1 { "user" } else { "users" };
    let (context, count, weights) = (question.context, question.users, target.name());
    writeln!(out, "context {context}, {count} {users}, weights {weights}\n")?;
    Ok(())
}

fn table(out: &mut impl Write, memory: &Memory) -> Result<()> {
    let mut line = |name: &str, bytes: usize, note: &str| {
        let line = format!("{name:<40}{:>12}  {note}", human(bytes, 1024, "B"));
        writeln!(out, "{}", line.trim_end())
    };
    for part in &memory.weights {
        line(part.part.name(), part.bytes, &part.formats.join(", "))?;
    }
    for state in &memory.states {
        let name = format!("{}, {} layers", state.kind, state.layers);
        let mut notes = Vec::new();
        if state.bytes_per_token > 0.0 {
            notes.push(format!("{} a token", human(state.bytes_per_token as usize, 1024, "B")));
        }
        if state.bytes_per_sequence > 0 {
            notes.push(format!("{} a user", human(state.bytes_per_sequence, 1024, "B")));
        }
        line(&name, state.bytes, &notes.join(", "))?;
    }
    if memory.snapshots > 0 {
        line("copies of states", memory.snapshots, "at most, of what sequences began with")?;
    }
    line("activations", memory.activations, "at their peak")?;
    line("program", memory.program, "without a tokenizer")?;
    line("in all", memory.total, "")?;
    line("  of it mapped", memory.weights_mapped, "packed weights, a file in the cache folder")?;
    line("  of it its own", memory.own, "")?;
    Ok(())
}

fn verdict(out: &mut impl Write, fit: &Fit) -> Result<()> {
    let available = human(fit.available, 1024, "B");
    if fit.missing == 0 {
        writeln!(out, "\nfits into {available}")?;
        return Ok(());
    }
    let missing = human(fit.missing, 1024, "B");
    writeln!(out, "\ndoes not fit into {available}: {missing} are missing")?;
    for advice in &fit.advice {
        writeln!(out, "- {advice}")?;
    }
    Ok(())
}

fn speeds(out: &mut impl Write, forecast: &Forecast) -> Result<()> {
    let rate = |rate: Option<f64>| rate.map_or("not known".to_owned(), |rate| format!("{rate:.1}"));
    writeln!(out, "\n{} ({})", forecast.machine, forecast.basis)?;
    writeln!(out, "{:>12}{:>20}{:>20}", "in the cache", "prompt tokens/s", "answer tokens/s")?;
    for point in &forecast.points {
        let [prompt, answer] =
            [point.prompt_tokens_per_second, point.answer_tokens_per_second].map(rate);
        writeln!(out, "{:>12}{prompt:>20}{answer:>20}", point.context)?;
    }
    Ok(())
}
