//! The reply as each syntax writes it: macros, so that tags and values are put together as text.

macro_rules! thought {
    ($open:literal, $close:literal, $rest:expr) => {
        concat!($open, "\nHm: 1 < 2.\n\nYes.\n", $close, "\n\nI look\n it up.", $rest)
    };
    ($rest:expr) => {
        thought!("<think>", "</think>", $rest)
    };
}

/// The first call in JSON.
macro_rules! weather {
    ($arguments:literal) => {
        concat!("{\"name\": \"get_weather\", \"", $arguments, "\": ", weather!(), "}")
    };
    () => {
        r#"{"city": "北京\n<b>\"x\"", "days": 3, "units": {"wind": ["m/s"]}}"#
    };
}

macro_rules! hermes {
    () => {
        concat!(
            "\n<tool_call>\n",
            weather!("arguments"),
            "\n</tool_call>\n<tool_call>\n{\"name\": \"ping\", \"arguments\": {}}\n</tool_call>"
        )
    };
}

macro_rules! functions {
    () => {
        "\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\n北京\n<b>\"x\"\n</parameter>\n\
         <parameter=days>\n3\n</parameter>\n<parameter=units>\n{\"wind\": [\"m/s\"]}\n\
         </parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=ping>\n</function>\n\
         </tool_call>"
    };
}

/// `open` f `"`…: two calls with `>` or whatever ends the head of a tag.
macro_rules! invoked {
    ($invoke:literal, $parameter:literal, $end:literal, $close:literal, $done:literal) => {
        concat!(
            $invoke,
            "get_weather\"",
            $end,
            "\n",
            $parameter,
            "city\"",
            $end,
            "北京\n<b>\"x\"",
            $close,
            "\n",
            $parameter,
            "days\"",
            $end,
            "3",
            $close,
            "\n",
            $parameter,
            "units\"",
            $end,
            "{\"wind\": [\"m/s\"]}",
            $close,
            "\n",
            $done,
            "\n",
            $invoke,
            "ping\"",
            $end,
            "\n",
            $done
        )
    };
}

/// The same where an attribute says what is a string.
macro_rules! typed {
    ($invoke:literal, $parameter:literal, $string:literal, $other:literal, $close:literal,
     $done:literal, $end:literal) => {
        concat!(
            $invoke,
            "get_weather\"",
            $end,
            $parameter,
            "city\"",
            $string,
            "北京\n<b>\"x\"",
            $close,
            $parameter,
            "days\"",
            $other,
            "3",
            $close,
            $parameter,
            "units\"",
            $other,
            "{\"wind\": [\"m/s\"]}",
            $close,
            $done,
            $invoke,
            "ping\"",
            $end,
            $done
        )
    };
}

macro_rules! paired {
    ($call:literal, $sep:literal, $key:literal, $value:literal, $suffix:literal) => {
        concat!(
            "<",
            $call,
            ">get_weather",
            $sep,
            "<",
            $key,
            ">city</",
            $key,
            ">\n<",
            $value,
            ">北京\n<b>\"x\"</",
            $value,
            ">\n<",
            $key,
            ">days</",
            $key,
            ">\n<",
            $value,
            ">3</",
            $value,
            ">\n<",
            $key,
            ">units</",
            $key,
            ">\n<",
            $value,
            ">{\"wind\": [\"m/s\"]}</",
            $value,
            ">\n</",
            $call,
            ">",
            $suffix,
            "<",
            $call,
            ">ping",
            $sep,
            "</",
            $call,
            ">"
        )
    };
}

macro_rules! dsml {
    ($calls:literal, $invoke:literal, $parameter:literal) => {
        concat!(
            "\n\n<｜DSML｜",
            $calls,
            ">\n",
            typed_dsml!($invoke, $parameter),
            "\n</｜DSML｜",
            $calls,
            ">"
        )
    };
}

macro_rules! typed_dsml {
    ($invoke:literal, $parameter:literal) => {
        concat!(
            "<｜DSML｜",
            $invoke,
            " name=\"get_weather\">\n<｜DSML｜",
            $parameter,
            " name=\"city\" string=\"true\">北京\n<b>\"x\"</｜DSML｜",
            $parameter,
            ">\n<｜DSML｜",
            $parameter,
            " name=\"days\" string=\"false\">3</｜DSML｜",
            $parameter,
            ">\n<｜DSML｜",
            $parameter,
            " name=\"units\" string=\"false\">{\"wind\": [\"m/s\"]}",
            "</｜DSML｜",
            $parameter,
            ">\n</｜DSML｜",
            $invoke,
            ">\n<｜DSML｜",
            $invoke,
            " name=\"ping\">\n\n</｜DSML｜",
            $invoke,
            ">"
        )
    };
}

macro_rules! kimi {
    () => {
        concat!(
            " <|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0",
            "<|tool_call_argument_begin|>",
            weather!(),
            "<|tool_call_end|><|tool_call_begin|>",
            "functions.ping:1<|tool_call_argument_begin|>{}<|tool_call_end|>",
            "<|tool_calls_section_end|>"
        )
    };
}

macro_rules! python {
    () => {
        "\n<|tool_call_start|>\n```python\nget_weather(city=\"北京\\n<b>\\\"x\\\"\", days=3, \
         units={'wind': ['m/s']})\nping()\n```\n<|tool_call_end|>"
    };
}

macro_rules! bare {
    () => {
        concat!("<|assistant|>get_weather\n", weather!(), "<|assistant|>ping\n{}")
    };
}
