//! Some layers as models have them: in a pass every operation reads what another one, on another
//! thread, has just written, and has been away from the nearest caches since the layer before.

use super::super::machine::{Beside, Machine};
use super::super::tape::{Attended, Matrices, Operation, Product, Shape, Tape, Work};
use super::products::matrix;
use super::{numbers, seconds};
use baimo_kernels::activation::{Activation, add_scaled};
use baimo_kernels::attention::{
    Attention, AttentionSpan, KvElement, KvLayout, KvStore, PAGE, attention,
};
use baimo_kernels::matmul::{self, Activations, Gate, Matrix, products};
use baimo_kernels::norm::{rms_norm, rms_norm_heads};
use baimo_kernels::rope::{RopeStyle, rope};
use baimo_kernels::{Format, HeadLayout, Kernels};

const FORMAT: Format = Format::Q8_0;
const HIDDEN: usize = 1024;
const INNER: usize = 2048;
const DIM: usize = 128;
const HEADS: usize = HIDDEN / DIM;
const LAYOUT: KvLayout =
    KvLayout { kv_heads: 2, k_dim: DIM, v_dim: DIM, latent: false, element: KvElement::F16 };
const CACHED: usize = LAYOUT.kv_heads * DIM;
/// So many that their weights have left the nearest caches, and are still in the last.
const LAYERS: usize = 4;
/// Rows of a prompt.
const PROMPT: usize = 512;

/// What operations take on `machine` beside what they take by themselves.
pub(super) fn measure(kernels: &Kernels, machine: &Machine) -> Beside {
    let mut layers: Vec<Layer> = (0..LAYERS).map(|_| Layer::new()).collect();
    // What is missing, how many operations there are, and what is planned for those by row.
    let mut missing = |rows: usize| {
        let mut memory = Memory::new(rows);
        let found = seconds(|| layers.iter_mut().for_each(|layer| layer.run(kernels, &mut memory)));
        let operations: Vec<Operation> = (0..LAYERS).flat_map(|_| operations(rows)).collect();
        let tape = Tape { operations, ..Tape::default() };
        let threads = kernels.pool.threads();
        let element = LAYOUT.element;
        let shape = Shape { sequences: 1, rows, position: 0, wanted: 0, element, threads };
        let planned = machine.by_operation(&tape, &shape);
        let each = tape.operations.iter().zip(&planned);
        let by_row = each.filter(|(operation, _)| operation.is_by_row());
        let by_row: f64 = by_row.map(|(_, seconds)| seconds).sum();
        let more = found - planned.iter().sum::<f64>();
        (more.max(0.0), planned.len() as f64, by_row)
    };
    let (one, count, _) = missing(1);
    let (many, _, by_row) = missing(PROMPT);
    Beside { one: one / count, many: many / by_row }
}

/// One layer's weights and cache.
struct Layer {
    q: Matrix,
    k: Matrix,
    v: Matrix,
    o: Matrix,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
    store: KvStore,
}

/// What passes through layers.
struct Memory {
    rows: usize,
    x: Vec<f32>,
    normed: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    mixed: Vec<f32>,
    inner: Vec<f32>,
    out: Vec<f32>,
    cos: Vec<f32>,
    sin: Vec<f32>,
    weight: Vec<f32>,
    pages: Vec<u32>,
}

impl Memory {
    fn new(rows: usize) -> Memory {
        let of = |width: usize| numbers(rows * width);
        Memory {
            rows,
            x: of(HIDDEN),
            normed: of(HIDDEN),
            q: of(HIDDEN),
            k: of(CACHED),
            v: of(CACHED),
            mixed: of(HIDDEN),
            inner: of(INNER),
            out: of(HIDDEN),
            cos: vec![0.6; rows * DIM / 2],
            sin: vec![0.8; rows * DIM / 2],
            weight: vec![1.0; HIDDEN],
            pages: (0..rows.div_ceil(PAGE) as u32).collect(),
        }
    }
}

