//! What each voice says for the same reply: a thought, words, and two calls, one of them without
//! arguments.

use baimo_blueprint::voice::Voice;
use baimo_labs::voices::*;

pub struct Spoken {
    pub voice: &'static Voice,
    /// What the prompt ends with.
    pub prompt: &'static str,
    pub text: &'static str,
    /// The first call's id.
    pub id: Option<&'static str>,
}

impl Spoken {
    const fn new(voice: &'static Voice, prompt: &'static str, text: &'static str) -> Spoken {
        Spoken { voice, prompt, text, id: None }
    }

    pub fn thinks(&self) -> bool {
        self.voice.thinking.is_some()
    }
}

const FIRST: Option<&str> = Some("functions.get_weather:0");

/// Every voice, in the order of the files it is defined in.
pub const SPOKEN: &[Spoken] = &[
    Spoken::new(&THINKING, "", thought!("")),
    Spoken::new(&THINKING_SWITCHED, "", thought!("")),
    Spoken::new(&HERMES, "", concat!("I look\n it up.", hermes!())),
    Spoken::new(&HERMES_THINKING, "<think>\n", thought!("", "</think>", hermes!())),
    Spoken::new(&HERMES_SWITCHED, "", thought!(hermes!())),
    Spoken::new(&LING, "", concat!("I look\n it up.", hermes!())),
    Spoken::new(&LING_THINKING, "", thought!(hermes!())),
    Spoken::new(
        &ERNIE_X1,
        "<think>\n",
        concat!(
            "Hm: 1 < 2.\n\nYes.\n</think>\n\n<response>\nI look\n it up.\n</response>\n",
            hermes!()
        ),
    ),
    Spoken::new(
        &HUNYUAN_A13B,
        "",
        concat!(
            "<think>\nHm: 1 < 2.\n\nYes.\n</think>\n<answer>\nI look\n it up.<tool_calls>[",
            weather!("arguments"),
            ", {\"name\": \"ping\", \"arguments\": {}}]</tool_calls></answer>"
        ),
    ),
    Spoken::new(
        &MINIMAX_M1,
        "",
        thought!(concat!(
            "\n<tool_calls>\n",
            weather!("arguments"),
            "\n{\"name\": \"ping\", \"arguments\": {}}\n</tool_calls>"
        )),
    ),
    Spoken::new(
        &PANGU,
        "",
        thought!(
            "[unused16]",
            "[unused17]",
            concat!("[unused11][", weather!("arguments"), ",{\"name\": \"ping\"}][unused12]")
        ),
    ),
    Spoken::new(
        &INTERNLM,
        "",
        concat!(
            "I look\n it up.<|action_start|><|plugin|>\n",
            weather!("parameters"),
            "<|action_end|>\n<|action_start|><|plugin|>\n{\"name\": \"ping\", \"parameters\": {}}",
            "<|action_end|>"
        ),
    ),
    Spoken { id: FIRST, ..Spoken::new(&KIMI_K2, "", thought!(kimi!())) },
    Spoken { id: FIRST, ..Spoken::new(&KIMI_K25, "<think>", thought!("", "</think>", kimi!())) },
    Spoken::new(
        &KIMI_K3,
        "<|open|>think<|sep|>",
        concat!(
            "Hm: 1 < 2.\n\nYes.<|close|>think<|sep|><|open|>response<|sep|>I look\n it up.",
            "<|close|>response<|sep|><|open|>tools<|sep|>",
            typed!(
                "<|open|>call tool=\"",
                "<|open|>argument key=\"",
                " type=\"string\"<|sep|>",
                " type=\"number\"<|sep|>",
                "<|close|>argument<|sep|>",
                "<|close|>call<|sep|>",
                " index=\"1\"<|sep|>"
            ),
            "<|close|>tools<|sep|><|close|>message<|sep|>"
        ),
    ),
    Spoken::new(
        &DEEPSEEK_V3,
        "<think>\n",
        concat!(
            "Hm: 1 < 2.\n\nYes.\n</think>\n\nI look\n it up.",
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n",
            weather!(),
            "\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>ping\n```json\n{}\n",
            "```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        ),
    ),
    Spoken::new(
        &DEEPSEEK_V31,
        "<think>",
        concat!(
            "Hm: 1 < 2.\n\nYes.</think>I look\n it up.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
            "get_weather<｜tool▁sep｜>",
            weather!(),
            "<｜tool▁call▁end｜><｜tool▁call▁begin｜>ping<｜tool▁sep｜>{}<｜tool▁call▁end｜>",
            "<｜tool▁calls▁end｜>"
        ),
    ),
    Spoken::new(
        &DEEPSEEK_V32,
        "<think>",
        thought!("", "</think>", dsml!("function_calls", "invoke", "parameter")),
    ),
    Spoken::new(&DEEPSEEK_V4, "", thought!(dsml!("tool_calls", "invoke", "parameter"))),
    Spoken::new(&DEEPSEEK_V41, "", thought!(dsml!(" calls", " invoke", " parameter"))),
    Spoken::new(&FUNCTION_TAGS, "", concat!("I look\n it up.", functions!())),
    Spoken::new(&FUNCTION_TAGS_THINKING, "<think>\n", thought!("", "</think>", functions!())),
    Spoken::new(&FUNCTION_TAGS_SWITCHED, "", thought!(functions!())),
    Spoken::new(
        &SEED_OSS,
        "",
        thought!(
            "<seed:think>",
            "</seed:think>",
            concat!(
                "\n<seed:tool_call>\n<function=get_weather>\n<parameter=city>北京\n<b>\"x\"",
                "</parameter>\n<parameter=days>3</parameter>\n<parameter=units>",
                "{\"wind\": [\"m/s\"]}</parameter>\n</function>\n</seed:tool_call>\n",
                "<seed:tool_call>\n<function=ping>\n</function>\n</seed:tool_call>"
            )
        ),
    ),
    Spoken::new(
        &MINIMAX_M2,
        "<think>\n",
        concat!(
            thought!("", "</think>", "\n<minimax:tool_call>\n"),
            invoked!("<invoke name=\"", "<parameter name=\"", ">", "</parameter>", "</invoke>"),
            "\n</minimax:tool_call>"
        ),
    ),
    Spoken::new(
        &MINIMAX_M3,
        "",
        thought!(
            "<mm:think>",
            "</mm:think>",
            concat!(
                "]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"get_weather\">",
                "]<]minimax[>[<city>北京\n<b>\"x\"]<]minimax[>[</city>",
                "]<]minimax[>[<days>3]<]minimax[>[</days>]<]minimax[>[<units>]<]minimax[>[<wind>",
                "]<]minimax[>[<item>m/s]<]minimax[>[</item>]<]minimax[>[</wind>",
                "]<]minimax[>[</units>]<]minimax[>[</invoke>\n",
                "]<]minimax[>[<invoke name=\"ping\">]<]minimax[>[</invoke>\n",
                "]<]minimax[>[</tool_call>"
            )
        ),
    ),
    Spoken::new(
        &STEP3,
        "<think>\n",
        concat!(
            thought!("", "</think>", "\n<｜tool_calls_begin｜>\n"),
            invoked!(
                "<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\"",
                "<steptml:parameter name=\"",
                ">",
                "</steptml:parameter>",
                "</steptml:invoke><｜tool_call_end｜>"
            ),
            "\n<｜tool_calls_end｜>"
        ),
    ),
    Spoken::new(
        &DOTS,
        "",
        thought!(concat!(
            "\n<dots_function_call>\n",
            invoked!("<invoke name=\"", "<parameter name=\"", ">", "</parameter>", "</invoke>"),
            "\n</dots_function_call>"
        )),
    ),
    Spoken::new(
        &MINICPM_5,
        "",
        thought!(
            "<think>",
            "</think>",
            concat!(
                "\n<function name=\"get_weather\"><param name=\"city\"><![CDATA[北京\n<b>\"x\"]]>",
                "</param><param name=\"days\">3</param><param name=\"units\">",
                "{\"wind\": [\"m/s\"]}</param></function>\n<function name=\"ping\"></function>"
            )
        ),
    ),
    Spoken::new(&GLM_4, "", concat!("I look\n it up.", bare!())),
    Spoken::new(&GLM_Z1, "<think>", thought!("", "</think>", bare!())),
    Spoken::new(
        &GLM_45,
        "",
        thought!(concat!("\n", paired!("tool_call", "\n", "arg_key", "arg_value", "\n"))),
    ),
    Spoken::new(
        &LING_3,
        "",
        thought!(concat!("\n", paired!("tool_call", "", "arg_key", "arg_value", ""))),
    ),
    Spoken::new(
        &IQUEST,
        "",
        thought!(concat!("\n", paired!("iquest_tool_call", "", "arg_key", "arg_value", ""))),
    ),
    Spoken::new(
        &LONGCAT,
        "",
        concat!(
            "I look\n it up.\n<longcat_tool_call>\n",
            weather!("arguments"),
            "\n</longcat_tool_call><longcat_tool_call>\n{\"name\": \"ping\", \"arguments\": {}}\n",
            "</longcat_tool_call>"
        ),
    ),
    Spoken::new(
        &LONGCAT_THINKING,
        "<longcat_think>\n",
        thought!(
            "",
            "</longcat_think>",
            paired!("longcat_tool_call", "\n", "longcat_arg_key", "longcat_arg_value", "\n")
        ),
    ),
    Spoken::new(
        &HUNYUAN_3_PREVIEW,
        "<think>",
        concat!(
            thought!("", "</think>", "<tool_calls>\n"),
            paired!("tool_call", "<tool_sep>\n", "arg_key", "arg_value", "\n"),
            "\n</tool_calls>"
        ),
    ),
    Spoken::new(
        &HUNYUAN_3,
        "",
        concat!(
            thought!("<think:opensource>", "</think:opensource>", "\n<tool_calls:opensource>\n"),
            paired!(
                "tool_call:opensource",
                "<tool_sep:opensource>\n",
                "arg_key:opensource",
                "arg_value:opensource",
                "\n"
            ),
            "\n</tool_calls:opensource>"
        ),
    ),
    Spoken::new(
        &HUNYUAN_4,
        "",
        concat!(
            thought!("<think:opensource>", "</think:opensource>", "<tool_calls:opensource>"),
            paired!("tool_call:opensource", "", "arg_key:opensource", "arg_value:opensource", ""),
            "</tool_calls:opensource>"
        ),
    ),
    Spoken::new(&MINICPM_4, "", concat!("I look\n it up.", python!())),
    Spoken::new(&MINICPM_41, "", thought!(python!())),
    Spoken::new(&MINICPM_3, "", thought!("<|thought_start|>", "<|thought_end|>", python!())),
    Spoken::new(&QWEN_FIRST, "", "I look\n it up."),
    Spoken::new(&INTERNLM_FIRST, "", "I look\n it up."),
    Spoken::new(&BAICHUAN, "", "I look\n it up."),
    Spoken::new(&XVERSE, "", "I look\n it up."),
    Spoken::new(&ORION, "", "I look\n it up."),
    Spoken::new(&TELECHAT, "", "I look\n it up."),
    Spoken::new(&CHATGLM, "", "I look\n it up."),
    Spoken::new(&GLM_FIRST, "", "I look\n it up."),
    Spoken::new(&CPM_ANT, "", "I look\n it up."),
    Spoken::new(&CPM_BEE, "", "I look\n it up."),
];
