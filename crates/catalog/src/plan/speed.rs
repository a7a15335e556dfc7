//! How fast a model runs on a measured machine: the sum of what its operations take there.

use super::machine::{Cost, Machine, at};
use super::tape::{Attended, Operation, Product, Shape, Tape, Work};
use baimo_kernels::Format;
use baimo_kernels::attention::{KvElement, PAGE};

/// What all operations of a pass share.
#[derive(Clone, Copy)]
struct Pass<'a> {
    machine: &'a Machine,
    shape: &'a Shape,
    /// How much longer work takes than with the threads that were measured.
    slower: f64,
    /// Whether weights come from a cache (0) or from memory (1), or in part.
    beyond: f64,
}

impl Machine {
    /// Seconds of a pass.
    pub fn seconds(&self, tape: &Tape, shape: &Shape) -> f64 {
        self.by_operation(tape, shape).iter().sum()
    }

    /// Seconds of each operation of a pass.
    pub fn by_operation(&self, tape: &Tape, shape: &Shape) -> Vec<f64> {
        // Products and the like share threads evenly; reading does not get faster with them.
        let slower = self.threads as f64 / shape.threads.min(self.threads) as f64;
        let beyond = self.beyond(read_by(tape));
        let pass = Pass { machine: self, shape, slower, beyond };
        tape.operations.iter().map(|operation| pass.of(operation)).collect()
    }

    /// Which share of so many bytes, read again and again, comes from memory.
    fn beyond(&self, bytes: f64) -> f64 {
        let (Some(first), Some(last)) = (self.read.first(), self.read.last()) else { return 1.0 };
        if bytes >= last.rows || last.seconds <= first.seconds {
            return 1.0;
        }
        let share = (at(&self.read, bytes) - first.seconds) / (last.seconds - first.seconds);
        share.clamp(0.0, 1.0)
    }

    /// Seconds for each byte of plain reading beyond every cache.
    fn byte(&self) -> f64 {
        self.read.last().map_or(0.0, |cost| cost.seconds)
    }
}

/// Bytes of weights that the products of a pass read.
fn read_by(tape: &Tape) -> f64 {
    let of = |product: &Product| {
        let Product { matrices, met, gated, .. } = *product;
        let maps = if gated { 2.0 } else { 1.0 };
        let weights = (matrices.rows * matrices.columns) as f64;
        met * maps * weights * matrices.format.bits_per_weight() / 8.0
    };
    let lists = tape.operations.iter().map(|operation| match operation {
        Operation::Products(list) => list.iter().map(of).sum(),
        Operation::Attention(_)
        | Operation::Choice { .. }
        | Operation::Recurrence { .. }
        | Operation::Numbers(..) => 0.0,
    });
    lists.sum()
}

impl Pass<'_> {
    /// Seconds of one operation.
    fn of(&self, operation: &Operation) -> f64 {
        let Pass { machine, shape, slower, .. } = *self;
        let rows = shape.total() as f64;
        match operation {
            Operation::Products(list) => {
                let work: f64 = list.iter().map(|product| self.product(product)).sum();
                work + machine.region_seconds
            }
            Operation::Attention(attended) => {
                // Rows that choose are a task each.
                let tasks = (attended.layout.kv_heads as f64) * rows;
                let idle = attended.chosen.map_or(1.0, |_| self.idle(tasks));
                machine.attended(attended, shape) * slower * idle + machine.region_seconds
            }
            Operation::Choice { heads, dim, keys } => {
                let (asked, costs) = (rows * *keys as f64, &machine.attention);
                let each = costs.asked + costs.asked_number * (heads * dim) as f64;
                asked * each * slower * self.idle(rows) + machine.region_seconds
            }
            Operation::Recurrence { heads, k_dim, v_dim, delta, by_channel } => {
                let pace = match (delta, by_channel) {
                    (_, true) => machine.recurrence.by_channel,
                    (true, false) => machine.recurrence.delta,
                    (false, false) => machine.recurrence.value,
                };
                let each = if shape.rows == 1 { pace.one } else { pace.many };
                rows * (heads * k_dim * v_dim) as f64 * each * slower + machine.region_seconds
            }
            Operation::Numbers(work, count) => machine.worked(*work, *count, slower),
        }
    }

    /// How much longer so few tasks take than if all threads had some.
    fn idle(&self, tasks: f64) -> f64 {
        let threads = self.shape.threads.min(self.machine.threads) as f64;
        threads / threads.min(tasks)
    }

    fn product(&self, product: &Product) -> f64 {
        let Product { matrices, met, height, gated } = *product;
        let weights = (matrices.rows * matrices.columns) as f64;
        let maps = if gated { 2.0 } else { 1.0 };
        // Where reading is what takes the time, fewer threads read as much.
        let read = matrices.format.bits_per_weight() / 8.0 * self.machine.byte() * self.beyond;
        let each = (self.weight(matrices.format, height) * self.slower).max(read);
        let gates = if gated { matrices.rows as f64 * height } else { 0.0 };
        let activated = gates * self.machine.many(Work::Gate) * self.slower;
        met * (maps * weights * each + activated)
    }

    /// Seconds for each weight that so many rows meet.
    fn weight(&self, format: Format, rows: f64) -> f64 {
        let Machine { products, streamed, .. } = self.machine;
        // A format that was not measured takes what the nearest in size takes.
        let apart = |name: &str| {
            let bits = Format::from_name(name).map_or(0.0, Format::bits_per_weight);
            (bits - format.bits_per_weight()).abs()
        };
        let nearest = || products.keys().min_by(|a, b| apart(a).total_cmp(&apart(b)));
        let own = format.name();
        let name = if products.contains_key(own) { Some(own) } else { nearest().map(|s| &**s) };
        let Some(curve) = name.and_then(|name| products.get(name)) else { return 0.0 };
        let cached = at(curve, 1.0);
        let streamed = name.and_then(|name| streamed.get(name)).copied().unwrap_or(cached);
        let from_memory = cached + (streamed - cached).max(0.0) * self.beyond;
        at(curve, rows).max(from_memory)
    }
}

