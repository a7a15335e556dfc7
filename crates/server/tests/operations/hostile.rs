//! Clients that mean no good, or know no better: others are served meanwhile.

use crate::client::{connect, head, question, read, send, stream};
use crate::server::{SHARED, Server};
use baimo_server::Config;
use std::io::{Cursor, Read, Write};

const CHAT: &str = "/v1/chat/completions";

#[test]
fn bodies_of_100_megabytes_are_refused_in_each_dialect() {
    let megabyte = vec![b' '; 1 << 20];
    for path in [CHAT, "/v1/messages", "/api/chat"] {
        let mut client = connect(SHARED.address);
        client.write_all(head("POST", path, &[], 100 << 20).as_bytes()).expect("it reads");
        for _ in 0..100 {
            if client.write_all(&megabyte).is_err() {
                break;
            }
        }
        let reply = read(client);
        assert_eq!(reply.status, 413, "{path}");
        assert!(reply.json()["error"].to_string().contains("too large"), "{}", reply.body);
    }
    SHARED.serves();
}

#[test]
fn a_body_of_no_announced_length_is_refused_where_it_gets_too_large() {
    let server = Server::start(Config { body_bytes: 4096, ..Config::default() });
    let mut client = connect(server.address);
    let head = head("POST", CHAT, &[("transfer-encoding", "chunked")], 0);
    client.write_all(head.as_bytes()).expect("it reads");
    for _ in 0..5 {
        let _ = client.write_all(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes());
    }
    let _ = client.write_all(b"0\r\n\r\n");
    assert_eq!(read(client).status, 413);
    server.serves();
}

#[test]
fn who_asks_before_sending_is_told_before_sending() {
    let mut client = connect(SHARED.address);
    let head = head("POST", CHAT, &[("expect", "100-continue")], 1 << 30);
    client.write_all(head.as_bytes()).expect("it reads");
    assert_eq!(read(client).status, 413);
}

#[test]
fn bodies_that_are_no_requests_are_refused() {
    let deep = format!(r#"{{"messages":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let schema = format!(
        r#"{{"messages":[],"guided_json":{}1{}}}"#,
        r#"{"a":"#.repeat(200),
        "}".repeat(200)
    );
    let bodies: [&[u8]; 9] = [
        deep.as_bytes(),
        schema.as_bytes(),
        b"",
        b"\xff\xfe{}",
        b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xc3\x28\"}]}",
        br#"{"messages":[{"role":"user","content":"\ud800"}]}"#,
        b"[1,2,3]",
        br#"{"messages":[]} {"messages":[]}"#,
        br#"{"messages":[{"role":"user","content":"a"}],"max_tokens":1e999}"#,
    ];
    for body in bodies {
        let reply = send(SHARED.address, "POST", CHAT, &[], body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        assert_eq!(reply.status, 400, "{shown}: {}", reply.body);
        assert!(reply.json()["error"]["message"].is_string(), "{shown}");
    }
    SHARED.serves();
}

#[test]
fn a_chat_of_10_000_messages_is_told_that_it_is_too_long() {
    let pair = r#"{"role":"user","content":"春"},{"role":"assistant","content":"花"},"#;
    let last = r#"{"role":"user","content":"月"}"#;
    let body = format!(r#"{{"messages":[{}{last}]}}"#, pair.repeat(5000));
    let reply = SHARED.post(CHAT, &body);
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert_eq!(reply.json()["error"]["code"], "context_length_exceeded");
    SHARED.serves();
}

#[test]
fn odd_headers_harm_nobody() {
    let body = question(2, r#","stream":true"#);
    for accept in ["", "text/event-stream;q=", ";;,,", "*/*;q=0", "\u{6a21}", "application/xml"] {
        let reply = send(SHARED.address, "POST", CHAT, &[("accept", accept)], body.as_bytes());
        assert_eq!(reply.status, 200, "{accept}");
        assert!(reply.body.trim_end().ends_with("data: [DONE]"), "{accept}: {}", reply.body);
    }
    for raw in ["GET / HTTP/9.9\r\n\r\n", "\r\n\r\n\0\0\0", "GET /%zz HTTP/1.1\r\n\r\n", "{}\n\n"] {
        let mut client = connect(SHARED.address);
        client.write_all(raw.as_bytes()).expect("it reads");
        let _ = client.shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        // Whatever it says, it closes.
        let _ = client.read_to_end(&mut rest);
    }
    let many: String = (0..2000).map(|index| format!("x-{index}: y\r\n")).collect();
    let mut client = connect(SHARED.address);
    client.write_all(format!("GET /health HTTP/1.1\r\n{many}\r\n").as_bytes()).expect("it reads");
    assert_eq!(read(client).status, 431);
    SHARED.serves();
}

#[test]
fn sockets_left_half_open_are_closed_and_keep_nobody_waiting() {
    let server = Server::start(Config {
        header_seconds: 1,
        body_seconds: 1,
        connections: 64,
        ..Config::default()
    });
    let silent: Vec<_> = (0..20).map(|_| connect(server.address)).collect();
    let begun: Vec<_> = (0..20)
        .map(|_| {
            let mut client = connect(server.address);
            client.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: lo").expect("it reads");
            client
        })
        .collect();
    let bodies: Vec<_> = (0..20)
        .map(|_| {
            let mut client = connect(server.address);
            client.write_all(head("POST", CHAT, &[], 100).as_bytes()).expect("it reads");
            client.write_all(b"{").expect("it reads");
            client
        })
        .collect();
    server.serves();
    for mut client in silent.into_iter().chain(begun) {
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
    }
    for client in bodies {
        assert_eq!(read(client).status, 408);
    }
    server.serves();
}

#[test]
fn who_does_not_read_keeps_nobody_waiting() {
    let long = question(900, r#","stream":true"#);
    let slow: Vec<_> = (0..8).map(|_| stream(SHARED.address, &[], &long)).collect();
    SHARED.serves();
    // And who reads at last gets everything.
    for (client, first) in slow.into_iter().take(2) {
        let reply = read(Cursor::new(first).chain(client));
        assert!(reply.body.trim_end().ends_with("data: [DONE]"));
    }
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let server = Server::start(Config { connections: 2, ..Config::default() });
    let idle = [connect(server.address), connect(server.address)];
    // Both are taken once each has answered.
    for mut client in &idle {
        client.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it reads");
        assert!(client.read(&mut [0; 512]).expect("an answer") > 0);
    }
    let mut third = connect(server.address);
    third.write_all(head("GET", "/health", &[], 0).as_bytes()).expect("the system takes it");
    drop(idle);
    assert_eq!(read(third).status, 200);
}

#[test]
fn bodies_share_a_budget_of_memory() {
    let server =
        Server::start(Config { body_bytes: 4096, body_bytes_together: 4096, ..Config::default() });
    let full = question(1, &format!(r#","user":"{}""#, "x".repeat(2000)));
    // A body's share is taken as its bytes come in: where the other's was there before, it is this
    // one that was refused, and it is tried again.
    let mut first = loop {
        let mut first = connect(server.address);
        first.write_all(head("POST", CHAT, &[], 4096).as_bytes()).expect("it reads");
        first.write_all(&[b' '; 3000]).expect("it reads");
        if (0..20).any(|_| server.post(CHAT, &full).status == 429) {
            break first;
        }
    };
    first.write_all(&[b' '; 1096]).expect("it reads");
    assert_eq!(read(first).status, 400);
    assert_eq!(server.post(CHAT, &full).status, 200);
}
