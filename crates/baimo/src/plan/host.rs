//! The machine that a model is planned for.

use crate::cache;
use anyhow::{Context, Result, bail};
use baimo_catalog::plan::probe::Scope;
use baimo_catalog::plan::{Chip, Host, Machine, probe};
use std::path::{Path, PathBuf};

/// What is said where this machine was not measured.
pub const UNKNOWN: &str =
    "speed is not known: `baimo plan --probe` measures this machine (about 10 seconds)";

/// Where the figures of this machine are kept.
fn place() -> PathBuf {
    cache::folder().join("baimo-machine.json")
}

/// The machine of that name; nothing where this one is meant and was not measured.
///
/// # Errors
/// Where there is no such file and no such chip, or the file is damaged.
pub fn find(name: &str) -> Result<Option<Host>> {
    if name == "this" {
        let place = place();
        return if place.exists() { read(&place).map(Some) } else { Ok(None) };
    }
    if let Some(chip) = Chip::named(name) {
        return Ok(Some(Host::Sheet(Box::new(chip))));
    }
    let path = Path::new(name);
    if !path.exists() {
        let names: Vec<String> = Chip::all().into_iter().map(|chip| chip.name).collect();
        let names = names.join(", ");
        bail!("machine `{name}`: no such file\nhint: give `this`, a file of --probe, or {names}");
    }
    read(path).map(Some)
}

fn read(path: &Path) -> Result<Host> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let machine: Machine = serde_json::from_slice(&bytes).with_context(|| {
        format!("{}: not what `baimo plan --probe` writes; measure anew", path.display())
    })?;
    Ok(Host::Measured(Box::new(machine)))
}

/// Measures this machine and keeps the figures.
///
/// # Errors
/// Where they cannot be written.
pub fn probe(threads: usize) -> Result<()> {
    let machine = measured(&Scope::all(threads), &mut |what| eprintln!("measuring: {what}"));
    let place = place();
    let text = serde_json::to_string_pretty(&machine)?;
    std::fs::write(&place, text).with_context(|| place.display().to_string())?;
    let read = machine.read.last().map_or(0.0, |cost| 1e-9 / cost.seconds);
    println!("{}, {}, {} threads", machine.name, machine.instructions, machine.threads);
    println!("{read:.1} GB/s read; the figures are in {}", place.display());
    Ok(())
}

/// What a measurement of this machine gives; `told` hears what comes next.
pub fn measured(scope: &Scope, told: &mut dyn FnMut(&str)) -> Machine {
    let date = chrono::Local::now().format("%Y-%m-%d").to_string();
    probe::probe(scope, processor(), date, told)
}

/// What the system calls the processor.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned());
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// Bytes of memory of a machine, where they are known; those of this one where none is named.
pub fn memory(host: Option<&Host>) -> Option<usize> {
    match host {
        Some(Host::Sheet(chip)) => chip.memory(),
        Some(Host::Measured(_)) | None => of_this_machine(),
    }
}

/// Bytes that processes may use here, where the system tells.
fn of_this_machine() -> Option<usize> {
    baimo_weights::linux_bytes("/proc/meminfo", "MemTotal").map(|bytes| bytes as usize)
}
