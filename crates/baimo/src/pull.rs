//! `baimo pull`, `rm` and `prune`: models of hubs come and go.

use crate::args::{Prune, Pull, Rm};
use crate::fetching::{self, Bars};
use anyhow::{Result, bail};
use baimo_catalog::store::{Named, Plan, Removal, Store, human};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::Path;

/// Fetches models, one after the other.
pub(crate) fn pull(arguments: &Pull) -> Result<()> {
    let (store, bars) = (fetching::store(), Bars::new());
    for model in &arguments.models {
        let named = named(model)?;
        let plan = bars.watch(|watch| store.plan(&named.reference, &named.others(), watch))?;
        if arguments.dry_run || plan.missing_bytes() > 0 {
            eprintln!("{plan}");
        }
        if arguments.dry_run {
            report(arguments, &plan, &plan.path(), None)?;
            continue;
        }
        let pulled = fetching::pull(&store, &plan, &bars)?;
        report(arguments, &plan, &pulled.path, Some(pulled.fetched))?;
    }
    Ok(())
}

/// What a model of a hub is called, which a file of that name is not.
fn named(model: &str) -> Result<Named> {
    if let Some(named) = Named::read(model)? {
        return Ok(named);
    }
    let near = baimo_catalog::facts::compiled().near(model);
    let near = match near.is_empty() {
        true => String::new(),
        false => format!("; near it are {}", near.join(", ")),
    };
    bail!(
        "{model}: no name of the catalog{near}\nhint: hf:OWNER/REPO and ms:OWNER/REPO name any \
         model of a hub, `baimo list` those of the catalog"
    )
}

/// The path on stdout, or all there is to know; of a file that a dry run tells of, the latter only.
fn report(arguments: &Pull, plan: &Plan, path: &Path, fetched: Option<u64>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if !arguments.json {
        if fetched.is_some() {
            writeln!(out, "{}", path.display())?;
        }
        return Ok(());
    }
    let file = |planned: &baimo_catalog::store::Planned| {
        json!({
            "path": planned.file.path,
            "bytes": planned.file.size,
            "hash": planned.hash.digits(),
            "missing_bytes": planned.missing_bytes(),
        })
    };
    let report = json!({
        "model": plan.reference().to_string(),
        "commit": plan.commit(),
        "path": path,
        "bytes": plan.bytes(),
        "missing_bytes": plan.missing_bytes(),
        "fetched_bytes": fetched,
        "files": plan.files().iter().map(file).collect::<Value>(),
    });
    writeln!(out, "{report}")?;
    Ok(())
}

/// Removes models, or parts of them.
pub(crate) fn remove(arguments: &Rm) -> Result<()> {
    let store = fetching::store();
    for model in &arguments.models {
        let named = named(model)?;
        if let Some(target) = named.target {
            bail!(
                "{model}: found no files of their own: weights become {} while loading\n\
                 hint: `baimo rm {}` removes what they are made of",
                target.name(),
                named.reference,
            );
        }
        let removal = removal(&store, &named)?;
        finish(removal, arguments.dry_run, arguments.json)?;
    }
    Ok(())
}

/// What is here of a model: that of the hub it is named after, or else of the other.
fn removal(store: &Store, named: &Named) -> Result<Removal> {
    let found = fetching::found(store, named).map(|(found, _)| found);
    Ok(store.removal(found.as_ref().unwrap_or(&named.reference))?)
}

/// Removes what nobody needs.
pub(crate) fn prune(arguments: &Prune) -> Result<()> {
    let removal = fetching::store().unused();
    for busy in &removal.busy {
        eprintln!("{busy}: is being fetched; left alone");
    }
    if removal.items.is_empty() || arguments.dry_run {
        return finish(removal, true, arguments.json);
    }
    if !arguments.yes {
        list(&removal);
        if !std::io::stdin().is_terminal() {
            bail!("{} to remove\nhint: --yes removes without asking", human(removal.bytes()));
        }
        if !fetching::agreed(&format!("remove {}?", human(removal.bytes())))? {
            return Ok(());
        }
    }
    finish(removal, false, arguments.json)
}

fn list(removal: &Removal) {
    for item in &removal.items {
        eprintln!("{:>8}  {}  {}", human(item.bytes), item.what, item.path.display());
    }
}

/// Removes, or does not, and says what.
fn finish(removal: Removal, dry: bool, as_json: bool) -> Result<()> {
    let items: Value = removal
        .items
        .iter()
        .map(|item| json!({ "path": item.path, "what": item.what, "bytes": item.bytes }))
        .collect();
    let bytes = removal.bytes();
    if dry && !as_json {
        list(&removal);
    }
    if !dry {
        removal.carry_out()?;
    }
    let mut out = std::io::stdout().lock();
    match as_json {
        true => writeln!(out, "{}", json!({ "bytes": bytes, "removed": !dry, "items": items }))?,
        false if dry => writeln!(out, "{} could be freed", human(bytes))?,
        false => writeln!(out, "{} freed", human(bytes))?,
    }
    Ok(())
}
