//! Constraints count in the answer, and thoughts have an end.

use crate::speaker::Speaker;
use baimo_blueprint::Voice;
use baimo_labs::voices::{DEEPSEEK_V31, ERNIE_X1, HERMES_SWITCHED, HUNYUAN_A13B, VOICES};
use baimo_text::grammar::{Allowed, Grammar, Guide, Wish};
use baimo_text::voice::{Parser, Reply};
use serde_json::{Value, json};

/// What the reply to `prompt` is made of.
pub fn read(voice: &'static Voice, prompt: &str, tools: Option<&Value>, text: &str) -> Reply {
    let mut parser = Parser::new(Some(voice), prompt, tools);
    let mut reply = Reply::default();
    for piece in parser.push(text).iter().chain(&parser.finish()) {
        reply.add(piece);
    }
    reply
}

/// Prompts that leave thoughts to the model, have opened them, and have closed them.
fn prompts(voice: &Voice) -> [String; 3] {
    let tags = voice.thinking.unwrap().tags;
    ["".to_owned(), format!("{}\n", tags.open), format!("{}\n\n{}\n\n", tags.open, tags.close)]
}

#[test]
fn the_answer_keeps_the_rule_and_the_thoughts_are_free() {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } },
        "required": ["n"], "additionalProperties": false });
    let grammar = Grammar::json_schema(&schema, true).unwrap();
    let wish = Wish { answer: Some(&grammar), budget: Some(30), ..Wish::default() };
    let mut thoughts = 0;
    for voice in [&HERMES_SWITCHED, &DEEPSEEK_V31, &ERNIE_X1, &HUNYUAN_A13B] {
        for special in [None, Some(false), Some(true)] {
            let tags = if special.is_some() { voice.tags() } else { Vec::new() };
            let mut speaker = Speaker::with_tags(voice, &tags, special == Some(true), 5);
            for prompt in prompts(voice) {
                for _ in 0..4 {
                    let guide = Guide::new(&speaker.environment, &prompt, &wish).unwrap().unwrap();
                    let (text, _) = speaker.reply(guide);
                    let reply = read(voice, &prompt, None, &text);
                    let value: Value = serde_json::from_str(&reply.content)
                        .unwrap_or_else(|e| panic!("{}, {prompt:?}: {e}: {text}", voice.name));
                    assert!(jsonschema::is_valid(&schema, &value), "{}: {text}", voice.name);
                    thoughts += usize::from(!reply.reasoning.is_empty());
                }
            }
        }
    }
    assert!(thoughts > 20, "{thoughts} replies with thoughts");
}

#[test]
fn a_budget_ends_the_thoughts_as_the_family_does() {
    let speaker = Speaker::with_tags(&HERMES_SWITCHED, &["<think>", "</think>"], false, 1);
    let say = |prompt: &str, budget: usize, pieces: &[&str]| {
        let wish = Wish { budget: Some(budget), ..Wish::default() };
        let mut guide = Guide::new(&speaker.environment, prompt, &wish).unwrap().unwrap();
        let mut text = String::new();
        let mut pieces = pieces.iter();
        loop {
            let token = match guide.allowed() {
                Allowed::Forced(token) => token,
                Allowed::Any => match pieces.next() {
                    Some(piece) => speaker.token(piece),
                    None => return text,
                },
                allowed => panic!("{allowed:?} after {text}"),
            };
            guide.took(token);
            text += &speaker.tokenizer.token_text(token).unwrap();
        }
    };
    assert_eq!(say("<think>\n", 0, &["a"]), "\n</think>\n\na");
    assert_eq!(say("<think>\n", 2, &["a", "b", "c"]), "ab\n</think>\n\nc");
    assert_eq!(say("<think>\n", 2, &["a", "\n", "c"]), "a\n</think>\n\nc");
    assert_eq!(say("<think>\n", 9, &["a", "</think>", "c"]), "a</think>c");
    assert_eq!(say("", 1, &["<think>", "b", "c"]), "<think>b\n</think>\n\nc");
    assert_eq!(say("", 1, &["a", "b", "c"]), "abc");
    assert_eq!(say("<think>\n\n</think>\n\n", 0, &["a", "b"]), "ab");
}

#[test]
fn a_tag_of_many_tokens_ends_where_the_budget_does() {
    let mut speaker = Speaker::with_tags(&HERMES_SWITCHED, &[], false, 1);
    let wish = Wish { budget: Some(3), ..Wish::default() };
    let mut guide = Guide::new(&speaker.environment, "<think>\n", &wish).unwrap().unwrap();
    let mut text = String::new();
    for piece in ["a", "<", "/"] {
        assert_eq!(guide.allowed(), Allowed::Any);
        guide.took(speaker.token(piece));
        text += piece;
    }
    while let Allowed::Forced(token) = guide.allowed() {
        guide.took(token);
        text += &speaker.tokenizer.token_text(token).unwrap();
    }
    assert_eq!(text, "a</think>\n\n");
    assert_eq!(guide.allowed(), Allowed::Any);
    assert!(speaker.below(2) < 2);
}

#[test]
fn no_voice_is_given_more_thoughts_than_its_budget() {
    for voice in VOICES.iter().filter(|voice| voice.thinking.is_some()) {
        let mut speaker = Speaker::with_tags(voice, &voice.tags(), true, 2);
        let prompt = voice.thinking.unwrap().tags.open;
        for budget in [0, 7] {
            let wish = Wish { budget: Some(budget), ..Wish::default() };
            let guide = Guide::new(&speaker.environment, prompt, &wish).unwrap().unwrap();
            let (text, tokens) = speaker.begin(guide, 60);
            let close = voice.thinking.unwrap().tags.close;
            let end = text.find(close).unwrap_or_else(|| panic!("{}: {text}", voice.name));
            let thought = tokens.iter().scan(0, |bytes, id| {
                *bytes += speaker.tokenizer.token_bytes(*id).unwrap().len();
                Some(*bytes)
            });
            let before = thought.filter(|bytes| *bytes <= end).count();
            // A character that has begun ends, and a line break stands before the tag.
            assert!(before <= budget + 4, "{}: {before} tokens in {text:?}", voice.name);
        }
    }
}

#[test]
fn nothing_to_say_is_no_guide() {
    let speaker = Speaker::with_tags(&HERMES_SWITCHED, &[], false, 1);
    assert!(Guide::new(&speaker.environment, "", &Wish::default()).unwrap().is_none());
    let wish = Wish { budget: Some(3), ..Wish::default() };
    let plain = Speaker::new("byte_level", "<|im_end|>", None, 1);
    assert!(Guide::new(&plain.environment, "", &wish).unwrap().is_none());
}
