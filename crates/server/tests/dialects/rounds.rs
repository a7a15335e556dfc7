//! What every dialect's prompts have in common.

use crate::SPEAKER;
use baimo_server::ask::{Ask, Prompt};
use baimo_server::model::Prepared;
use baimo_text::Chat;
use baimo_text::voice::{Call, Reply};
use serde_json::{Map, Value, json};

fn prepared(messages: Value) -> Prepared {
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {}}});
    let chat = Chat {
        messages: messages.as_array().unwrap().clone(),
        tools: Some(json!([tool])),
        add_generation_prompt: true,
        options: Map::new(),
    };
    SPEAKER.model().prepare(&Ask::new(Prompt::Chat(chat))).expect("a prompt")
}

#[test]
fn thoughts_that_a_client_drops_stand_in_the_next_prompt() {
    let question = json!({"role": "user", "content": "how is it?"});
    let first = prepared(json!([question]));
    let call =
        Call { id: Some("x".into()), name: "f".into(), arguments: r#"{"city": "北京"}"#.into() };
    let reply =
        Reply { reasoning: "it may rain there".into(), calls: vec![call], ..Reply::default() };
    SPEAKER.model().thoughts.keep(&first.conversation.expect("one"), &reply);
    let function = json!({"name": "f", "arguments": {"city": "北京"}});
    let turn = json!({"role": "assistant", "content": "",
        "tool_calls": [{"id": "y", "type": "function", "function": function}]});
    let result = json!({"role": "tool", "content": "rain", "tool_call_id": "y"});
    let next = prepared(json!([question, turn, result]));
    assert!(next.text.contains("<think>\nit may rain there\n</think>"), "{}", next.text);
    let other = json!({"role": "user", "content": "how was it?"});
    let unknown = prepared(json!([other, turn, result]));
    assert!(!unknown.text.contains("it may rain there"), "{}", unknown.text);
}

#[test]
fn an_agents_changing_lines_are_no_part_of_a_prompt() {
    let line = "x-anthropic-billing-header: cc_version=2.1.100.7b4; cch=eb6c6;\n\nBe brief.";
    let say = |system: &str| {
        let user = json!({"role": "user", "content": "?"});
        prepared(json!([{"role": "system", "content": system}, user])).tokens
    };
    assert_eq!(say(line), say("Be brief."));
}
