//! How fast a model runs on a measured machine: the sum of what its operations take there.

use super::machine::{Machine, at, between};
use super::tape::{Attended, Operation, Product, Shape, Tape, Work};
use baimo_kernels::Format;
use baimo_kernels::attention::{FEW_ROWS, GROUP_ROWS, IndexLayout, PAGE, RANGE, rows_together};
use baimo_kernels::threads::WORTH_A_CHUNK;
use std::collections::BTreeMap;

/// What all operations of a pass share.
#[derive(Clone, Copy)]
struct Pass<'a> {
    machine: &'a Machine,
    shape: &'a Shape,
    /// How much longer work takes than with the threads that were measured.
    slower: f64,
    /// Bytes that this pass reads.
    read: f64,
    /// Bytes that passes like this one read, now these, now those.
    touched: f64,
    /// Which share of what every pass reads comes from memory.
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
        let each = tape.operations.iter().map(|operation| bytes(operation, shape));
        let (read, touched) = each.fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
        let pass = Pass { machine: self, shape, slower, read, touched, beyond: self.beyond(read) };
        tape.operations.iter().map(|operation| pass.of(operation)).collect()
    }

    /// Which share of so many bytes, read one after the other again and again, comes from memory.
    fn beyond(&self, bytes: f64) -> f64 {
        let curve = self.streamed.get(Format::Q8_0.name()).unwrap_or(&self.read);
        let (Some(first), Some(last)) = (curve.first(), curve.last()) else { return 1.0 };
        if bytes >= last.rows || last.seconds <= first.seconds {
            return 1.0;
        }
        let share = (at(curve, bytes) - first.seconds) / (last.seconds - first.seconds);
        share.clamp(0.0, 1.0)
    }

    /// Seconds for each byte of plain reading beyond every cache.
    fn byte(&self) -> f64 {
        self.read.last().map_or(0.0, |cost| cost.seconds)
    }
}

/// Bytes that an operation reads in one pass, and in one or another: other tokens choose other
/// experts.
fn bytes(operation: &Operation, shape: &Shape) -> (f64, f64) {
    if let Operation::Products(list) = operation {
        let of = |product: &Product| {
            let Product { matrices, met, gated, .. } = *product;
            let maps = if gated { 2.0 } else { 1.0 };
            let weights = maps * (matrices.rows * matrices.columns) as f64;
            let each = weights * matrices.format.bits_per_weight() / 8.0;
            (each * met, each * matrices.count as f64)
        };
        return list.iter().map(of).fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
    }
    let cached = cached(operation, shape);
    (cached, cached)
}

/// Bytes of caches that an operation reads.
fn cached(operation: &Operation, shape: &Shape) -> f64 {
    let sequences = shape.sequences as f64;
    match operation {
        Operation::Attention(attended) => {
            let Attended { layout, window, .. } = *attended;
            let reached = shape.position + shape.rows;
            let seen = window.map_or(reached, |window| reached.min(window + shape.rows));
            sequences * (seen.div_ceil(PAGE) * layout.bytes_per_page()) as f64
        }
        Operation::Choice { dim, keys, .. } => {
            let layout = IndexLayout { dim: *dim, element: shape.element };
            sequences * (keys.div_ceil(PAGE) * layout.bytes_per_page()) as f64
        }
        Operation::BlockChoice { kv_heads, dim, keys, .. } => {
            sequences * (keys * kv_heads * dim * size_of::<f32>()) as f64
        }
        Operation::Recurrence { heads, k_dim, v_dim, .. } => {
            sequences * (heads * k_dim * v_dim * size_of::<f32>()) as f64
        }
        Operation::Products(_) | Operation::Numbers(..) => 0.0,
    }
}

