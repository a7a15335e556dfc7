//! Families whose labs publish code in place of a chat template, and whose models say nothing but
//! words: the template is ours, written from that code.

use super::PLAIN;
use baimo_blueprint::voice::Voice;

/// Qwen-1: ChatML with a system message in any case (qwen_generation_utils.py of the releases).
pub const QWEN_FIRST: Voice = Voice {
    name: "words, ChatML",
    marks: &["<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", "messages[1:]"],
    ends: &["<|im_end|>", "<|endoftext|>"],
    template: Some(
        "{% if messages[0]['role'] == 'system' %}\
         {{ '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}\
         {% set messages = messages[1:] %}{% else %}\
         {{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}\
         {% for message in messages %}\
         {{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}\
         {% endfor %}\
         {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    ),
    ..PLAIN
};

/// InternLM from its version 1.1 on, the 20B model included (modeling_internlm.py, `chat`).
pub const INTERNLM_FIRST: Voice = Voice {
    name: "words, <|User|>:",
    marks: &["<|User|>:", "<|Bot|>:"],
    ends: &["<eoa>"],
    template: Some(
        "<s>{% for message in messages %}\
         {% if message['role'] == 'user' %}{{ '<|User|>:' + message['content'] + '\n' }}\
         {% elif message['role'] == 'assistant' %}\
         {{ '<|Bot|>:' + message['content'] + '<eoa>\n' }}\
         {% else %}{{ '<|System|>:' + message['content'] + '\n' }}{% endif %}{% endfor %}\
         {% if add_generation_prompt %}<|Bot|>:{% endif %}",
    ),
    ..PLAIN
};

/// Baichuan-13B and Baichuan2: a token before each side's words, the same two ids, which are
/// spelled differently in the two vocabularies. Baichuan-13B ends an answer with a token too
/// (modeling_baichuan.py and generation_utils.py of the chat releases).
pub const BAICHUAN: Voice = Voice {
    name: "words, reserved tokens",
    marks: &["<reserved_102>", "<reserved_106>"],
    template: Some(
        "{% set first = vocab_size|int < 100000 %}\
         {% set user = '<reserved_102>' if first else '<reserved_106>' %}\
         {% set assistant = '<reserved_103>' if first else '<reserved_107>' %}\
         {% for message in messages %}\
         {% if message['role'] == 'user' %}{{ user + message['content'] }}\
         {% elif message['role'] == 'assistant' %}\
         {{ assistant + message['content'] + ('</s>' if first else '') }}\
         {% else %}{{ message['content'] }}{% endif %}{% endfor %}\
         {% if add_generation_prompt %}{{ assistant }}{% endif %}",
    ),
    ..PLAIN
};

/// XVERSE: words before each side's, two line breaks after the user's (`_build_chat_input` of
/// modeling_xverse.py).
pub const XVERSE: Voice = Voice {
    name: "words, Human and Assistant",
    marks: &["Human: ", "Assistant: ", "<|endoftext|>"],
    template: Some(
        "{% for message in messages %}\
         {% if message['role'] == 'user' %}{{ 'Human: ' + message['content'] + '\n\n' }}\
         {% elif message['role'] == 'assistant' %}\
         {{ 'Assistant: ' + message['content'] + '<|endoftext|>' }}\
         {% else %}{{ 'Human: ' + message['content'] + '\n' }}{% endif %}{% endfor %}\
         {% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}",
    ),
    ..PLAIN
};

/// Orion: as XVERSE, with the token of the end before and after an answer (generation_utils.py).
pub const ORION: Voice = Voice {
    name: "words, Human and Assistant, ends",
    marks: &["Human: ", "Assistant: </s>"],
    template: Some(
        "<s>{% for message in messages %}\
         {% if message['role'] == 'system' %}{{ 'Human: ' + message['content'] + '\n\n' }}\
         {% elif message['role'] == 'user' %}\
         {% if loop.first or messages[loop.index0 - 1]['role'] != 'system' %}{{ 'Human: ' }}\
         {% endif %}{{ message['content'] + '\n\nAssistant: </s>' }}\
         {% else %}{{ message['content'] + '</s>' }}{% endif %}{% endfor %}",
    ),
    ..PLAIN
};

/// TeleChat: a token before each side's words and one after an answer (the lab's
/// template_telechat.jinja for vLLM, and `build_inputs_for_chat` of modeling_telechat.py).
pub const TELECHAT: Voice = Voice {
    name: "words, <_user> and <_bot>",
    marks: &["<_user>", "<_bot>"],
    ends: &["<_end>"],
    template: Some(
        "{% for message in messages %}\
         {% if message['role'] == 'user' %}{{ '<_user>' + message['content'] + '<_bot>' }}\
         {% elif message['role'] == 'assistant' %}{{ message['content'] + '<_end>' }}\
         {% else %}{{ message['content'] }}{% endif %}{% endfor %}",
    ),
    ..PLAIN
};
