//! Families whose labs ship code in place of a template: what ours write for a conversation, by
//! hand from that code.

use baimo_blueprint::voice::Voice;
use baimo_labs::voices::{
    self, BAICHUAN, CHATGLM, CPM_ANT, CPM_BEE, GLM_FIRST, INTERNLM_FIRST, ORION, QWEN_FIRST,
    TELECHAT, XVERSE,
};
use baimo_text::{Chat, Template};
use serde_json::json;

/// Begins with a system message where `system`.
fn written(voice: &Voice, vocab: usize, system: bool) -> String {
    let source = voice.template.unwrap().to_owned();
    let variables = [("vocab_size", vocab.to_string()), ("name", String::new())];
    let variables = variables.map(|(name, text)| (name.to_owned(), text));
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
        (&CHATGLM, 130_528, "S\n", "[Round 0]\n问：Q\n答：A\n[Round 1]\n问：R\n答：[gMASK]<sop>"),
        (&GLM_FIRST, 150_528, "S\n", "Q\nA\nR[gMASK]<sop>"),
        (&CPM_ANT, 30_720, "<s>S\n", "Q\nA\nR"),
        (
            &CPM_BEE,
            86_583,
            "",
            "<s><root></s><s>input</s><s>Q\nA\nR</s><s>prompt</s><s>S</s><s><ans></s><s>",
        ),
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
        ("ChatGLMModel", &CHATGLM),
        ("GLM130BForConditionalGeneration", &GLM_FIRST),
        ("CpmAntForCausalLM", &CPM_ANT),
        ("CpmBeeForCausalLM", &CPM_BEE),
    ] {
        assert_eq!(voices::voice(architecture, None), Some(voice));
        assert_eq!(voices::voice(architecture, voice.template), Some(voice), "by its own template");
    }
}

#[test]
fn the_generations_of_one_architecture_are_told_apart() {
    let render = |vocab: &str, name: &str, messages: serde_json::Value| {
        let variables = [("vocab_size", vocab), ("name", name)];
        let variables = variables.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let source = CHATGLM.template.unwrap().to_owned();
        let template = Template::new([("default".to_owned(), source)].into(), variables.into());
        let messages = messages.as_array().unwrap().clone();
        template.unwrap().render(&Chat { messages, add_generation_prompt: true, ..Chat::default() })
    };
    let message = |role: &str, content: &str| json!({ "role": role, "content": content });
    let alone = json!([message("user", "Q")]);
    let long = json!([message("user", "Q"), message("assistant", "A"), message("user", "R")]);
    assert_eq!(render("130528", "", alone.clone()).unwrap(), "Q[gMASK]<sop>");
    let second = "[gMASK]sop[Round 1]\n\n问：Q\n\n答：";
    assert_eq!(render("65024", "lab/chatglm2-6b", alone.clone()).unwrap(), second);
    let second = format!("{second}A\n\n[Round 2]\n\n问：R\n\n答：");
    assert_eq!(render("65024", "", long.clone()).unwrap(), second);
    let third = "[gMASK]sop<|user|>\n Q<|assistant|>\n A<|user|>\n R<|assistant|>";
    assert_eq!(render("65024", "lab/chatglm3-6b", long).unwrap(), third);
    assert!(render("151552", "", alone).is_err());
}

#[test]
fn a_text_with_a_gap_gets_no_other() {
    let render = |text: &str| {
        let source = GLM_FIRST.template.unwrap().to_owned();
        let template = Template::new([("default".to_owned(), source)].into(), [].into()).unwrap();
        let messages = vec![json!({ "role": "user", "content": text })];
        template.render(&Chat { messages, add_generation_prompt: true, ..Chat::default() }).unwrap()
    };
    assert_eq!(render("a [MASK] b"), "a [MASK] b</s><sop>");
    assert_eq!(render("a [MASK]"), "a [MASK]<sop>");
}
