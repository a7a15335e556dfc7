//! The thread that owns an engine: requests go in, events come out, and who leaves is cancelled.

use crate::error::Refusal;
use baimo_engine::{Engine, EventKind, Forward, Guide, Request, RequestId};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a request is told.
#[derive(Debug)]
pub enum Told {
    /// Something happened to it, and when.
    Event(EventKind, Instant),
    /// It is at an end, and this is why.
    Failed(Refusal),
}

enum Command {
    Submit {
        ticket: u64,
        request: Request,
        guide: Option<Box<dyn Guide>>,
        told: Teller,
    },
    Cancel {
        ticket: u64,
    },
    /// Keep on disk what can be kept there, then say so.
    Flush {
        done: Sender<()>,
    },
}

type Teller = UnboundedSender<Told>;

/// A running engine.
#[derive(Debug)]
pub struct Worker {
    commands: Sender<Command>,
    shared: Arc<Shared>,
    /// Requests that may be under way or wait at once.
    places: usize,
}

#[derive(Debug, Default)]
struct Shared {
    requests: AtomicUsize,
    tickets: AtomicUsize,
    ended: AtomicBool,
}

/// A request under way; dropping it cancels the request.
#[derive(Debug)]
pub struct Ticket {
    number: u64,
    begun: Instant,
    told: UnboundedReceiver<Told>,
    commands: Sender<Command>,
    shared: Arc<Shared>,
}

impl Worker {
    /// Starts a thread that drives `engine` for as long as the worker or a ticket lives; `watch`
    /// sees the engine after each turn.
    pub fn start<M: Forward + Send + 'static>(
        engine: Engine<M>,
        places: usize,
        watch: impl FnMut(&Engine<M>) + Send + 'static,
    ) -> Worker {
        let (commands, receiver) = channel();
        let shared = Arc::new(Shared::default());
        let (ended, requests) = (shared.clone(), HashMap::new());
        std::thread::spawn(move || {
            Loop { engine, receiver, requests, watch }.run();
            ended.ended.store(true, Ordering::Release);
        });
        Worker { commands, shared, places }
    }

    /// Requests under way and waiting.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Whether the thread has given up after a failure: the model must be loaded again.
    pub fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// Waits until what was computed of prompts is on disk, where it is kept there; no longer than
    /// `patience`.
    pub fn flush(&self, patience: Duration) {
        let (done, told) = channel();
        if self.commands.send(Command::Flush { done }).is_ok() {
            let _ = told.recv_timeout(patience);
        }
    }

    /// Hands a request over.
    ///
    /// # Errors
    /// Where all places are taken, or the thread has given up.
    pub fn submit(
        &self,
        request: Request,
        guide: Option<Box<dyn Guide>>,
    ) -> Result<Ticket, Refusal> {
        let taken = self.shared.requests.fetch_add(1, Ordering::Relaxed);
        let (teller, told) = unbounded_channel();
        let number = self.shared.tickets.fetch_add(1, Ordering::Relaxed) as u64;
        let (commands, shared) = (self.commands.clone(), self.shared.clone());
        // From here on, leaving gives the place back.
        let ticket = Ticket { number, begun: Instant::now(), told, commands, shared };
        if taken >= self.places {
            return Err(Refusal::full());
        }
        let submitted = Command::Submit { ticket: number, request, guide, told: teller };
        match self.commands.send(submitted) {
            Ok(()) => Ok(ticket),
            Err(_) => Err(gone()),
        }
    }
}

impl Ticket {
    /// When the request was handed over.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// What happens next; `None` after the last event.
    pub async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.requests.fetch_sub(1, Ordering::Relaxed);
        // The thread may be gone, and the request with it.
        let _ = self.commands.send(Command::Cancel { ticket: self.number });
    }
}

fn gone() -> Refusal {
    Refusal::internal("the model has stopped after a failure\nhint: try again, it is loaded anew")
}

struct Loop<M, W> {
    engine: Engine<M>,
    receiver: Receiver<Command>,
    /// Who is told what, by engine id; tickets beside it.
    requests: HashMap<RequestId, (u64, Teller)>,
    watch: W,
}

impl<M: Forward, W: FnMut(&Engine<M>)> Loop<M, W> {
    fn run(mut self) {
        loop {
            if self.engine.is_idle() {
                (self.watch)(&self.engine);
                match self.receiver.recv() {
                    Ok(command) => self.obey(command),
                    Err(_) => {
                        self.engine.flush();
                        return;
                    }
                }
            }
            loop {
                match self.receiver.try_recv() {
                    Ok(command) => self.obey(command),
                    Err(TryRecvError::Empty) => break,
                    // All have left, so nobody waits for an answer.
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            if self.turn().is_err() {
                self.requests.drain().for_each(|(_, (_, told))| {
                    let _ = told.send(Told::Failed(gone()));
                });
                return;
            }
            (self.watch)(&self.engine);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Submit { ticket, request, guide, told } => {
                let submitted = match guide {
                    Some(guide) => self.engine.submit_guided(request, guide),
                    None => self.engine.submit(request),
                };
                match submitted {
                    Ok(id) => {
                        self.requests.insert(id, (ticket, told));
                    }
                    Err(refused) => {
                        let _ = told.send(Told::Failed(refused.into()));
                    }
                }
            }
            Command::Flush { done } => {
                self.engine.flush();
                // Whoever asked may not have waited.
                let _ = done.send(());
            }
            Command::Cancel { ticket } => {
                let found = self.requests.iter().find(|(_, (number, _))| *number == ticket);
                if let Some(id) = found.map(|(id, _)| *id) {
                    self.requests.remove(&id);
                    self.engine.cancel(id);
                }
            }
        }
    }

    /// One turn of the engine. An error where it panicked: its state means nothing any more.
    fn turn(&mut self) -> Result<(), ()> {
        let engine = &mut self.engine;
        match catch_unwind(AssertUnwindSafe(|| engine.step())).map_err(|_| ())? {
            Ok(events) => {
                let now = Instant::now();
                for event in events {
                    let finished = matches!(event.kind, EventKind::Finished { .. });
                    if let Some((_, told)) = self.requests.get(&event.request) {
                        // Who left has a cancellation on its way.
                        let _ = told.send(Told::Event(event.kind, now));
                    }
                    if finished {
                        self.requests.remove(&event.request);
                    }
                }
            }
            Err(failed) => {
                for id in &failed.requests {
                    if let Some((_, told)) = self.requests.remove(id) {
                        let _ = told.send(Told::Failed(Refusal::internal(failed.to_string())));
                    }
                }
            }
        }
        Ok(())
    }
}