impl Machine {
    fn many(&self, work: Work) -> f64 {
        self.numbers.get(&work).map_or(0.0, |numbers| numbers.many)
    }

    fn worked(&self, work: Work, count: usize, slower: f64) -> f64 {
        let Some(numbers) = self.numbers.get(&work) else { return 0.0 };
        let alone = match work {
            Work::Copy | Work::Lookup | Work::Angles => true,
            Work::Norm | Work::HeadNorm | Work::Rope | Work::Activate | Work::Gate => false,
            Work::Add | Work::Int8 | Work::Int16 | Work::Cache | Work::Convolve => false,
            Work::Route | Work::Mix | Work::Decay => false,
        };
        let count = count as f64;
        let few = count * numbers.few;
        if alone || count <= FEW {
            return numbers.call + few;
        }
        numbers.call + self.region_seconds + (count * numbers.many * slower).min(few)
    }

    fn attended(&self, attended: &Attended, shape: &Shape) -> f64 {
        let Attended { layout, heads, chosen, .. } = *attended;
        let group = (heads / layout.kv_heads).max(1);
        let width = (layout.k_dim + layout.v_dim) as f64;
        let stored = if layout.latent { layout.k_dim } else { layout.k_dim + layout.v_dim } as f64;
        let each = (shape.sequences * layout.kv_heads) as f64;
        let costs = &self.attention;
        if let Some(active) = chosen {
            let rows = shape.position + 1..=shape.position + shape.rows;
            let seconds = rows.map(|reached| match reached > active {
                true => active as f64 * self.chosen(shape, group, stored, width),
                // All of them: whole pages, as they are stored.
                false => reached.next_multiple_of(PAGE) as f64 * self.whole(attended, shape, width),
            });
            return each * seconds.sum::<f64>();
        }
        let rows_max = (ROW_NUMBERS_MAX / layout.v_dim.max(1)).clamp(16, 128);
        let together = group.min(rows_max);
        let parts = group.div_ceil(together) as f64;
        let tokens = (rows_max / together).max(1).min(shape.rows);
        let rows = together * tokens;
        let positions = seen(attended, shape, tokens);
        if rows <= FEW_ROWS && !layout.latent {
            return each * parts * positions * width * at(self.few(shape), rows as f64);
        }
        let padded = rows.next_multiple_of(LANES) as f64;
        let met = match layout.latent {
            true => stored * at(&costs.latent, padded),
            false => padded * (costs.pair + costs.pair_number * width),
        };
        each * parts * positions * met
    }
}

impl Machine {
    /// What a cached number costs that few rows meet.
    fn few(&self, shape: &Shape) -> &[Cost] {
        match shape.element {
            KvElement::F16 => &self.attention.few_f16,
            KvElement::F32 => &self.attention.few_f32,
            KvElement::Q8 => &self.attention.few_q8,
        }
    }

    /// Seconds for a position that all heads of one token meet in a page as it is stored.
    fn whole(&self, attended: &Attended, shape: &Shape, width: f64) -> f64 {
        let group = attended.heads / attended.layout.kv_heads;
        let rows = group.next_multiple_of(LANES) as f64;
        if attended.layout.latent {
            return attended.layout.k_dim as f64 * at(&self.attention.latent, rows);
        }
        if group <= FEW_ROWS {
            return width * at(self.few(shape), group as f64);
        }
        rows * (self.attention.pair + self.attention.pair_number * width)
    }

    /// Seconds for a position that one token of `group` heads chose.
    fn chosen(&self, shape: &Shape, group: usize, stored: f64, width: f64) -> f64 {
        if group <= FEW_ROWS {
            // Blocks are whole pages, which are read as they are stored.
            return width * at(self.few(shape), group as f64);
        }
        let costs = &self.attention;
        let more = (group.next_multiple_of(LANES) - LANES) as f64;
        costs.chosen_number * stored + more * (costs.pair + costs.pair_number * width)
    }
}

/// Positions that all tiles of tokens go through, one tile after the other: whole pages.
fn seen(attended: &Attended, shape: &Shape, tokens: usize) -> f64 {
    let tiles = (0..shape.rows).step_by(tokens).map(|first| {
        let start = shape.position + first;
        let end = shape.position + (first + tokens).min(shape.rows);
        let from = attended.window.map_or(0, |window| (start + 1).saturating_sub(window));
        (end.div_ceil(PAGE) - from / PAGE) * PAGE
    });
    tiles.sum::<usize>() as f64
}

/// Numbers that one thread works on by itself.
const FEW: f64 = 16.0 * 1024.0;
/// Rows that go through a page as it is stored.
const FEW_ROWS: usize = 8;
/// Rows side by side where they are many.
const LANES: usize = 16;
/// Numbers that a task of attention sums at once.
const ROW_NUMBERS_MAX: usize = 32 * 1024;
