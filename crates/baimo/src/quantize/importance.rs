//! How much each column of a model's maps matters: what they are multiplied with over a text, or
//! what a file says of it.

use crate::args::{Loading, Quantize};
use crate::corpus::Corpus;
use crate::session::{self, Alone};
use crate::source::Source;
use anyhow::{Context, Result, bail};
use baimo_engine::{KvElement, Request};
use baimo_weights::{Draft, Importance};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::Path;

/// Tokens of a chunk, as GGUF tools have it.
const CONTEXT: usize = 512;

/// What the arguments ask for, if anything, in the names and shapes of the file to be; and writes
/// it where they say. `model` is where the model lies, which only a text needs.
///
/// # Errors
/// If a file or text cannot be read, the model not be run, or the file is of another model.
pub fn wanted(arguments: &Quantize, draft: &Draft, model: &Path) -> Result<Option<Importance>> {
    let importance = match (&arguments.imatrix, &arguments.imatrix_from) {
        (Some(path), _) => {
            let mut importance = Importance::read(path)?;
            fit(&mut importance, draft)?;
            importance
        }
        (None, Some(text)) => measured(arguments, text, draft, &Source::at(model.to_owned())?)?,
        (None, None) if arguments.imatrix_out.is_some() => bail!(
            "--imatrix-out: found no importance to keep\nhint: --imatrix-from TEXT measures it"
        ),
        (None, None) => return Ok(None),
    };
    if let Some(path) = arguments.imatrix_out.as_ref().filter(|_| !arguments.dry_run) {
        importance.write(path, CONTEXT)?;
    }
    Ok(Some(importance))
}

/// Runs the model over a text.
fn measured(
    arguments: &Quantize,
    text: &Path,
    draft: &Draft,
    source: &Source,
) -> Result<Importance> {
    let corpus = Corpus { text: Some(text), ids: None, context: CONTEXT, chunks_max: None };
    let chunks = corpus.chunks(source, None)?;
    let loading = Loading {
        weights: None,
        threads: arguments.threads,
        no_cache: true,
        cache_limit: None,
        memory: None,
        // It is here already.
        yes: false,
    };
    let alone = Alone { positions: CONTEXT, element: KvElement::F16, rows_at_once: CONTEXT };
    let mut engine = session::observed(source, &loading, alone)?;
    let bar = ProgressBar::new(chunks.len() as u64);
    let style = "reading {bar:30} {pos}/{len} chunks {elapsed} (ETA {eta})";
    bar.set_style(ProgressStyle::with_template(style).expect("the template is ours"));
    for tokens in &chunks {
        let last = tokens.len() - 1;
        let request =
            Request { tokens: tokens.clone(), observed: vec![last], ..Request::default() };
        engine.submit(request)?;
        while !engine.is_idle() {
            engine.step()?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut importance = Importance::default();
    for inputs in engine.model().inputs() {
        let Some(map) = draft.map(inputs.tensor).filter(|map| map.name.starts_with(LAYERS)) else {
            continue;
        };
        let (matrices, matrix) = match (map.shape[..].len(), inputs.part) {
            (3, Some(part)) => (map.shape[0], part),
            _ => (1, 0),
        };
        if map.shape.last() == Some(&inputs.squares.len()) {
            importance.add(&map.name, matrices, matrix, &inputs.squares, inputs.rows);
        }
    }
    importance.chunks = chunks.len();
    importance.texts = vec![text.display().to_string()];
    let (known, tokens) = (importance.maps().count(), chunks.len() * CONTEXT);
    eprintln!("{}: {tokens} tokens, the importance of {known} maps", text.display());
    Ok(importance)
}

/// What begins the names of maps whose columns are weighed: those in layers. The output map is
/// rounded so finely that it makes no difference.
const LAYERS: &str = "blk.";

/// Takes stacks apart, and refuses what is of another model.
fn fit(importance: &mut Importance, draft: &Draft) -> Result<()> {
    let mut known = 0;
    for tensor in draft.tensors() {
        let Some((columns, outer)) = tensor.shape.split_last() else { continue };
        let matrices = if let [matrices, _] = outer { *matrices } else { 1 };
        importance.apart(&tensor.name, matrices, *columns);
        let Some(found) = importance.columns(&tensor.name) else { continue };
        if found != *columns {
            bail!(
                "importance of `{}`: found {found} columns, wanted {columns}\nhint: it is of \
                 another model",
                tensor.name.escape_debug(),
            );
        }
        known += 1;
    }
    (known > 0).then_some(()).context("the importance matrix knows none of the model's maps")
}
