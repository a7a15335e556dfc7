//! The voices, each once: a page lists those of its families. Which of them a model has, its chat
//! template tells.

mod json;
mod markup;
mod pairs;
mod prefixed;
mod python;
mod sections;
mod words;

pub use json::*;
pub use markup::*;
pub use pairs::*;
pub use prefixed::*;
pub use python::*;
pub use sections::*;
pub use words::*;

use crate::LABS;
pub use baimo_blueprint::voice::Switch;

use baimo_blueprint::voice::{Tags, Thinking, Voice};

/// Every voice; where two fit a template, the one before.
pub const VOICES: &[&Voice] = &[
    &KIMI_K3,
    &KIMI_K25,
    &KIMI_K2,
    &DEEPSEEK_V3,
    &DEEPSEEK_V31,
    &DEEPSEEK_V41,
    &DEEPSEEK_V4,
    &DEEPSEEK_V32,
    &STEP3,
    &MINIMAX_M3,
    &MINIMAX_M2,
    &HUNYUAN_3_PREVIEW,
    &HUNYUAN_3,
    &HUNYUAN_4,
    &SEED_OSS,
    &DOTS,
    &LONGCAT_THINKING,
    &LONGCAT,
    &IQUEST,
    &MINICPM_5,
    &MINICPM_3,
    &MINICPM_41,
    &MINICPM_4,
    &FUNCTION_TAGS_SWITCHED,
    &FUNCTION_TAGS_THINKING,
    &FUNCTION_TAGS,
    &GLM_45,
    &LING_3,
    &CHATGLM,
    &GLM_FIRST,
    &GLM_Z1,
    &GLM_4,
    &ERNIE_X1,
    &HUNYUAN_A13B,
    &MINIMAX_M1,
    &PANGU,
    &INTERNLM,
    &LING_THINKING,
    &LING,
    &HERMES_SWITCHED,
    &HERMES_THINKING,
    &HERMES,
    &THINKING_SWITCHED,
    &THINKING,
    &QWEN_FIRST,
    &INTERNLM_FIRST,
    &BAICHUAN,
    &XVERSE,
    &ORION,
    &TELECHAT,
    &CPM_ANT,
    &CPM_BEE,
];

/// Function tags, with and without thoughts.
pub const FUNCTION_TAGS_KINDS: &[&Voice] =
    &[&FUNCTION_TAGS_SWITCHED, &FUNCTION_TAGS_THINKING, &FUNCTION_TAGS];

/// JSON in `<tool_call>`, with and without thoughts.
pub const HERMES_KINDS: &[&Voice] = &[&HERMES_SWITCHED, &HERMES_THINKING, &HERMES];

/// The voice of a model, all of whose marks are in the chat template: of those that its
/// architecture's families have the one with the most marks, or else the first of all. A model
/// without a template has its family's first.
pub fn voice(architecture: &str, template: Option<&str>) -> Option<&'static Voice> {
    let families = LABS.iter().flat_map(|lab| lab.families);
    let mut own = families
        .filter(|family| family.architecture == architecture)
        .flat_map(|family| family.voices.iter().copied());
    let Some(template) = template else { return own.next() };
    let fits = |voice: &&Voice| voice.marks.iter().all(|mark| template.contains(mark));
    let best = own
        .filter(fits)
        .reduce(|best, voice| if voice.marks.len() > best.marks.len() { voice } else { best });
    best.or_else(|| VOICES.iter().copied().find(fits))
}

/// Nothing but words.
const PLAIN: Voice = Voice {
    name: "words only",
    marks: &[],
    thinking: None,
    answer: None,
    calls: None,
    silent: &[],
    ends: &[],
    template: None,
};

const fn tags(open: &'static str, close: &'static str) -> Tags {
    Tags { open, close }
}

const THINK: Thinking = Thinking {
    tags: tags("<think>", "</think>"),
    switch: None,
    budget: None,
    cut: "\n</think>\n\n",
};
const ENABLE: Option<Switch> = Some(Switch::Flag("enable_thinking"));
const THINK_SWITCHED: Thinking = Thinking { switch: ENABLE, ..THINK };
/// Thoughts that one line break follows.
const THINK_BREAK: Thinking = Thinking { cut: "\n</think>\n", ..THINK };
/// Thoughts that stand right between their tags.
const THINK_TIGHT: Thinking = Thinking { cut: "</think>", ..THINK };

/// Thoughts and words.
pub const THINKING: Voice =
    Voice { name: "thoughts", marks: &["<think>"], thinking: Some(THINK), ..PLAIN };
/// The same, with a switch.
pub const THINKING_SWITCHED: Voice = Voice {
    name: "thoughts, switched",
    marks: &["<think>", "enable_thinking"],
    thinking: Some(THINK_SWITCHED),
    ..PLAIN
};
