//! Keys and what each may use.

use crate::client::{Reply, question, send, stream};
use crate::server::{SHARED, Server};
use baimo_server::Config;
use baimo_server::keys::Key;

const CHAT: &str = "/v1/chat/completions";

/// A path of each dialect, and where its errors have their message.
const DIALECTS: [(&str, &str); 3] =
    [(CHAT, "/error/message"), ("/v1/messages", "/error/message"), ("/api/chat", "/error")];

fn with(key: Key) -> Server {
    Server::start(Config {
        keys: vec![Key::new("other", "other secret"), key],
        ..Config::default()
    })
}

fn ask(server: &Server, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    send(server.address, "POST", path, headers, body.as_bytes())
}

#[test]
fn a_key_is_needed_and_any_of_them_will_do() {
    let server = with(Key::new("alice", "secret"));
    for (path, message) in DIALECTS {
        for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("x-api-key", "secre")]] {
            let reply = ask(&server, path, headers, "{}");
            assert_eq!(reply.status, 401, "{path}");
            let body = reply.json();
            assert!(body.pointer(message).is_some_and(|text| text.is_string()), "{body}");
        }
    }
    let anthropic = ask(&server, "/v1/messages", &[("x-request-id", "mine")], "{}").json();
    assert_eq!((&anthropic["type"], &anthropic["request_id"]), (&"error".into(), &"mine".into()));
    for header in [
        ("authorization", "Bearer secret"),
        ("authorization", "bearer other secret"),
        ("x-api-key", "secret"),
    ] {
        assert_eq!(ask(&server, CHAT, &[header], &question(1, "")).status, 200, "{header:?}");
    }
    for path in ["/health", "/ready", "/"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for path in ["/v1/models", "/metrics", "/openapi.json", "/nowhere"] {
        assert_eq!(server.get(path).status, 401, "{path}");
    }
}

#[test]
fn a_key_begins_so_many_requests_in_a_minute() {
    let server = with(Key { requests_per_minute: 1, ..Key::new("alice", "secret") });
    let alice = [("x-api-key", "secret")];
    assert_eq!(ask(&server, CHAT, &alice, &question(1, "")).status, 200);
    for (path, _) in DIALECTS {
        let reply = ask(&server, path, &alice, &question(1, ""));
        assert_eq!(reply.status, 429, "{path}");
        let wait: u64 = reply.header("retry-after").expect("a time").parse().expect("seconds");
        assert!((1..=61).contains(&wait), "{wait}");
    }
    let other = [("x-api-key", "other secret")];
    assert_eq!(ask(&server, CHAT, &other, &question(1, "")).status, 200);
}

#[test]
fn a_key_uses_so_many_tokens_in_a_minute() {
    let server = with(Key { tokens_per_minute: 10, ..Key::new("alice", "secret") });
    let alice = [("authorization", "Bearer secret")];
    assert_eq!(ask(&server, CHAT, &alice, &question(60, "")).status, 200);
    let reply = ask(&server, CHAT, &alice, &question(1, ""));
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (429, &"tokens_per_minute".into()));
}

#[test]
fn a_key_has_so_many_requests_under_way() {
    let server = with(Key { concurrent: 1, ..Key::new("alice", "secret") });
    let alice = [("x-api-key", "secret")];
    let long = question(900, r#","n":16,"stream":true"#);
    let (first, _) = stream(server.address, &alice, &long);
    let reply = ask(&server, CHAT, &alice, &question(1, ""));
    assert_eq!(
        (reply.status, &reply.json()["error"]["code"]),
        (429, &"concurrent_requests".into())
    );
    assert!(reply.header("retry-after").is_some());
    drop(first);
    // The place is free once the server has seen that its client has left.
    while ask(&server, CHAT, &alice, &question(1, "")).status == 429 {}
}

#[test]
fn requests_have_names_and_keep_those_they_come_with() {
    let named = send(SHARED.address, "GET", "/health", &[("x-request-id", "abc-1")], b"");
    assert_eq!(named.header("x-request-id"), Some("abc-1"));
    let long = "x".repeat(129);
    for odd in ["a b", "", long.as_str()] {
        let reply = send(SHARED.address, "GET", "/nowhere", &[("x-request-id", odd)], b"");
        let id = reply.header("x-request-id").expect("a name");
        assert!(id.starts_with("req_") && id.len() == 28, "{id}");
    }
}

#[test]
fn foreign_pages_are_kept_out_and_listed_ones_may_read() {
    let listed = "https://chat.example";
    let server =
        Server::start(Config { cors_origins: vec![listed.to_owned()], ..Config::default() });
    let from = |method: &str, origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        send(server.address, method, "/v1/models", &headers, b"")
    };
    assert_eq!(from("GET", "https://evil.example").status, 403);
    let reply = from("GET", listed);
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some(listed)));
    let asked = from("OPTIONS", listed);
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, Some(listed)));
    let rebound = send(SHARED.address, "GET", "/v1/models", &[("host", "evil.example")], b"");
    assert_eq!(rebound.status, 403);
    let reply = send(SHARED.address, "GET", "/v1/models", &[("origin", "http://localhost:3")], b"");
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
}
