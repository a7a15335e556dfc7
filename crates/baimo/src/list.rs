//! `baimo list`: the architectures that run, from the pages.

use crate::args::List;
use crate::local;
use anyhow::Result;
use std::io::Write;

/// Prints a line for each family.
pub fn run(arguments: &List) -> Result<()> {
    if arguments.local {
        return local::list(arguments.json);
    }
    let mut out = std::io::stdout().lock();
    if arguments.markdown {
        write!(out, "{}", baimo_labs::markdown_table())?;
        return Ok(());
    }
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
