//! Calls as a name and pairs of keys and values, each in tags of its own.

use super::{ENABLE, PLAIN, THINK, THINK_SWITCHED, THINK_TIGHT, tags};
use baimo_blueprint::voice::{
    Argument, Arguments, Calls, Head, Named, Naming, Switch, Tags, Thinking, Voice,
};

/// The name ends at `name_ends`, at the first key or at the end of the call.
const fn pairs(
    section: Option<Tags>,
    call: Tags,
    name_ends: &'static [&'static str],
    argument: Argument,
) -> Option<Calls> {
    Some(Calls::Named(Named {
        section,
        head: Head { open: call.open, name_ends, end: None },
        naming: Naming::Plain,
        arguments: Arguments::Each(argument),
        close: call.close,
    }))
}

const fn pair(key: &'static str, key_end: &'static [&'static str], value: Tags) -> Argument {
    Argument {
        head: Head { open: key, name_ends: key_end, end: Some(value.open) },
        close: value.close,
        string: None,
        on_lines: false,
        quotes: None,
    }
}

const PAIR: Argument = pair("<arg_key>", &["</arg_key>"], tags("<arg_value>", "</arg_value>"));

/// GLM-4: each call is a turn of its own.
pub const GLM_4: Voice = Voice {
    name: "bare calls",
    marks: &["[gMASK]"],
    calls: Some(Calls::Bare),
    silent: &["<|assistant|>"],
    ends: &["<|user|>", "<|observation|>"],
    ..PLAIN
};
/// GLM-Z1.
pub const GLM_Z1: Voice = Voice {
    name: "bare calls, thoughts",
    marks: &["[gMASK]", "<think>"],
    thinking: Some(THINK),
    ..GLM_4
};
/// GLM-4.5 and later, 5 too. Some write `name>{..}` instead of pairs.
pub const GLM_45: Voice = Voice {
    name: "<arg_key> pairs in <tool_call>",
    marks: &["<arg_key>", "[gMASK]"],
    thinking: Some(Thinking { switch: ENABLE, ..THINK_TIGHT }),
    calls: pairs(None, tags("<tool_call>", "</tool_call>"), &["\n", ">"], PAIR),
    silent: &[],
    ..GLM_4
};
/// Ling 3.
pub const LING_3: Voice = Voice {
    name: "<arg_key> pairs in <tool_call>, roles in tags",
    marks: &["<arg_key>", "<role>"],
    thinking: Some(THINK_SWITCHED),
    ends: &["<|role_end|>"],
    ..GLM_45
};
/// IQuest Q1.
pub const IQUEST: Voice = Voice {
    name: "<arg_key> pairs in <iquest_tool_call>",
    marks: &["<iquest_tool_call>"],
    thinking: Some(THINK),
    calls: pairs(None, tags("<iquest_tool_call>", "</iquest_tool_call>"), &["\n"], PAIR),
    ends: &["<|im_end|>"],
    ..PLAIN
};
/// LongCat Flash Chat, which writes JSON between the tags, and later ones, which write pairs.
pub const LONGCAT: Voice = Voice {
    name: "<longcat_arg_key> pairs or JSON in <longcat_tool_call>",
    marks: &["<longcat_tool_call>"],
    calls: pairs(
        None,
        tags("<longcat_tool_call>", "</longcat_tool_call>"),
        &["\n"],
        pair(
            "<longcat_arg_key>",
            &["</longcat_arg_key>"],
            tags("<longcat_arg_value>", "</longcat_arg_value>"),
        ),
    ),
    ends: &["</longcat_s>"],
    ..PLAIN
};
/// LongCat Flash Thinking.
pub const LONGCAT_THINKING: Voice = Voice {
    name: "<longcat_arg_key> pairs in <longcat_tool_call>, thoughts",
    marks: &["<longcat_tool_call>", "<longcat_think>"],
    thinking: Some(Thinking {
        tags: tags("<longcat_think>", "</longcat_think>"),
        switch: ENABLE,
        budget: None,
        cut: "\n</longcat_think>\n",
    }),
    ..LONGCAT
};

/// Every tag has the suffix of its vocabulary.
macro_rules! hunyuan {
    ($name:literal, $marks:expr, $name_ends:expr, $suffix:literal) => {
        Voice {
            name: $name,
            marks: $marks,
            thinking: Some(Thinking {
                tags: tags(concat!("<think", $suffix, ">"), concat!("</think", $suffix, ">")),
                switch: Some(Switch::Choice {
                    name: "reasoning_effort",
                    on: "high",
                    off: "no_think",
                }),
                budget: None,
                cut: concat!("</think", $suffix, ">"),
            }),
            calls: pairs(
                Some(tags(
                    concat!("<tool_calls", $suffix, ">"),
                    concat!("</tool_calls", $suffix, ">"),
                )),
                tags(concat!("<tool_call", $suffix, ">"), concat!("</tool_call", $suffix, ">")),
                $name_ends,
                pair(
                    concat!("<arg_key", $suffix, ">"),
                    &[concat!("</arg_key", $suffix, ">")],
                    tags(concat!("<arg_value", $suffix, ">"), concat!("</arg_value", $suffix, ">")),
                ),
            ),
            ends: &["<｜hy_eos｜>"],
            ..PLAIN
        }
    };
}

/// Hunyuan 3, the preview.
pub const HUNYUAN_3_PREVIEW: Voice = hunyuan!(
    "<arg_key> pairs in <tool_calls>",
    &["<｜hy_Assistant｜>", "<tool_sep>"],
    &["<tool_sep>"],
    ""
);
/// Hunyuan 3, as released.
pub const HUNYUAN_3: Voice = hunyuan!(
    "suffixed <arg_key> pairs, <tool_sep>",
    &["HYTK", "tool_sep"],
    &["<tool_sep:opensource>"],
    ":opensource"
);
/// Hunyuan 4.
pub const HUNYUAN_4: Voice =
    hunyuan!("suffixed <arg_key> pairs", &["HYTK"], &["\n"], ":opensource");