impl Pass<'_> {
    /// Seconds of one operation among others.
    fn of(&self, operation: &Operation) -> f64 {
        let (alone, beside) = (self.alone(operation), self.machine.beside);
        match self.shape.rows {
            1 => alone + beside.one,
            _ if operation.is_by_row() => alone * (1.0 + beside.many),
            _ => alone,
        }
    }

    /// Seconds of one operation by itself.
    fn alone(&self, operation: &Operation) -> f64 {
        let Pass { machine, shape, slower, .. } = *self;
        let rows = shape.total() as f64;
        match operation {
            Operation::Products(list) => {
                let work: f64 = list.iter().map(|product| self.product(product)).sum();
                work + machine.region_seconds
            }
            Operation::Attention(attended) => {
                let call = machine.attention.call.max(machine.region_seconds);
                self.attended(attended) * slower * self.idle(self.tasks(attended)) + call
            }
            Operation::Choice { heads, dim, keys } => {
                let (asked, costs) = (rows * *keys as f64, &machine.attention);
                // All threads score, and then each row is chosen for by one of them.
                let number = of_element(&costs.asked_number, shape).copied().unwrap_or_default();
                let each = costs.asked * self.idle(rows) + number * (heads * dim) as f64;
                asked * each * slower + 2.0 * machine.region_seconds
            }
            Operation::BlockChoice { heads, kv_heads, dim, keys } => {
                let (asked, costs) = (rows * (heads * keys) as f64, &machine.attention);
                let each = costs.pooled + costs.pooled_number * *dim as f64;
                let idle = self.idle(rows * *kv_heads as f64);
                asked * each * slower * idle + machine.region_seconds
            }
            Operation::Recurrence { heads, k_dim, v_dim, delta, by_channel } => {
                let pace = match (delta, by_channel) {
                    (_, true) => machine.recurrence.by_channel,
                    (true, false) => machine.recurrence.delta,
                    (false, false) => machine.recurrence.value,
                };
                let each = match shape.rows {
                    1 => between(pace.one, pace.one_memory, self.beyond),
                    _ => pace.many,
                };
                rows * (heads * k_dim * v_dim) as f64 * each * slower + machine.region_seconds
            }
            Operation::Numbers(work, count) => machine.worked(*work, *count, slower),
        }
    }

    /// Into how many tasks attention falls at most.
    fn tasks(&self, attended: &Attended) -> f64 {
        let Attended { layout, heads, window, chosen } = *attended;
        // Query heads go apart where tasks are few, those of a latent layer in groups.
        let parts = if layout.latent { heads.div_ceil(GROUP_ROWS) } else { heads };
        let reached = self.shape.position + self.shape.rows;
        let seen = window.map_or(reached, |window| reached.min(window));
        let ranges = if chosen.is_some() { 1 } else { seen.div_ceil(RANGE) };
        (self.shape.total() * parts * ranges) as f64
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
        // What lies between a weight and its next turn: an expert's comes after some passes.
        let apart = (self.read * matrices.count as f64 / met).min(self.touched);
        // Where reading is what takes the time, fewer threads read as much.
        let beyond = self.machine.beyond(apart);
        let read = matrices.format.bits_per_weight() / 8.0 * self.machine.byte() * beyond;
        let each = (self.weight(matrices.format, height, apart) * self.slower).max(read);
        let gates = if gated { matrices.rows as f64 * height } else { 0.0 };
        let activated = gates * self.machine.many(Work::Gate) * self.slower;
        met * (maps * weights * each + activated)
    }

    /// Seconds for each weight that so many rows meet, and again after so many bytes.
    fn weight(&self, format: Format, rows: f64, apart: f64) -> f64 {
        let Machine { products, streamed, .. } = self.machine;
        // A format that was not measured takes what the nearest in size takes.
        let away = |name: &str| {
            let bits = Format::from_name(name).map_or(0.0, Format::bits_per_weight);
            (bits - format.bits_per_weight()).abs()
        };
        let nearest = || products.keys().min_by(|a, b| away(a).total_cmp(&away(b)));
        let own = format.name();
        let name = if products.contains_key(own) { Some(own) } else { nearest().map(|s| &**s) };
        let Some(curve) = name.and_then(|name| products.get(name)) else { return 0.0 };
        let streamed = |name: &str| {
            let sizes = streamed.get(name)?;
            Some(at(sizes, apart).min(sizes.last()?.seconds))
        };
        let from_memory = name.and_then(streamed).or_else(|| {
            let known = Format::Q8_0;
            let bits = format.bits_per_weight() / known.bits_per_weight();
            Some(streamed(known.name())? * bits)
        });
        at(curve, rows).max(from_memory.unwrap_or_default())
    }

    /// Seconds of softmax attention.
    fn attended(&self, attended: &Attended) -> f64 {
        let Pass { machine: Machine { attention: costs, .. }, shape, .. } = *self;
        let Attended { layout, heads, chosen, .. } = *attended;
        let group = (heads / layout.kv_heads).max(1);
        let width = (layout.k_dim + layout.v_dim) as f64;
        let each = (shape.sequences * layout.kv_heads) as f64;
        if let Some(active) = chosen {
            // Where tasks are fewer than threads, parts of a token's heads gather each for itself.
            let parts = shape.threads.div_ceil(shape.total() * layout.kv_heads);
            let together = group.div_ceil(parts).next_multiple_of(GROUP_ROWS).min(group);
            let parts = group.div_ceil(together) as f64;
            let rows = shape.position + 1..=shape.position + shape.rows;
            let seconds = rows.map(|reached| match reached > active {
                true => active as f64 * parts * self.chosen(attended, together, width),
                // All of them: whole pages, as they are stored.
                false => reached.next_multiple_of(PAGE) as f64 * self.whole(attended, width),
            });
            return each * seconds.sum::<f64>();
        }
        let rows_max = rows_together(layout.v_dim);
        let together = group.min(rows_max);
        let parts = group.div_ceil(together) as f64;
        let tokens = (rows_max / together).max(1).min(shape.rows);
        let rows = together * tokens;
        let positions = attended.seen(shape, tokens);
        if rows <= FEW_ROWS && !layout.latent {
            return each * parts * positions * width * self.few(rows);
        }
        let padded = rows.next_multiple_of(GROUP_ROWS) as f64;
        let met = match layout.latent {
            true => layout.k_dim as f64 * costs.latent.at(padded, self.reread()),
            false => padded * (costs.pair + costs.pair_number * width),
        };
        each * parts * positions * met
    }

    /// The share of cached rows that comes from memory: rows of a prompt read the same again and
    /// again.
    fn reread(&self) -> f64 {
        if self.shape.rows == 1 { self.beyond } else { 0.0 }
    }

    /// What a cached number costs that so few rows meet.
    fn few(&self, rows: usize) -> f64 {
        let of = of_element(&self.machine.attention.few, self.shape);
        of.map_or(0.0, |of| of.at(rows as f64, self.reread()))
    }

    /// Seconds for a position that all heads of one token meet in a page as it is stored.
    fn whole(&self, attended: &Attended, width: f64) -> f64 {
        let costs = &self.machine.attention;
        let group = attended.heads / attended.layout.kv_heads;
        let rows = group.next_multiple_of(GROUP_ROWS) as f64;
        if attended.layout.latent {
            return attended.layout.k_dim as f64 * costs.latent.at(rows, self.reread());
        }
        if group <= FEW_ROWS {
            return width * self.few(group);
        }
        rows * (costs.pair + costs.pair_number * width)
    }

    /// Seconds for a position that one token of `group` heads chose.
    fn chosen(&self, attended: &Attended, group: usize, width: f64) -> f64 {
        if group <= FEW_ROWS {
            // Blocks are whole pages, which are read as they are stored.
            return width * self.few(group);
        }
        let (costs, layout) = (&self.machine.attention, attended.layout);
        let values = if layout.latent { 0 } else { layout.v_dim };
        let stored = (layout.k_dim + values) as f64;
        let more = (group.next_multiple_of(GROUP_ROWS) - GROUP_ROWS) as f64;
        let gathered = match self.shape.rows {
            1 => between(costs.chosen_number.one, costs.chosen_number.one_memory, self.beyond),
            _ => costs.chosen_number.many,
        };
        gathered * stored + more * (costs.pair + costs.pair_number * width)
    }
}

