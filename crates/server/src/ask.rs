//! What a client wants, whatever dialect it was said in.

use baimo_text::Chat;
use serde_json::Value;

/// A request for text.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is to be continued.
    pub prompt: Prompt,
    /// How tokens are chosen, where the client says.
    pub sampling: SamplingAsk,
    /// Most tokens of the answer, thoughts among them; as many as the context has where absent.
    pub max_tokens: Option<usize>,
    /// Texts that end the answer and are no part of it.
    pub stops: Vec<String>,
    /// The model's own end does not end the answer.
    pub ignore_end: bool,
    /// Answers wanted, each with a seed of its own.
    pub answers: usize,
    /// Each token with its log-probability, and those of so many likeliest.
    pub logprobs: Option<usize>,
    /// Likewise each token of the prompt but the first.
    pub prompt_logprobs: Option<usize>,
    /// Added to the logits of tokens.
    pub bias: Vec<(u32, f32)>,
    /// Whether and how long the model thinks.
    pub thinking: ThinkingAsk,
    /// Whether tools are called.
    pub tool_choice: ToolChoice,
    /// Whether more than one tool may be called in a turn.
    pub parallel_calls: bool,
    /// The form of the answer.
    pub format: Format,
}

/// What is to be continued.
#[derive(Clone, Debug)]
pub enum Prompt {
    /// A conversation, in the model's chat format.
    Chat(Chat),
    /// Text as it is.
    Text(String),
    /// Tokens as they are.
    Tokens(Vec<u32>),
}

/// How tokens are chosen: what is absent, the model's own recommendation says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SamplingAsk {
    /// See [`baimo_engine::Sampling`], as for all of these.
    pub temperature: Option<f32>,
    /// Most candidates.
    pub top_k: Option<usize>,
    /// Their probability together.
    pub top_p: Option<f32>,
    /// Least probability relative to the likeliest.
    pub min_p: Option<f32>,
    /// Of every token seen.
    pub repetition_penalty: Option<f32>,
    /// Of tokens in the answer.
    pub presence_penalty: Option<f32>,
    /// Likewise, for each time.
    pub frequency_penalty: Option<f32>,
    /// Same seed, same answer.
    pub seed: Option<u64>,
}

/// Whether and how long the model thinks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ThinkingAsk {
    /// To think or not to; the template's own choice where absent.
    pub switch: Option<bool>,
    /// How hard: a word for the template (`low`, `medium`, `high`).
    pub effort: Option<String>,
    /// Most tokens of thoughts.
    pub budget: Option<usize>,
}

/// Whether tools are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As the model likes.
    #[default]
    Auto,
    /// None, though the model may know of some.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
    /// At least one (or as it likes) of these.
    Among {
        /// Whether one must be.
        required: bool,
        /// Their names.
        names: Vec<String>,
    },
}

/// The form of an answer; thoughts have none.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// Any text.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema(Value),
    /// Text that a regular expression matches.
    Regex(String),
    /// Text of a grammar in Lark's notation.
    Lark(String),
    /// Text of a grammar in llama.cpp's notation.
    Gbnf(String),
    /// One of these.
    Choice(Vec<String>),
}

impl Prompt {
    /// The field that it came in.
    pub fn field(&self) -> &'static str {
        match self {
            Prompt::Chat(_) => "messages",
            Prompt::Text(_) | Prompt::Tokens(_) => "prompt",
        }
    }
}

impl Ask {
    /// For `prompt`, with nothing else said.
    pub fn new(prompt: Prompt) -> Ask {
        Ask {
            prompt,
            sampling: SamplingAsk::default(),
            max_tokens: None,
            stops: Vec::new(),
            ignore_end: false,
            answers: 1,
            logprobs: None,
            prompt_logprobs: None,
            bias: Vec::new(),
            thinking: ThinkingAsk::default(),
            tool_choice: ToolChoice::default(),
            parallel_calls: true,
            format: Format::default(),
        }
    }
}
