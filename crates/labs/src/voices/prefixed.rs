//! Families that read a prompt in both directions, and their next two generations: models without a
//! chat template, of which some were not made to chat.

use super::PLAIN;
use baimo_blueprint::voice::Voice;

/// ChatGLM's first three generations. The first is asked with a gap at the end and counts rounds
/// from 0, if there is more than one (modeling_chatglm.py). The second counts from 1, in
/// tokenization_chatglm.py. The third has tokens for roles (`build_chat_input`), and a template
/// in its later files. The sizes of the vocabularies tell the first from them, names the other two.
pub const CHATGLM: Voice = Voice {
    name: "words, rounds",
    marks: &["[gMASK]", "[Round ", "问："],
    ends: &["<eop>", "<|user|>", "<|observation|>"],
    template: Some(
        "{% if vocab_size|int > 151000 %}\
         {{ raise_exception('this model comes without a chat template') }}{% endif %}\
         {% if vocab_size|int < 100000 and 'chatglm3' in name %}[gMASK]sop\
         {% for message in messages %}\
         {{ '<|' + message['role'] + '|>\n ' + message['content'] }}{% endfor %}\
         {% if add_generation_prompt %}<|assistant|>{% endif %}\
         {% else %}\
         {% set first = vocab_size|int > 100000 %}\
         {% set break = '\n' if first else '\n\n' %}\
         {% set ns = namespace(round=0 if first else 1) %}\
         {% if not first %}[gMASK]sop{% endif %}\
         {% for message in messages %}\
         {% if message['role'] == 'user' and first and messages|length < 3 %}\
         {{ message['content'] }}\
         {% elif message['role'] == 'user' %}\
         {{ '[Round ' ~ ns.round ~ ']' ~ break ~ '问：' ~ message['content'] ~ break ~ '答：' }}\
         {% set ns.round = ns.round + 1 %}\
         {% elif message['role'] == 'assistant' %}{{ message['content'] + break }}\
         {% else %}{{ message['content'] + '\n' }}{% endif %}{% endfor %}\
         {% if add_generation_prompt and first %}[gMASK]<sop>{% endif %}{% endif %}",
    ),
    ..PLAIN
};

/// GLM-130B writes on, or fills the gap that a text has (`fill_blanks` of its generate.py).
pub const GLM_FIRST: Voice = Voice {
    name: "words, gaps",
    marks: &["[gMASK]", "MASK]' not in"],
    template: Some(
        "{% set ns = namespace(text='') %}{% for message in messages %}\
         {% set ns.text = ns.text ~ ('' if loop.first else '\n') ~ message['content'] %}\
         {% endfor %}{{ ns.text }}\
         {% if add_generation_prompt %}\
         {% if 'MASK]' not in ns.text %}[gMASK]\
         {% elif not ns.text.endswith('MASK]') %}</s>{% endif %}<sop>{% endif %}",
    ),
    ..PLAIN
};

/// CPM-Ant writes on.
pub const CPM_ANT: Voice = Voice {
    name: "words, written on",
    marks: &["<s>{% for message in messages %}{{ '' if loop.first"],
    template: Some(
        "<s>{% for message in messages %}{{ '' if loop.first else '\n' }}{{ message['content'] }}\
         {% endfor %}",
    ),
    ..PLAIN
};

/// CPM-Bee is given a dictionary, of which it writes the value of `<ans>`: here of an input and, if
/// there is a system message, of a prompt (README of the release).
pub const CPM_BEE: Voice = Voice {
    name: "words, a dictionary",
    marks: &["<root>", "<ans>"],
    template: Some(
        "{% set ns = namespace(input='', prompt='') %}{% for message in messages %}\
         {% if message['role'] == 'system' %}{% set ns.prompt = message['content'] %}\
         {% else %}{% set ns.input = ns.input ~ ('\n' if ns.input else '') ~ message['content'] %}\
         {% endif %}{% endfor %}\
         {{ '<s><root></s><s>input</s><s>' ~ ns.input ~ '</s>' }}\
         {% if ns.prompt %}{{ '<s>prompt</s><s>' ~ ns.prompt ~ '</s>' }}{% endif %}\
         {% if add_generation_prompt %}<s><ans></s><s>{% endif %}",
    ),
    ..PLAIN
};
