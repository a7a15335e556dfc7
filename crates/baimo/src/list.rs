//! `baimo list`: the models of the catalog, or the architectures that run.

use crate::args::{List, Sort};
use crate::{catalog, local};
use anyhow::Result;
use baimo_catalog::facts::{Lab, Model, Selection};
use baimo_weights::Target;
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::io::Write;
use unicode_width::UnicodeWidthStr;

/// Prints a line for each row.
pub fn run(arguments: &List) -> Result<()> {
    if arguments.local {
        return local::list(arguments.json);
    }
    let mut out = std::io::stdout().lock();
    if arguments.markdown {
        write!(out, "{}", baimo_labs::markdown_table())?;
        return Ok(());
    }
    if arguments.architectures {
        return architectures(&mut out);
    }
    let catalog = catalog::with(&arguments.import)?;
    if let Some(convention) = arguments.export {
        writeln!(out, "{:#}", catalog.export(convention))?;
        return Ok(());
    }
    let mut rows = catalog.select(&selection(arguments));
    sort(&mut rows, arguments.sort);
    let weights = arguments.weights;
    if arguments.json {
        let rows: Vec<Value> = rows.iter().map(|(lab, row)| as_json(lab, row, weights)).collect();
        writeln!(out, "{:#}", Value::Array(rows))?;
        return Ok(());
    }
    let memory = arguments.max_memory.map(|_| weights);
    write!(out, "{}", table(&rows, memory))?;
    let labs = rows.iter().map(|(lab, _)| &lab.id).collect::<std::collections::BTreeSet<_>>();
    eprintln!("{} rows of {} labs; `baimo show NAME` tells more", rows.len(), labs.len());
    if let Some(weights) = memory {
        eprintln!("memory: parameters times the bits of {}, an estimate", weights.name());
    }
    Ok(())
}

fn selection(arguments: &List) -> Selection {
    let bytes = arguments.max_memory.map(|most| (most as u64, arguments.weights));
    Selection {
        kind: Some(arguments.kind),
        labs: arguments.lab.clone(),
        weights: match (arguments.open, arguments.api) {
            (true, _) => Some("open"),
            (false, true) => Some("api"),
            (false, false) => None,
        },
        modalities: arguments.modality.clone(),
        runs: arguments.runs,
        bytes_max: bytes,
        since: arguments.released_after,
    }
}

fn sort(rows: &mut [(&Lab, &Model)], sort: Sort) {
    match sort {
        Sort::Lab => {}
        Sort::Name => rows.sort_by(|a, b| a.1.name.cmp(&b.1.name)),
        Sort::Released => rows.sort_by_key(|(_, row)| Reverse(row.released())),
        Sort::Size => rows.sort_by_key(|(_, row)| {
            row.parameters("total").map_or(u64::MAX, |parameters| parameters.count)
        }),
    }
}

/// What is known of a row, without who says so.
fn as_json(lab: &Lab, row: &Model, weights: Target) -> Value {
    let facts = row.known().map(|(field, fact)| (field.key.to_owned(), fact.value.to_json()));
    let mut entry: Map<String, Value> = [
        ("name", json!(row.name)),
        ("title", json!(row.title)),
        ("lab", json!(lab.id)),
        ("family", json!(row.family)),
        ("kind", json!(row.kind.name())),
        ("runs", json!(row.runs())),
        ("missing", json!(row.missing)),
        ("estimated_bytes", json!(row.bytes(weights))),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into_iter()
    .collect();
    entry.extend(facts);
    Value::Object(entry)
}

/// The rows below their titles, each column as wide as its widest cell; a Han character is two
/// columns wide.
fn table(rows: &[(&Lab, &Model)], memory: Option<Target>) -> String {
    let mut titles = vec!["NAME", "LAB", "RELEASED", "PARAMETERS", "CONTEXT", "READS", "WEIGHTS"];
    titles.push("RUNS");
    if memory.is_some() {
        titles.push("MEMORY");
    }
    let mut lines: Vec<Vec<String>> = vec![titles.into_iter().map(str::to_owned).collect()];
    lines.extend(rows.iter().map(|(lab, row)| cells(lab, row, memory)));
    let columns = lines[0].len();
    let widest = |column: usize| lines.iter().map(|line| line[column].width()).max();
    let widths: Vec<usize> = (0..columns).filter_map(widest).collect();
    let mut text = String::new();
    for line in &lines {
        let mut printed = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            printed += cell;
            printed += &" ".repeat(width - cell.width() + 2);
        }
        text += printed.trim_end();
        text.push('\n');
    }
    text
}

fn cells(lab: &Lab, row: &Model, memory: Option<Target>) -> Vec<String> {
    let parameters = match (row.parameters("total"), row.parameters("active")) {
        (Some(total), Some(active)) => format!("{total} ({active})"),
        (Some(total), None) => total.to_string(),
        (None, Some(active)) => format!("? ({active})"),
        (None, None) => String::new(),
    };
    let bytes = memory.map(|target| row.bytes(target).map(gibibytes).unwrap_or_default());
    let mut cells = vec![
        row.name.clone(),
        lab.in_both_scripts(),
        row.released().map(|date| date.to_string()).unwrap_or_default(),
        parameters,
        row.tokens("context").map(tokens).unwrap_or_default(),
        row.modalities("input").join("+"),
        row.text("weights").unwrap_or_default().to_owned(),
        if row.runs() { "yes".into() } else { String::new() },
    ];
    cells.extend(bytes);
    cells
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

/// `128K`, `1M`: in units of 1,024 where that is exact, else of 1,000.
pub fn tokens(count: u64) -> String {
    const UNITS: [(u64, char); 4] = [(1 << 20, 'M'), (1_000_000, 'M'), (1 << 10, 'K'), (1000, 'K')];
    let exact = UNITS.iter().find(|(unit, _)| count.is_multiple_of(*unit));
    exact.map_or_else(|| count.to_string(), |(unit, letter)| format!("{}{letter}", count / unit))
}

/// The pages' architectures, below their labs.
fn architectures(out: &mut impl Write) -> Result<()> {
    let families = baimo_labs::LABS.iter().flat_map(|lab| lab.families);
    let width = families.map(|family| family.architecture.len()).max().unwrap_or_default();
    for lab in baimo_labs::LABS {
        writeln!(out, "{} ({})", lab.title(), lab.house)?;
        for family in lab.families {
            writeln!(out, "  {:width$}  {}", family.architecture, family.models)?;
        }
    }
    Ok(())
}
