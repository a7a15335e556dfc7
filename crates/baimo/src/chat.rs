//! `baimo run` without a prompt: a chat with history.

use crate::answer::{End, Reading, answer};
use crate::args::{ChatFlags, Run, SamplingFlags};
use crate::conversation;
use crate::run::{limits, sampling, stop_tokens};
use crate::screen::Screen;
use crate::session::{self, CacheSize};
use crate::source::Source;
use anyhow::{Context, Result, bail};
use baimo_engine::{Engine, Request, Runner};
use baimo_labs::Voice;
use baimo_text::voice::Reply;
use baimo_text::{EncodeOptions, Template, Tokenizer};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Positions of a chat where nothing is said: memory is taken only as it is used.
const CONTEXT: usize = 8192;

const HELP: &str = "\
/clear             forget the conversation
/system TEXT       set the system message (nothing: none) and forget the conversation
/think on|off      ask the model to think first, or not to
/set NAME VALUE    temperature, top_k, top_p, min_p, repetition_penalty, seed or max_tokens
/history           the conversation so far
/help              this
/exit              leave (also Ctrl-D)
Ctrl-C stops an answer. A line that ends in \\ goes on in the next.";

/// A chat on its way.
struct ChatSession<'a> {
    engine: Engine<Runner>,
    tokenizer: Arc<Tokenizer>,
    template: Template,
    voice: Option<&'static Voice>,
    generation: Value,
    source: &'a Source,
    flags: ChatFlags,
    sampling: SamplingFlags,
    max_tokens: usize,
    stops: &'a [String],
    messages: Vec<Value>,
    interrupted: Arc<AtomicBool>,
}

/// Chats until the user leaves.
pub fn run(arguments: &Run, source: &Source) -> Result<()> {
    if arguments.raw {
        bail!("--raw: found no PROMPT, wanted one: a chat needs the chat template");
    }
    let most = source.blueprint().context;
    let context = arguments.context.unwrap_or(most.min(CONTEXT));
    let template = source.template()?;
    let size = CacheSize { positions: context, sequences: 1, shared: false, element: arguments.kv };
    let mut session = ChatSession {
        tokenizer: Arc::new(source.tokenizer()?),
        voice: source.voice(&template),
        template,
        generation: source.generation_config()?,
        engine: session::engine(session::load(source, &arguments.loading, size)?, limits(context)),
        source,
        flags: arguments.chat.clone(),
        sampling: arguments.sampling.clone(),
        max_tokens: arguments.max_tokens,
        stops: &arguments.stop,
        messages: Vec::new(),
        interrupted: Arc::default(),
    };
    eprintln!("{}. /help lists commands.", source.blueprint().architecture);
    let mut editor = DefaultEditor::new().context("cannot read from the terminal")?;
    // After the editor, which takes the signal for itself when it is made.
    let interrupted = session.interrupted.clone();
    ctrlc::set_handler(move || interrupted.store(true, Ordering::Relaxed))
        .context("cannot listen to Ctrl-C")?;
    while let Some(line) = read(&mut editor)? {
        let outcome = match line.trim() {
            "" => continue,
            "/exit" | "/quit" | "/bye" => break,
            command if command.starts_with('/') => session.command(command),
            text => session.turn(text),
        };
        if let Err(error) = outcome {
            eprintln!("error: {error:#}");
        }
    }
    Ok(())
}

/// The next message: lines ending in a backslash go on. `None` when the user leaves.
fn read(editor: &mut DefaultEditor) -> Result<Option<String>> {
    let mut message = String::new();
    loop {
        let prompt = if message.is_empty() { "> " } else { "… " };
        match editor.readline(prompt) {
            Ok(line) => {
                let (text, more) = line.strip_suffix('\\').map_or((&*line, false), |t| (t, true));
                message.push_str(text);
                if !more {
                    // A history that cannot grow is no reason to stop.
                    let _ = editor.add_history_entry(message.as_str());
                    return Ok(Some(message));
                }
                message.push('\n');
            }
            Err(ReadlineError::Interrupted) => {
                message.clear();
                eprintln!("/exit or Ctrl-D leaves");
            }
            Err(ReadlineError::Eof) => return Ok(None),
            Err(error) => return Err(error).context("cannot read from the terminal"),
        }
    }
}

