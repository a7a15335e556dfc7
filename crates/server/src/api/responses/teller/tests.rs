use super::*;
use crate::app::App;
use crate::config::Config;
use crate::model::Timings;
use std::sync::Arc;

fn teller(tools: Value) -> Teller {
    let app = Arc::new(App::new(Config::default(), Vec::new()));
    let response = json!({ "id": "resp_1", "status": "in_progress", "output": [] });
    let tools = Tools::new(tools.as_array().unwrap().clone()).unwrap();
    Teller::new(app, response, tools, true)
}

fn end(reason: Reason) -> End {
    let usage =
        Usage { prompt_tokens: 5, cached_tokens: 2, completion_tokens: 3, reasoning_tokens: 1 };
    End { reason, usage, timings: Timings::default() }
}

fn told(mut teller: Teller, pieces: Vec<Piece>, reason: Reason) -> Vec<Value> {
    let mut events = teller.begin();
    for piece in pieces {
        events.extend(teller.piece(piece));
    }
    events.extend(teller.end(&end(reason)));
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    events
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kind = |event| Value::as_str(event).unwrap().trim_start_matches("response.");
    events.iter().map(|event| kind(&event["type"])).collect()
}

fn call(name: &str) -> Piece {
    Piece::CallStart { index: 0, id: Some("call_1".to_owned()), name: name.to_owned() }
}

fn arguments(text: &str) -> Piece {
    Piece::Arguments { index: 0, text: text.to_owned() }
}

#[test]
fn thoughts_words_and_calls_are_items_told_from_beginning_to_end() {
    let tools = json!([{ "type": "function", "name": "look" }]);
    let pieces = vec![
        Piece::Reasoning("h".to_owned()),
        Piece::Reasoning("m".to_owned()),
        Piece::Content("Well".to_owned()),
        call("look"),
        arguments("{\"a\":"),
        arguments("1}"),
        Piece::CallEnd { index: 0 },
    ];
    let events = told(teller(tools), pieces, Reason::Calls);
    let wanted = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(kinds(&events), wanted);
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(output[0]["content"][0]["text"], "hm");
    assert_eq!(thoughts::unseal(output[0]["encrypted_content"].as_str().unwrap()).unwrap(), "hm");
    assert_eq!(output[1]["content"][0]["text"], "Well");
    assert_eq!(output[2]["arguments"], "{\"a\":1}");
    assert_eq!(output[2]["call_id"], "call_1");
    for (index, item) in output.as_array().unwrap().iter().enumerate() {
        assert_eq!(item["status"], "completed");
        let of_it = |event: &&Value| event["output_index"] == index;
        for event in events.iter().filter(of_it) {
            let id = event.get("item_id").unwrap_or(&event["item"]["id"]);
            assert_eq!(*id, item["id"]);
        }
    }
    let usage = &events.last().unwrap()["response"]["usage"];
    assert_eq!(usage["total_tokens"], 8);
    assert_eq!(usage["input_tokens_details"]["cached_tokens"], 2);
}

#[test]
fn a_custom_tool_is_told_its_text_and_a_namespace_its_own_names() {
    let inner = json!([{ "type": "function", "name": "find" }]);
    let tools = json!([
        { "type": "custom", "name": "patch" },
        { "type": "namespace", "name": "docs", "description": "", "tools": inner },
    ]);
    let pieces = vec![
        call("patch"),
        arguments("{\"input\": \"*** 行"),
        arguments("\\n\"}"),
        Piece::CallEnd { index: 0 },
        Piece::CallStart { index: 1, id: Some("call_2".to_owned()), name: "docs__find".to_owned() },
        Piece::Arguments { index: 1, text: "{}".to_owned() },
        Piece::CallEnd { index: 1 },
    ];
    let events = told(teller(tools), pieces, Reason::Calls);
    let wanted = [
        "created",
        "in_progress",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(kinds(&events), wanted);
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(output[0]["type"], "custom_tool_call");
    assert_eq!(output[0]["input"], "*** 行\n");
    assert_eq!(output[1]["name"], "find");
    assert_eq!(output[1]["namespace"], "docs");
}

#[test]
fn what_is_cut_off_is_incomplete() {
    let events = told(teller(json!([])), vec![Piece::Content("W".to_owned())], Reason::Length);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
}

#[test]
fn a_failure_is_told_and_keeps_what_there_is() {
    let mut teller = teller(json!([]));
    teller.piece(Piece::Content("W".to_owned()));
    let events = teller.fail(&Refusal::internal("it broke"));
    let wanted = ["output_text.done", "content_part.done", "output_item.done", "error", "failed"];
    assert_eq!(kinds(&events), wanted);
    assert_eq!(events[3]["message"], "it broke");
    let response = &events[4]["response"];
    assert_eq!(response["error"]["code"], "server_error");
    assert_eq!(response["output"][0]["content"][0]["text"], "W");
}

#[test]
fn likelihoods_come_with_the_text_of_their_tokens() {
    let mut teller = teller(json!([]));
    let token = |text: &str| json!({ "token": text, "logprob": -1.0 });
    teller.token(token("a"));
    let events = teller.piece(Piece::Content("a".to_owned()));
    assert_eq!(events.last().unwrap()["logprobs"], json!([token("a")]));
    // The words so far are held back, as they could begin a call; then they are told after all.
    teller.token(token("<"));
    teller.token(token("b"));
    let events = teller.piece(Piece::Content("<b".to_owned()));
    assert_eq!(events[0]["logprobs"], json!([token("<"), token("b")]));
    teller.token(token("<call>"));
    let events = teller.piece(call("look"));
    let done = events.iter().find(|event| event["type"] == "response.output_text.done").unwrap();
    assert_eq!(done["logprobs"].as_array().unwrap().len(), 3);
}

#[test]
fn who_asks_meanwhile_sees_what_there_is() {
    let mut teller = teller(json!([]));
    teller.piece(Piece::Content("W".to_owned()));
    let response = teller.response();
    assert_eq!(response["status"], "in_progress");
    assert_eq!(response["output"][0]["status"], "in_progress");
    assert_eq!(response["output"][0]["content"][0]["text"], "W");
    teller.cancel();
    assert_eq!(teller.response()["status"], "cancelled");
    assert_eq!(teller.response()["output"][0]["status"], "incomplete");
    let mut ended = self::teller(json!([]));
    ended.end(&end(Reason::Stop));
    ended.cancel();
    assert_eq!(ended.response()["status"], "completed");
}
