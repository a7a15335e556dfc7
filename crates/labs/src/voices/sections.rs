//! Calls as tokens around a name and a JSON object, and DSML.

use super::{PLAIN, THINK, THINK_TIGHT, tags};
use baimo_blueprint::voice::{
    Argument, Arguments, Calls, Head, Named, Naming, Switch, Tags, Thinking, Voice,
};

const SWITCHED: Option<Thinking> =
    Some(Thinking { switch: Some(Switch::Flag("thinking")), ..THINK_TIGHT });

const K2_CALLS: Option<Calls> = Some(Calls::Named(Named {
    section: Some(tags("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>")),
    head: Head {
        open: "<|tool_call_begin|>",
        name_ends: &["<|tool_call_argument_begin|>"],
        end: None,
    },
    naming: Naming::Numbered,
    arguments: Arguments::Json,
    close: "<|tool_call_end|>",
}));

/// Kimi K2 and K2 Thinking.
pub const KIMI_K2: Voice = Voice {
    name: "numbered calls in a section",
    marks: &["<|tool_calls_section_begin|>"],
    thinking: Some(THINK_TIGHT),
    calls: K2_CALLS,
    ends: &["<|im_end|>"],
    ..PLAIN
};
/// Kimi K2.5 and later, which think unless told not to.
pub const KIMI_K25: Voice = Voice {
    name: "numbered calls in a section, thoughts switched",
    marks: &["<|tool_calls_section_begin|>", "thinking is defined"],
    thinking: SWITCHED,
    ..KIMI_K2
};

/// Kimi K3: every tag is `<|open|>…<|sep|>` or `<|close|>…<|sep|>`.
pub const KIMI_K3: Voice = Voice {
    name: "channels",
    marks: &["<|open|>", "<|sep|>"],
    thinking: Some(Thinking {
        tags: tags("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
        switch: Some(Switch::Flag("thinking")),
        budget: None,
        cut: "<|close|>think<|sep|>",
    }),
    answer: Some(tags("<|open|>response<|sep|>", "<|close|>response<|sep|>")),
    calls: Some(Calls::Named(Named {
        section: Some(tags("<|open|>tools<|sep|>", "<|close|>tools<|sep|>")),
        head: Head { open: "<|open|>call tool=\"", name_ends: &["\""], end: Some("<|sep|>") },
        naming: Naming::Plain,
        arguments: Arguments::Each(Argument {
            head: Head {
                open: "<|open|>argument key=\"",
                name_ends: &["\""],
                end: Some("<|sep|>"),
            },
            close: "<|close|>argument<|sep|>",
            string: Some("type=\"string\""),
            on_lines: false,
            quotes: None,
        }),
        close: "<|close|>call<|sep|>",
    })),
    silent: &[
        "<|close|>message<|sep|>",
        "<|open|>json type=\"object\"<|sep|>",
        "<|close|>json<|sep|>",
    ],
    ends: &["<|end_of_msg|>"],
    template: None,
};

const DEEPSEEK_SECTION: Option<Tags> = Some(tags("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"));

/// DeepSeek V3 and R1: a type before the name, the arguments in a code block.
pub const DEEPSEEK_V3: Voice = Voice {
    name: "calls in a section, arguments in a code block",
    marks: &["<｜tool▁calls▁begin｜>", "```json"],
    thinking: Some(THINK),
    calls: Some(Calls::Named(Named {
        section: DEEPSEEK_SECTION,
        head: Head {
            open: "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
            name_ends: &["\n"],
            end: Some("```json"),
        },
        naming: Naming::Plain,
        arguments: Arguments::Json,
        close: "<｜tool▁call▁end｜>",
    })),
    ends: &["<｜end▁of▁sentence｜>"],
    ..PLAIN
};
/// DeepSeek V3.1.
pub const DEEPSEEK_V31: Voice = Voice {
    name: "calls in a section",
    marks: &["<｜tool▁calls▁begin｜>"],
    thinking: SWITCHED,
    calls: Some(Calls::Named(Named {
        section: DEEPSEEK_SECTION,
        head: Head {
            open: "<｜tool▁call▁begin｜>", name_ends: &["<｜tool▁sep｜>"], end: None
        },
        naming: Naming::Plain,
        arguments: Arguments::Json,
        close: "<｜tool▁call▁end｜>",
    })),
    ..DEEPSEEK_V3
};

/// A markup whose every tag carries a token; the names of the tags changed with the releases.
const fn dsml(section: Tags, call: Tags, argument: Tags) -> Option<Calls> {
    Some(Calls::Named(Named {
        section: Some(section),
        head: Head { open: call.open, name_ends: &["\""], end: Some(">") },
        naming: Naming::Plain,
        arguments: Arguments::Each(Argument {
            head: Head { open: argument.open, name_ends: &["\""], end: Some(">") },
            close: argument.close,
            string: Some("string=\"true\""),
            on_lines: false,
            quotes: None,
        }),
        close: call.close,
    }))
}

const INVOKE: Tags = tags("<｜DSML｜invoke name=\"", "</｜DSML｜invoke>");
const PARAMETER: Tags = tags("<｜DSML｜parameter name=\"", "</｜DSML｜parameter>");

/// DeepSeek V3.2.
pub const DEEPSEEK_V32: Voice = Voice {
    name: "DSML function_calls",
    marks: &["DSML"],
    thinking: SWITCHED,
    calls: dsml(tags("<｜DSML｜function_calls>", "</｜DSML｜function_calls>"), INVOKE, PARAMETER),
    template: Some(include_str!("dsml_v32.jinja")),
    ..DEEPSEEK_V3
};
/// DeepSeek V4.
pub const DEEPSEEK_V4: Voice = Voice {
    name: "DSML tool_calls",
    marks: &["DSML", "tool_calls>"],
    calls: dsml(tags("<｜DSML｜tool_calls>", "</｜DSML｜tool_calls>"), INVOKE, PARAMETER),
    template: Some(include_str!("dsml_v4.jinja")),
    ..DEEPSEEK_V32
};
/// DeepSeek V4.1: the space within the tags belongs there.
pub const DEEPSEEK_V41: Voice = Voice {
    name: "DSML calls",
    marks: &["DSML", " calls>"],
    calls: dsml(
        tags("<｜DSML｜ calls>", "</｜DSML｜ calls>"),
        tags("<｜DSML｜ invoke name=\"", "</｜DSML｜ invoke>"),
        tags("<｜DSML｜ parameter name=\"", "</｜DSML｜ parameter>"),
    ),
    template: None,
    ..DEEPSEEK_V32
};
