//! Which host is the fastest: asked, not guessed.

use super::http::{Ask, Client};
use super::listing::{RemoteFile, Source};
use super::{Event, Manner, Watch, human};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Bytes that each host is asked for.
const PROBE_BYTES: u64 = 2 << 20;
/// What a host's bytes are waited for, at most.
const PROBE_TIME: Duration = Duration::from_secs(4);

/// Orders hosts by how fast they give the first bytes of `file`, all at the same time. A host that
/// fails, or has not finished when the time is up, keeps its place behind those that have.
pub(super) fn order(
    client: &Client,
    manner: &Manner,
    sources: Vec<Source>,
    file: &RemoteFile,
    watch: Watch<'_>,
) -> Vec<Source> {
    if sources.len() < 2 {
        return sources;
    }
    let wanted = file.size.min(PROBE_BYTES);
    let (sender, receiver) = mpsc::channel();
    let decided = Arc::new(AtomicBool::new(false));
    for (index, source) in sources.iter().enumerate() {
        let (client, source, path) = (client.clone(), source.clone(), file.path.clone());
        let (sender, decided) = (sender.clone(), Arc::clone(&decided));
        // Not waited for: who is slow must not hold up who is fast.
        std::thread::spawn(move || {
            let start = Instant::now();
            let bytes = probe(&client, &source, &path, wanted, &decided);
            let rate = bytes.map(|bytes| bytes as f64 / start.elapsed().as_secs_f64().max(1e-6));
            let _nobody = sender.send((index, rate));
        });
    }
    drop(sender);
    let deadline = Instant::now() + PROBE_TIME + manner.connect.min(PROBE_TIME);
    let mut rates = vec![None; sources.len()];
    let mut slack = None;
    for _ in 0..sources.len() {
        let until = slack.unwrap_or(deadline).min(deadline);
        let left = until.saturating_duration_since(Instant::now());
        let Ok((index, rate)) = receiver.recv_timeout(left) else { break };
        rates[index] = rate;
        if rate.is_some() && slack.is_none() {
            // Whoever comes much later than the first is slower.
            slack = Some(Instant::now() + Duration::from_millis(500));
        }
    }
    decided.store(true, Ordering::Relaxed);
    let mut order: Vec<usize> = (0..sources.len()).collect();
    let rate = |index: &usize| rates[*index].unwrap_or(0.0);
    order.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    if let Some(text) = told(&sources, &order, &rates) {
        watch(Event::Note(&text));
    }
    order.into_iter().map(|index| sources[index].clone()).collect()
}

/// Bytes that came in time; `None` where the host fails.
fn probe(
    client: &Client,
    source: &Source,
    path: &str,
    wanted: u64,
    decided: &AtomicBool,
) -> Option<u64> {
    let start = Instant::now();
    let (url, range) = (source.url(path), 0..wanted);
    let ask = Ask { url: &url, token: source.token.as_ref(), range: Some(&range) };
    let mut body = client.get(ask).ok()?.body.into_reader();
    let (mut chunk, mut count) = (vec![0; 64 << 10], 0);
    let is_over = || start.elapsed() >= PROBE_TIME || decided.load(Ordering::Relaxed);
    while count < wanted && !is_over() {
        let most = chunk.len().min(usize::try_from(wanted - count).unwrap_or(usize::MAX));
        match body.read(&mut chunk[..most]).ok()? {
            0 => return None,
            read => count += read as u64,
        }
    }
    Some(count)
}

/// Who gives how much.
fn told(sources: &[Source], order: &[usize], rates: &[Option<f64>]) -> Option<String> {
    let speed = |rate: Option<f64>| match rate {
        Some(rate) => format!("{}/s", human(rate as u64)),
        None => "no answer in time".to_owned(),
    };
    let one = |index: &usize| format!("{} ({})", sources[*index].host(), speed(rates[*index]));
    let (first, rest) = order.split_first()?;
    let rest: Vec<String> = rest.iter().map(one).collect();
    Some(format!("fetching from {}; then {}", one(first), rest.join(", ")))
}