/// What was measured of numbers that are stored as the shape says, or of any.
fn of_element<'a, T>(costs: &'a BTreeMap<String, T>, shape: &Shape) -> Option<&'a T> {
    costs.get(shape.element.name()).or_else(|| costs.values().next())
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
            Work::Route | Work::Mix | Work::Decay | Work::Permute => false,
        };
        let count = count as f64;
        let few = count * numbers.few;
        if count <= WORTH_A_CHUNK as f64 {
            return numbers.call + few;
        }
        if alone {
            return numbers.call + count * numbers.many;
        }
        numbers.call + self.region_seconds + (count * numbers.many * slower).min(few)
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::{Attention, Beside, Cost, Pace, Recurrence, Sourced};
    use super::super::tape::Matrices;
    use super::*;
    use baimo_kernels::attention::{KvElement, KvLayout};

    /// Two threads; what comes from memory takes twice as long, from 100 MB on.
    fn machine() -> Machine {
        let cost = |rows: f64, seconds: f64| Cost { rows, seconds };
        let format = Format::Q8_0.name().to_owned();
        let few = Sourced { cached: vec![cost(1.0, 1.0)], memory: vec![cost(1.0, 2.0)] };
        let pace = Pace { one: 1.0, one_memory: 2.0, many: 1.0 };
        Machine {
            name: String::new(),
            date: String::new(),
            threads: 2,
            instructions: String::new(),
            read: Vec::new(),
            region_seconds: 0.0,
            products: BTreeMap::from([(format.clone(), vec![cost(1.0, 1.0)])]),
            streamed: BTreeMap::from([(format, vec![cost(50e6, 1.0), cost(100e6, 2.0)])]),
            attention: Attention {
                call: 0.0,
                few: BTreeMap::from([(KvElement::F16.name().to_owned(), few.clone())]),
                pair: 1.0,
                pair_number: 1.0,
                latent: few,
                chosen_number: pace,
                asked: 1.0,
                asked_number: BTreeMap::new(),
                pooled: 1.0,
                pooled_number: 0.0,
            },
            recurrence: Recurrence { value: pace, delta: pace, by_channel: pace },
            numbers: BTreeMap::new(),
            beside: Beside::default(),
        }
    }

    fn shape(rows: usize, position: usize) -> Shape {
        let element = KvElement::F16;
        Shape { sequences: 1, rows, position, wanted: 1, element, threads: 2 }
    }

    fn seconds(operations: Vec<Operation>, shape: &Shape) -> Vec<f64> {
        machine().by_operation(&Tape { operations, ..Tape::default() }, shape)
    }

    #[test]
    fn what_the_last_cache_keeps_is_all_that_passes_read_together() {
        let matrices = Matrices { format: Format::Q8_0, rows: 1000, columns: 1000, count: 40 };
        let products = Operation::Products(vec![Product::of(matrices, 1)]);
        let layout =
            KvLayout { kv_heads: 1, k_dim: 64, v_dim: 64, latent: false, element: KvElement::F16 };
        let attended = Attended { layout, heads: 1, window: None, chosen: None };
        let alone = seconds(vec![products.clone()], &shape(1, 300_000));
        assert!((alone[0] - 40e6).abs() < 1.0, "{alone:?}");
        // 77 MB of cached rows beside 43 MB of weights leave room for neither.
        let both = seconds(vec![products, Operation::Attention(attended)], &shape(1, 300_000));
        assert!((both[0] - 80e6).abs() < 1.0, "{both:?}");
        assert!((both[1] / 300_032.0 / 128.0 - 2.0).abs() < 1e-9, "{both:?}");
    }

    #[test]
    fn experts_come_again_after_some_passes() {
        let matrices = Matrices { format: Format::Q8_0, rows: 1000, columns: 1000, count: 100 };
        let few = Product { matrices, met: 20.0, height: 1.0, gated: false };
        let of = |product| seconds(vec![Operation::Products(vec![product])], &shape(1, 0))[0];
        assert!((of(few) - 40e6).abs() < 1.0, "all are 106 MB, and come one after the other");
        let always = Matrices { count: 20, ..matrices };
        assert!((of(Product::of(always, 1)) - 20e6).abs() < 1.0, "the same 21 MB each time");
    }

    #[test]
    fn rows_that_choose_are_a_task_each() {
        let choice = Operation::Choice { heads: 4, dim: 8, keys: 100 };
        let of = |rows: usize| seconds(vec![choice.clone()], &shape(rows, 100))[0];
        assert!((of(1) - 200.0).abs() < 1e-9, "one thread waits: {}", of(1));
        assert!((of(2) - 200.0).abs() < 1e-9, "both work: {}", of(2));
    }
}