impl Layer {
    fn new() -> Layer {
        let of = |rows: usize, columns: usize| matrix(FORMAT, rows, columns);
        Layer {
            q: of(HIDDEN, HIDDEN),
            k: of(CACHED, HIDDEN),
            v: of(CACHED, HIDDEN),
            o: of(HIDDEN, HIDDEN),
            gate: of(INNER, HIDDEN),
            up: of(INNER, HIDDEN),
            down: of(HIDDEN, INNER),
            store: KvStore::new(LAYOUT, PROMPT / PAGE),
        }
    }

    /// What [`operations`] says.
    fn run(&mut self, kernels: &Kernels, memory: &mut Memory) {
        self.mix(kernels, memory);
        let Memory { x, normed, inner, out, weight, .. } = memory;
        rms_norm(kernels, x, HIDDEN, Some(weight), 1e-6, normed);
        let gate = Gate { weights: &self.gate, activation: Activation::Silu };
        multiply(kernels, normed, [(&self.up, &mut inner[..])], Some(gate));
        multiply(kernels, inner, [(&self.down, &mut out[..])], None);
        add_scaled(kernels, x, out, 1e-3);
    }

    fn mix(&mut self, kernels: &Kernels, memory: &mut Memory) {
        let Memory { x, normed, q, k, v, mixed, out, cos, sin, weight, pages, .. } = memory;
        rms_norm(kernels, x, HIDDEN, Some(weight), 1e-6, normed);
        let all = [(&self.q, &mut q[..]), (&self.k, &mut k[..]), (&self.v, &mut v[..])];
        multiply(kernels, normed, all, None);
        let heads = HeadLayout::packed(HEADS, DIM);
        rms_norm_heads(kernels, q, heads, Some(&weight[..DIM]), 1e-6);
        rope(kernels, q, heads, cos, sin, RopeStyle::Half);
        self.store.write(kernels, pages, 0, k, v);
        let how = Attention::causal(HEADS, 0.08);
        let span = AttentionSpan::causal(0, memory.rows, 0, pages);
        attention(kernels, &how, q, &self.store, &[span], mixed);
        multiply(kernels, mixed, [(&self.o, &mut out[..])], None);
        add_scaled(kernels, x, out, 1e-3);
    }
}

fn multiply<const N: usize>(
    kernels: &Kernels,
    x: &[f32],
    maps: [(&Matrix, &mut [f32]); N],
    gate: Option<Gate>,
) {
    let columns = maps[0].0.columns();
    let input = &Activations::new(kernels, x, columns, maps.iter().map(|(weights, _)| *weights));
    let product =
        |(weights, output)| matmul::Product { weights, gate, input, input_rows: None, output };
    products(kernels, &mut maps.map(product));
}

/// Of a layer and so many rows.
fn operations(rows: usize) -> Vec<Operation> {
    let product = |outputs: usize, columns: usize| {
        let matrices = Matrices { format: FORMAT, rows: outputs, columns, count: 1 };
        Product::of(matrices, rows)
    };
    let work = |work: Work, width: usize| Operation::Numbers(work, rows * width);
    let one = |product: Product| Operation::Products(vec![product]);
    let attended = Attended { layout: LAYOUT, heads: HEADS, window: None, chosen: None };
    let maps = [HIDDEN, CACHED, CACHED].map(|outputs| product(outputs, HIDDEN));
    vec![
        work(Work::Norm, HIDDEN),
        work(Work::Int16, HIDDEN),
        Operation::Products(maps.to_vec()),
        work(Work::HeadNorm, HIDDEN),
        work(Work::Rope, HIDDEN),
        work(Work::Cache, 2 * CACHED),
        Operation::Attention(attended),
        work(Work::Int16, HIDDEN),
        one(product(HIDDEN, HIDDEN)),
        work(Work::Add, HIDDEN),
        work(Work::Norm, HIDDEN),
        work(Work::Int16, HIDDEN),
        one(Product { gated: true, ..product(INNER, HIDDEN) }),
        work(Work::Int16, INNER),
        one(product(HIDDEN, INNER)),
        work(Work::Add, HIDDEN),
    ]
}
