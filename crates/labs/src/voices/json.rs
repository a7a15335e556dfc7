//! Calls as JSON objects between tags.

use super::{ENABLE, PLAIN, THINK, THINK_BREAK, THINK_SWITCHED, tags};
use baimo_blueprint::voice::{Calls, Switch, Thinking, Voice};

const CHATML_END: &[&str] = &["<|im_end|>"];
const TOOL_CALL: Option<Calls> = Some(Calls::Json(tags("<tool_call>", "</tool_call>")));

/// Qwen2.5 and all who took its format over.
pub const HERMES: Voice = Voice {
    name: "JSON in <tool_call>",
    marks: &["<tool_call></tool_call> XML tags"],
    calls: TOOL_CALL,
    ends: CHATML_END,
    ..PLAIN
};
/// Models of that format that always think.
pub const HERMES_THINKING: Voice = Voice {
    name: "JSON in <tool_call>, thoughts",
    marks: &["<tool_call></tool_call> XML tags", "<think>"],
    thinking: Some(THINK),
    ..HERMES
};
/// Models of that format that think if asked to: Qwen3, Intern-S1.
pub const HERMES_SWITCHED: Voice = Voice {
    name: "JSON in <tool_call>, thoughts, switched",
    marks: &["<tool_call></tool_call> XML tags", "<think>", "enable_thinking"],
    thinking: Some(THINK_SWITCHED),
    ..HERMES
};
/// Ling 1 and 2.
pub const LING: Voice = Voice {
    name: "JSON in <tool_call>, roles in tags",
    marks: &["<role>", "<tool_call>"],
    ends: &["<|role_end|>"],
    ..HERMES
};
/// Ring 1 and 2.
pub const LING_THINKING: Voice = Voice {
    name: "JSON in <tool_call>, roles in tags, thoughts",
    marks: &["<role>", "<tool_call>", "<think>"],
    thinking: Some(THINK),
    ..LING
};
/// ERNIE 4.5 Thinking: the answer proper is in tags too.
pub const ERNIE_X1: Voice = Voice {
    name: "JSON in <tool_call>, <response>",
    marks: &["<global_setting>", "<response>", "<think>"],
    thinking: Some(THINK),
    answer: Some(tags("<response>", "</response>")),
    calls: TOOL_CALL,
    ends: CHATML_END,
    ..PLAIN
};
/// Hunyuan A13B and the dense models after it: a list of calls, the answer in tags.
pub const HUNYUAN_A13B: Voice = Voice {
    name: "JSON list in <tool_calls>, <answer>",
    marks: &["<answer>", "<think>"],
    thinking: Some(Thinking { switch: ENABLE, ..THINK_BREAK }),
    answer: Some(tags("<answer>", "</answer>")),
    calls: Some(Calls::Json(tags("<tool_calls>", "</tool_calls>"))),
    ..PLAIN
};
/// MiniMax M1: an object on each line.
pub const MINIMAX_M1: Voice = Voice {
    name: "JSON lines in <tool_calls>",
    marks: &["<tool_calls>", "<beginning_of_sentence>"],
    thinking: Some(THINK),
    calls: Some(Calls::Json(tags("<tool_calls>", "</tool_calls>"))),
    ends: &["<end_of_sentence>"],
    ..PLAIN
};
/// openPangu: a list of calls between unnamed tokens.
pub const PANGU: Voice = Voice {
    name: "JSON list in [unused11]",
    marks: &["[unused11]"],
    thinking: Some(Thinking {
        tags: tags("[unused16]", "[unused17]"),
        switch: Some(Switch::Words { on: "", off: " /no_think" }),
        budget: None,
        cut: "[unused17]",
    }),
    calls: Some(Calls::Json(tags("[unused11]", "[unused12]"))),
    ends: &["[unused10]"],
    ..PLAIN
};
/// InternLM 2 and 3.
pub const INTERNLM: Voice = Voice {
    name: "JSON after <|plugin|>",
    marks: &["<|plugin|>"],
    calls: Some(Calls::Json(tags("<|action_start|><|plugin|>", "<|action_end|>"))),
    ends: CHATML_END,
    ..PLAIN
};
