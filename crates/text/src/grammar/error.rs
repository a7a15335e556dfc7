//! What can be wrong with a grammar that somebody asks for.

/// A grammar that is malformed, too large, or asks for what cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// More of something than a request may have.
    #[error("{what}: found {found}, at most {most} are taken (hint: {hint})")]
    TooLarge {
        /// What there is too much of, and where.
        what: String,
        /// How much there is.
        found: usize,
        /// How much there may be.
        most: usize,
        /// What to try.
        hint: &'static str,
    },
    /// A JSON schema that is malformed, contradictory or asks for what is not supported.
    #[error("JSON schema, at `{pointer}`: {fault}")]
    Schema {
        /// The place in the schema, as a JSON pointer; empty where it is the whole.
        pointer: String,
        /// What was found there, and what was wanted.
        fault: String,
    },
    /// A grammar that cannot be read.
    #[error("{kind}, line {line}: {fault}")]
    Syntax {
        /// What it was read as.
        kind: &'static str,
        /// The line, from 1; 0 where it is not known.
        line: usize,
        /// What was found there, and what was wanted.
        fault: String,
    },
    /// A grammar that takes more time or memory than a request may have.
    #[error("the grammar is too complex: {fault} (hint: {hint})")]
    TooComplex {
        /// Which limit was met.
        fault: String,
        /// What to try.
        hint: &'static str,
    },
    /// The model's way of calling tools cannot be constrained as asked.
    #[error("tool `{tool}`: {fault}")]
    Tool {
        /// The tool's name, or what was asked for.
        tool: String,
        /// Why not.
        fault: String,
    },
}

impl GrammarError {
    pub(super) fn schema(pointer: &str, fault: impl Into<String>) -> GrammarError {
        GrammarError::Schema { pointer: pointer.to_owned(), fault: fault.into() }
    }

    pub(super) fn syntax(kind: &'static str, line: usize, fault: impl Into<String>) -> Self {
        GrammarError::Syntax { kind, line, fault: fault.into() }
    }

    /// The same, of a tool's parameters.
    pub(super) fn of_tool(self, tool: &str) -> GrammarError {
        GrammarError::tool(tool, format!("its parameters: {self}"))
    }

    pub(super) fn tool(tool: &str, fault: impl Into<String>) -> GrammarError {
        GrammarError::Tool { tool: tool.to_owned(), fault: fault.into() }
    }
}
