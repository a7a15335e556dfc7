//! Families whose labs ship code in place of a template: what ours write for a conversation, by
//! hand from that code.

use baimo_blueprint::voice::Voice;
use baimo_labs::voices::{self, BAICHUAN, INTERNLM_FIRST, ORION, QWEN_FIRST, TELECHAT, XVERSE};
use baimo_text::{Chat, Template};
use serde_json::json;

/// Begins with a system message where `system`.
fn written(voice: &Voice, vocab: usize, system: bool) -> String {
    let source = voice.template.unwrap().to_owned();
    let variables = [("vocab_size".to_owned(), vocab.to_string())];
    let template = Template::new([("default".to_owned(), source)].into(), variables.into());
    let messages = [("system", "S"), ("user", "Q"), ("assistant", "A"), ("user", "R")];
    let message = |&(role, content): &(&str, &str)| json!({ "role": role, "content": content });
    let messages = messages.iter().skip(usize::from(!system)).map(message).collect();
    let chat = Chat { messages, add_generation_prompt: true, ..Chat::default() };
    template.unwrap().render(&chat).unwrap()
}

#[test]
fn conversations_are_written_as_the_labs_code_writes_them() {
    for (voice, vocab, system, wanted) in [
        (
            &QWEN_FIRST,
            151_936,
            "<|im_start|>system\nS<|im_end|>\n",
            "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n\
             <|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            &INTERNLM_FIRST,
            103_168,
            "<s><|System|>:S\n",
            "<|User|>:Q\n<|Bot|>:A<eoa>\n<|User|>:R\n<|Bot|>:",
        ),
        (&BAICHUAN, 64_000, "S", "<reserved_102>Q<reserved_103>A</s><reserved_102>R<reserved_103>"),
        (&BAICHUAN, 125_696, "S", "<reserved_106>Q<reserved_107>A<reserved_106>R<reserved_107>"),
        (
            &XVERSE,
            100_534,
            "Human: S\n",
            "Human: Q\n\nAssistant: A<|endoftext|>Human: R\n\nAssistant: ",
        ),
        (&ORION, 84_608, "<s>Human: S\n\n", "Q\n\nAssistant: </s>A</s>Human: R\n\nAssistant: </s>"),
        (&TELECHAT, 160_256, "S", "<_user>Q<_bot>A<_end><_user>R<_bot>"),
    ] {
        assert_eq!(written(voice, vocab, true), format!("{system}{wanted}"), "{}", voice.name);
    }
}

#[test]
fn without_a_system_message_there_is_none_but_where_the_lab_has_one_of_its_own() {
    let starts = |voice, start: &str| {
        let found = written(voice, 125_696, false);
        assert!(found.starts_with(start), "{}: {found}", voice.name);
    };
    starts(&QWEN_FIRST, "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>");
    starts(&INTERNLM_FIRST, "<s><|User|>:Q\n");
    starts(&BAICHUAN, "<reserved_106>Q");
    starts(&XVERSE, "Human: Q\n\n");
    starts(&ORION, "<s>Human: Q\n\n");
    starts(&TELECHAT, "<_user>Q");
}

#[test]
fn a_model_without_a_template_is_given_its_familys() {
    for (architecture, voice) in [
        ("QWenLMHeadModel", &QWEN_FIRST),
        ("InternLMForCausalLM", &INTERNLM_FIRST),
        ("BaichuanForCausalLM", &BAICHUAN),
        ("XverseForCausalLM", &XVERSE),
        ("OrionForCausalLM", &ORION),
        ("TelechatForCausalLM", &TELECHAT),
    ] {
        assert_eq!(voices::voice(architecture, None), Some(voice));
        assert_eq!(voices::voice(architecture, voice.template), Some(voice), "by its own template");
    }
}
