//! Calls as Python writes them, in a code block.

use super::{PLAIN, THINK_SWITCHED, tags};
use baimo_blueprint::voice::{Calls, Thinking, Voice};

/// MiniCPM4.
pub const MINICPM_4: Voice = Voice {
    name: "Python in a code block",
    marks: &["<|tool_call_start|>"],
    calls: Some(Calls::Python(tags("<|tool_call_start|>", "<|tool_call_end|>"))),
    ends: &["<|im_end|>"],
    ..PLAIN
};
/// MiniCPM4.1, which thinks unless told not to.
pub const MINICPM_41: Voice = Voice {
    name: "Python in a code block, thoughts, switched",
    marks: &["<|tool_call_start|>", "<think>", "enable_thinking"],
    thinking: Some(THINK_SWITCHED),
    ..MINICPM_4
};
/// MiniCPM3: what it thinks before a call is in tags of its own.
pub const MINICPM_3: Voice = Voice {
    name: "Python in a code block, thoughts",
    marks: &["<|tool_call_start|>", "<|thought_start|>"],
    thinking: Some(Thinking {
        tags: tags("<|thought_start|>", "<|thought_end|>"),
        switch: None,
        budget: None,
        cut: "\n<|thought_end|>\n",
    }),
    ..MINICPM_4
};
