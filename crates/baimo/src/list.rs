//! `baimo list`: the architectures that run, from the pages.

use crate::args::List;
use anyhow::Result;
use std::io::Write;

/// Prints a line for each family.
pub fn run(arguments: &List) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if arguments.markdown {
        write!(out, "{}", baimo_labs::markdown_table())?;
        return Ok(());
    }
    for lab in baimo_labs::LABS {
        writeln!(out, "{} {} ({})", lab.name, lab.hanzi, lab.house)?;
        for family in lab.families {
            writeln!(out, "  {:24} {}", family.architecture, family.models)?;
        }
    }
    Ok(())
}
