//! What is counted, in Prometheus' text format, by the names that vLLM has where the meaning is the
//! same.

use crate::model::End;
use baimo_engine::{Engine, Forward, Stats};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Upper bounds of the buckets of times, in seconds.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Upper bounds of the buckets of token counts.
const TOKENS: [f64; 12] =
    [1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0];

/// All that is counted, for each model.
#[derive(Debug, Default)]
pub struct Metrics {
    models: Mutex<BTreeMap<String, Arc<Mutex<Counted>>>>,
}

/// What is counted of one model.
#[derive(Debug)]
struct Counted {
    /// How the engine stood after its last turn.
    engine: Stats,
    prompt_tokens: u64,
    generation_tokens: u64,
    finished: BTreeMap<&'static str, u64>,
    first_token: Histogram,
    per_token: Histogram,
    whole: Histogram,
    prompts: Histogram,
    generations: Histogram,
}

/// A series of one number: its name, its kind, and where it is.
type Number = (&'static str, &'static str, fn(&Counted) -> f64);
/// A series of buckets: its name and where they are.
type Times = (&'static str, fn(&Counted) -> &Histogram);

#[derive(Debug)]
struct Histogram {
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, counts: vec![0; bounds.len()], sum: 0.0, count: 0 }
    }

    fn add(&mut self, value: f64) {
        let reached = self.bounds.iter().zip(&mut self.counts);
        reached.filter(|(bound, _)| value <= **bound).for_each(|(_, count)| *count += 1);
        self.sum += value;
        self.count += 1;
    }

    fn write(&self, out: &mut String, name: &str, model: &str) {
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            let _ = writeln!(out, "{name}_bucket{{{model},le=\"{bound}\"}} {count}");
        }
        let Histogram { sum, count, .. } = self;
        let _ = writeln!(out, "{name}_bucket{{{model},le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "{name}_sum{{{model}}} {sum}\n{name}_count{{{model}}} {count}");
    }
}

impl Default for Counted {
    fn default() -> Counted {
        Counted {
            engine: Stats::default(),
            prompt_tokens: 0,
            generation_tokens: 0,
            finished: BTreeMap::new(),
            first_token: Histogram::new(&SECONDS),
            per_token: Histogram::new(&SECONDS),
            whole: Histogram::new(&SECONDS),
            prompts: Histogram::new(&TOKENS),
            generations: Histogram::new(&TOKENS),
        }
    }
}

impl Counted {
    /// The share of pages that sequences hold.
    fn pages_held(&self) -> f64 {
        let Stats { pages, pages_free, .. } = self.engine;
        pages.saturating_sub(pages_free) as f64 / pages.max(1) as f64
    }
}

impl Metrics {
    fn counted(&self, model: &str) -> Arc<Mutex<Counted>> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.entry(model.to_owned()).or_default().clone()
    }

    /// Looks at the model's engine after each turn.
    pub fn watch<M: Forward>(&self, model: &str) -> impl FnMut(&Engine<M>) + Send + 'static {
        let counted = self.counted(model);
        move |engine| {
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            counted.engine = engine.stats();
        }
    }

    /// Counts an answer.
    pub fn finished(&self, model: &str, reason: &'static str, end: &End) {
        let counted = self.counted(model);
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        let End { usage, timings, .. } = end;
        counted.prompt_tokens += usage.prompt_tokens as u64;
        counted.generation_tokens += usage.completion_tokens as u64;
        *counted.finished.entry(reason).or_default() += 1;
        counted.first_token.add(timings.first_token.as_secs_f64());
        if usage.completion_tokens > 1 {
            let per = timings.answer.as_secs_f64() / (usage.completion_tokens - 1) as f64;
            counted.per_token.add(per);
        }
        counted.whole.add((timings.first_token + timings.answer).as_secs_f64());
        counted.prompts.add(usage.prompt_tokens as f64);
        counted.generations.add(usage.completion_tokens as f64);
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let models: Vec<_> = models.iter().collect();
        let mut series = |name: &str, kind: &str, write: &dyn Fn(&mut String, &Counted, &str)| {
            let _ = writeln!(out, "# TYPE {name} {kind}");
            for (model, counted) in &models {
                let counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
                let label = format!("model_name=\"{}\"", model.replace(['"', '\\', '\n'], "_"));
                write(&mut out, &counted, &label);
            }
        };
        let numbers: [Number; 8] = [
            ("vllm:num_requests_running", "gauge", |c| c.engine.running as f64),
            ("vllm:num_requests_waiting", "gauge", |c| c.engine.waiting as f64),
            ("vllm:kv_cache_usage_perc", "gauge", |c| c.pages_held()),
            ("vllm:num_preemptions_total", "counter", |c| c.engine.preemptions as f64),
            ("vllm:prompt_tokens_total", "counter", |c| c.prompt_tokens as f64),
            ("vllm:prefix_cache_queries_total", "counter", |c| c.engine.prefix_queried as f64),
            ("vllm:prefix_cache_hits_total", "counter", |c| c.engine.prefix_hit as f64),
            ("vllm:generation_tokens_total", "counter", |c| c.generation_tokens as f64),
        ];
        for (name, kind, number) in numbers {
            series(name, kind, &|out, counted, label| {
                let _ = writeln!(out, "{name}{{{label}}} {}", number(counted));
            });
        }
        let name = "vllm:request_success_total";
        series(name, "counter", &|out, counted, label| {
            for (reason, count) in &counted.finished {
                let _ = writeln!(out, "{name}{{{label},finished_reason=\"{reason}\"}} {count}");
            }
        });
        let histograms: [Times; 5] = [
            ("vllm:time_to_first_token_seconds", |c| &c.first_token),
            ("vllm:inter_token_latency_seconds", |c| &c.per_token),
            ("vllm:e2e_request_latency_seconds", |c| &c.whole),
            ("vllm:request_prompt_tokens", |c| &c.prompts),
            ("vllm:request_generation_tokens", |c| &c.generations),
        ];
        for (name, histogram) in histograms {
            series(name, "histogram", &|out, counted, label| {
                histogram(counted).write(out, name, label);
            });
        }
        out
    }
}