impl ChatSession<'_> {
    /// One message and its answer. A message that fails leaves the conversation as it was.
    fn turn(&mut self, text: &str) -> Result<()> {
        self.messages.push(conversation::user(text));
        let done = self.answer();
        if done.is_err() {
            self.messages.pop();
        }
        done
    }

    fn answer(&mut self) -> Result<()> {
        let chat = conversation::chat(&self.flags, &self.messages, self.voice)?;
        let prompt = self.template.render(&chat)?;
        let tokens = self.tokenizer.encode(&prompt, EncodeOptions::TEMPLATE)?;
        self.source.check_tokens(&tokens)?;
        let context = self.engine.capacity();
        if tokens.len() >= context {
            bail!(
                "the conversation has {} tokens, the context {context}\n\
                 hint: /clear forgets it; --context makes room",
                tokens.len()
            );
        }
        let request = Request {
            max_tokens: self.max_tokens.min(context - tokens.len()),
            tokens,
            sampling: sampling(&self.sampling, &self.generation),
            stop_tokens: stop_tokens(&self.tokenizer, &self.generation, self.voice),
            ..Request::default()
        };
        self.interrupted.store(false, Ordering::Relaxed);
        let mut screen = Screen::new();
        let reading = Reading { voice: self.voice, prompt: &prompt, stops: self.stops };
        let (engine, tokenizer) = (&mut self.engine, &self.tokenizer);
        let stop = &self.interrupted;
        let answer =
            answer(engine, tokenizer, request, reading, stop, &mut |piece| screen.show(piece))?;
        screen.end()?;
        eprintln!("{}", answer.speed());
        if answer.end == End::Interrupted && answer.reply == Reply::default() {
            self.messages.pop();
        } else {
            self.messages.push(answer.reply.message());
        }
        Ok(())
    }

    fn command(&mut self, line: &str) -> Result<()> {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match name {
            "/help" | "/?" => eprintln!("{HELP}"),
            "/clear" => self.messages.clear(),
            "/system" => {
                self.flags.system = Some(rest.to_owned()).filter(|text| !text.is_empty());
                self.messages.clear();
            }
            "/think" => match rest {
                "on" | "off" => self.flags.think = Some(rest == "on"),
                _ => bail!("/think: found `{rest}`, wanted on or off"),
            },
            "/set" => self.set(rest)?,
            "/history" => {
                for message in &self.messages {
                    let (role, content) = (&message["role"], &message["content"]);
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    eprintln!("{}: {}", text(role), text(content));
                }
            }
            _ => bail!("{name}: no such command\nhint: /help lists them"),
        }
        Ok(())
    }

    fn set(&mut self, rest: &str) -> Result<()> {
        let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let value = value.trim();
        let wrong = || format!("/set {name}: found `{value}`, wanted a number");
        let number = || -> Result<f32> {
            let number: f32 = value.parse().with_context(wrong)?;
            if !(number >= 0.0 && number.is_finite()) {
                bail!("{} not below zero", wrong());
            }
            Ok(number)
        };
        let count = || value.parse().with_context(wrong);
        match name {
            "temperature" => self.sampling.temperature = Some(number()?),
            "top_k" => self.sampling.top_k = Some(count()?),
            "top_p" => self.sampling.top_p = Some(number()?),
            "min_p" => self.sampling.min_p = Some(number()?),
            "repetition_penalty" => self.sampling.repetition_penalty = Some(number()?),
            "seed" => self.sampling.seed = Some(value.parse().with_context(wrong)?),
            "max_tokens" => self.max_tokens = count()?,
            _ => bail!("/set {name}: no such setting\nhint: /help lists them"),
        }
        Ok(())
    }
}
