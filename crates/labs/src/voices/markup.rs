//! Calls as markup, each argument in tags of its own.

use super::{PLAIN, THINK, THINK_BREAK, THINK_SWITCHED, tags};
use baimo_blueprint::voice::{
    Argument, Arguments, Calls, Head, Named, Naming, Switch, Tags, Thinking, Voice,
};

const fn named(
    section: Option<Tags>,
    head: Head,
    argument: Argument,
    close: &'static str,
) -> Calls {
    let arguments = Arguments::Each(argument);
    Calls::Named(Named { section, head, naming: Naming::Plain, arguments, close })
}

/// `open` NAME `>`, as in `<function=f>`.
const fn bare(open: &'static str) -> Head {
    Head { open, name_ends: &[">"], end: None }
}

/// `open` NAME `" …>`, as in `<invoke name="f">`.
const fn quoted(open: &'static str) -> Head {
    Head { open, name_ends: &["\""], end: Some(">") }
}

const fn argument(head: Head, close: &'static str) -> Argument {
    Argument { head, close, string: None, on_lines: false, quotes: None }
}

const INVOKE: Head = quoted("<invoke name=\"");
const PARAMETER: Argument = argument(quoted("<parameter name=\""), "</parameter>");
const FUNCTION: Head = bare("<function=");
const FUNCTION_PARAMETER: Argument = argument(bare("<parameter="), "</parameter>");

/// Qwen3-Coder.
pub const FUNCTION_TAGS: Voice = Voice {
    name: "<function=…> in <tool_call>",
    marks: &["<function=", "<parameter="],
    calls: Some(named(
        Some(tags("<tool_call>", "</tool_call>")),
        FUNCTION,
        Argument { on_lines: true, ..FUNCTION_PARAMETER },
        "</function>",
    )),
    ends: &["<|im_end|>"],
    ..PLAIN
};
/// Step 3.5 and 3.7, which always think.
pub const FUNCTION_TAGS_THINKING: Voice = Voice {
    name: "<function=…> in <tool_call>, thoughts",
    marks: &["<function=", "<parameter=", "<think>"],
    thinking: Some(THINK_BREAK),
    ..FUNCTION_TAGS
};
/// Qwen3.5 and later, MiMo V2.
pub const FUNCTION_TAGS_SWITCHED: Voice = Voice {
    name: "<function=…> in <tool_call>, thoughts, switched",
    marks: &["<function=", "<parameter=", "<think>", "enable_thinking"],
    thinking: Some(THINK_SWITCHED),
    ..FUNCTION_TAGS
};
/// Seed-OSS, which can be given a budget of thoughts.
pub const SEED_OSS: Voice = Voice {
    name: "<function=…> in <seed:tool_call>",
    marks: &["<seed:tool_call>"],
    thinking: Some(Thinking {
        tags: tags("<seed:think>", "</seed:think>"),
        switch: None,
        budget: Some("thinking_budget"),
        cut: "</seed:think>",
    }),
    calls: Some(named(
        Some(tags("<seed:tool_call>", "</seed:tool_call>")),
        FUNCTION,
        FUNCTION_PARAMETER,
        "</function>",
    )),
    ends: &["<seed:eos>"],
    ..PLAIN
};
/// MiniMax M2, which always thinks.
pub const MINIMAX_M2: Voice = Voice {
    name: "<invoke> in <minimax:tool_call>",
    marks: &["<minimax:tool_call>"],
    thinking: Some(THINK),
    calls: Some(named(
        Some(tags("<minimax:tool_call>", "</minimax:tool_call>")),
        INVOKE,
        PARAMETER,
        "</invoke>",
    )),
    ends: &["[e~["],
    ..PLAIN
};
/// MiniMax M3: a prefix before every tag, arguments as tags of their names, also within values.
pub const MINIMAX_M3: Voice = Voice {
    name: "prefixed <invoke>, named tags",
    marks: &["]<]minimax[>["],
    thinking: Some(Thinking {
        tags: tags("<mm:think>", "</mm:think>"),
        switch: Some(Switch::Choice { name: "thinking_mode", on: "enabled", off: "disabled" }),
        budget: None,
        cut: "</mm:think>",
    }),
    calls: Some(named(
        Some(tags("]<]minimax[>[<tool_call>", "]<]minimax[>[</tool_call>")),
        quoted("]<]minimax[>[<invoke name=\""),
        argument(bare("]<]minimax[>[<"), "]<]minimax[>[</*>"),
        "]<]minimax[>[</invoke>",
    )),
    ends: &["[e~["],
    ..PLAIN
};
/// Step 3.
pub const STEP3: Voice = Voice {
    name: "<steptml:invoke> in a section",
    marks: &["<steptml:"],
    thinking: Some(THINK),
    calls: Some(named(
        Some(tags("<｜tool_calls_begin｜>", "<｜tool_calls_end｜>")),
        quoted("<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\""),
        argument(quoted("<steptml:parameter name=\""), "</steptml:parameter>"),
        "</steptml:invoke>",
    )),
    silent: &["<｜tool_call_end｜>"],
    ..PLAIN
};
/// dots 3.
pub const DOTS: Voice = Voice {
    name: "<invoke> in <dots_function_call>",
    marks: &["<dots_function_call>"],
    thinking: Some(THINK_SWITCHED),
    calls: Some(named(
        Some(tags("<dots_function_call>", "</dots_function_call>")),
        INVOKE,
        PARAMETER,
        "</invoke>",
    )),
    ..PLAIN
};
/// MiniCPM 5: values that hold markup are quoted.
pub const MINICPM_5: Voice = Voice {
    name: "<function name=…>",
    marks: &["<function name=", "<param name="],
    thinking: Some(THINK_SWITCHED),
    calls: Some(named(
        None,
        quoted("<function name=\""),
        Argument {
            quotes: Some(tags("<![CDATA[", "]]>")),
            ..argument(quoted("<param name=\""), "</param>")
        },
        "</function>",
    )),
    ends: &["<|im_end|>"],
    ..PLAIN
};
