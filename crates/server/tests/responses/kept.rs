//! Responses that are kept: gone on from, listed, forgotten; those under way without a client.

use crate::client::{create, delete, events_in, get, post, send, text, texts};
use axum::http::StatusCode;
use serde_json::{Value, json};

fn path(response: &Value, rest: &str) -> String {
    format!("/v1/responses/{}{rest}", response["id"].as_str().expect("a name"))
}

/// Waits until it has ended.
async fn ended(response: &Value) -> Value {
    loop {
        let (status, now) = send(get(&path(response, ""))).await;
        assert_eq!(status, 200, "{now}");
        if !matches!(now["status"].as_str(), Some("queued" | "in_progress")) {
            return now;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_second_turn_is_what_it_is_with_all_said_again() {
    let ask = |input: Value| json!({ "input": input, "max_output_tokens": 12, "seed": 3 });
    let first = create(ask("写春".into())).await;
    let mut second = ask("写秋".into());
    second["previous_response_id"] = first["id"].clone();
    let second = create(second).await;
    let again = create(ask(json!([
        { "role": "user", "content": "写春" },
        { "role": "assistant", "content": texts(&first) },
        { "role": "user", "content": "写秋" },
    ])))
    .await;
    assert_eq!(second["usage"]["input_tokens"], again["usage"]["input_tokens"]);
    assert_eq!(texts(&second), texts(&again));
    let referred = create(ask(json!([
        { "role": "user", "content": "写春" },
        { "type": "item_reference", "id": first["output"][0]["id"] },
        { "role": "user", "content": "写秋" },
    ])))
    .await;
    assert_eq!(texts(&referred), texts(&again));

    let (_, all) = send(get(&path(&second, "/input_items?order=asc"))).await;
    let roles = |list: &Value| -> Vec<Value> {
        let items = list["data"].as_array().expect("a list").iter();
        items.map(|item| item["role"].clone()).collect()
    };
    assert_eq!(roles(&all), ["user", "assistant", "user"]);
    assert_eq!(all["has_more"], false);
    let after = all["data"][2]["id"].as_str().unwrap();
    let rest = format!("/input_items?limit=1&after={after}");
    let (_, some) = send(get(&path(&second, &rest))).await;
    assert_eq!(roles(&some), ["assistant"]);
    assert_eq!((&some["has_more"], &some["first_id"]), (&json!(true), &some["last_id"]));
    for wrong in ["limit=0", "limit=x", "order=up", "after=none", "before=x"] {
        let (status, body) = send(get(&path(&second, &format!("/input_items?{wrong}")))).await;
        assert_eq!(status, 400, "{body}");
    }
}

#[tokio::test]
async fn a_response_is_there_until_it_is_forgotten() {
    let whole = create(json!({ "input": "诗", "max_output_tokens": 2 })).await;
    assert_eq!(send(get(&path(&whole, ""))).await, (StatusCode::OK, whole.clone()));
    let (status, body) = send(post(&path(&whole, "/cancel"), &json!({}))).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (400, &json!("not_background")));
    let (status, _) = send(get(&path(&whole, "?stream=true"))).await;
    assert_eq!(status, 400);
    assert_eq!(send(delete(&path(&whole, ""))).await.1["deleted"], true);
    for request in [get(&path(&whole, "")), delete(&path(&whole, ""))] {
        let (status, body) = send(request).await;
        assert_eq!((status.as_u16(), &body["error"]["code"]), (404, &json!("response_not_found")));
    }
    let unkept = json!({ "input": "诗", "max_output_tokens": 2, "store": false });
    let unkept = create(unkept).await;
    assert_eq!(send(get(&path(&unkept, ""))).await.0, 404);
}

#[tokio::test]
async fn work_in_the_background_ends_without_its_client() {
    let request = json!({ "input": "诗", "max_output_tokens": 12, "seed": 5 });
    let whole = create(request.clone()).await;
    let mut detached = request;
    detached["background"] = true.into();
    let waiting = create(detached).await;
    assert_eq!(waiting["status"], "queued");
    let done = ended(&waiting).await;
    assert_eq!(texts(&done), texts(&whole));
    assert_eq!(done["status"], whole["status"]);
    // To cancel what has ended changes nothing.
    let (status, body) = send(post(&path(&waiting, "/cancel"), &json!({}))).await;
    assert_eq!((status.as_u16(), body), (200, done));
}

#[tokio::test]
async fn who_comes_back_to_a_stream_hears_the_rest() {
    let request = json!({
        "input": "诗", "max_output_tokens": 12, "background": true, "stream": true,
    });
    let (_, whole) = text(post("/v1/responses", &request)).await;
    let whole = events_in(&whole);
    let kinds: Vec<&str> = whole.iter().filter_map(|event| event["type"].as_str()).collect();
    let begin = ["response.created", "response.queued", "response.in_progress"];
    assert_eq!(kinds[..3], begin);
    let response = &whole[0]["response"];
    let (_, rest) = text(get(&path(response, "?stream=true&starting_after=3"))).await;
    assert_eq!(events_in(&rest), whole[4..]);
}

#[tokio::test]
async fn cancelled_work_stops_and_keeps_what_there_is() {
    let request = json!({
        "input": "诗", "background": true, "stop": ["\u{0}"], "temperature": 1, "seed": 1,
    });
    let waiting = create(request).await;
    let (status, cancelled) = send(post(&path(&waiting, "/cancel"), &json!({}))).await;
    assert_eq!(status, 200);
    let known = ["cancelled", "completed", "incomplete"];
    assert!(known.contains(&cancelled["status"].as_str().unwrap()), "{cancelled}");
    assert_eq!(send(get(&path(&waiting, ""))).await.1, cancelled);
}
