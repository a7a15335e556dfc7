//! Deadlines, and how a server comes to its end.

use crate::client::{connect, question, stream};
use crate::server::Server;
use baimo_server::closing::Phase;
use baimo_server::{Config, Served};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;

const CHAT: &str = "/v1/chat/completions";

/// One after the other, so that it takes a while.
fn long(more: &str) -> String {
    question(900, &format!(r#","n":16{more}"#))
}

#[test]
fn an_answer_past_its_deadline_ends_with_an_error() {
    let config = Config { deadline_seconds: 1, sequences: 1, ..Config::default() };
    let server = Server::start(config);
    let whole = server.post(CHAT, &long(""));
    assert_eq!((whole.status, &whole.json()["error"]["code"]), (504, &"deadline_exceeded".into()));
    let (client, _) = stream(server.address, &[], &long(r#","stream":true"#));
    let told = rest(client);
    assert!(told.contains("deadline_exceeded") && !told.contains("[DONE]"), "{told}");
    server.serves();
}

#[test]
fn streams_under_way_finish_when_the_server_is_asked_to_end() {
    let server = Server::start(Config::default());
    let mut idle = connect(server.address);
    let (client, _) = stream(server.address, &[], &question(300, r#","stream":true"#));
    server.app.closing.advance(Phase::Draining);
    let told = rest(client);
    assert!(told.trim_end().ends_with("0") && told.contains("data: [DONE]"), "{told}");
    // Who has not asked yet is not answered any more.
    let _ = idle.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut bytes = Vec::new();
    let _ = idle.read_to_end(&mut bytes);
    assert!(bytes.is_empty());
    let address = server.address;
    server.ended().expect("a good end");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn streams_that_take_too_long_are_cut_with_an_error() {
    let config = Config { shutdown_seconds: 0, sequences: 1, ..Config::default() };
    let server = Server::start(config);
    let (client, _) = stream(server.address, &[], &long(r#","stream":true"#));
    server.app.closing.advance(Phase::Draining);
    let told = rest(client);
    assert!(told.contains("shutting_down") && !told.contains("[DONE]"), "{told}");
    server.ended().expect("a good end");
}

#[test]
fn asked_twice_the_server_ends_at_once() {
    let server = Server::start(Config { sequences: 1, ..Config::default() });
    let (_client, _) = stream(server.address, &[], &long(r#","stream":true"#));
    server.app.closing.advance(Phase::Draining);
    server.app.closing.advance(Phase::Over);
    server.ended().expect("a good end");
}

#[test]
fn prompts_and_answers_have_the_operators_limits() {
    let config = Config { prompt_tokens_max: 20, answer_tokens_max: 5, ..Config::default() };
    let server = Server::start(config);
    let short = server.post(CHAT, &question(100, "")).json();
    assert_eq!(short["usage"]["completion_tokens"], 5);
    assert_eq!(short["choices"][0]["finish_reason"], "length");
    let messages = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "春".repeat(40));
    let reply = server.post(CHAT, &messages);
    assert_eq!(
        (reply.status, &reply.json()["error"]["code"]),
        (400, &"context_length_exceeded".into())
    );
}

fn rest(mut client: TcpStream) -> String {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).expect("the server closes in good order");
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn readiness_is_told_apart_from_life() {
    let (load, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let slow = Served {
        name: "slow".to_owned(),
        load: Box::new(move || {
            let _ = wait.lock().expect("one at a time").recv();
            anyhow::bail!("the disk is gone")
        }),
    };
    let (server, ready) = Server::begin(Config::default(), vec![slow]);
    assert_eq!((server.get("/health").status, server.get("/ready").status), (200, 503));
    drop(load);
    assert!(ready.recv().is_err());
    let error = server.ended().expect_err("there is no model").to_string();
    assert!(error.contains("the disk is gone"), "{error}");
    let server = Server::start(Config::default());
    assert_eq!(server.get("/ready").status, 200);
}
