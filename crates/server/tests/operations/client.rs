//! A client that says what it likes, byte by byte.

use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("JSON, not {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A question that takes exactly so many tokens to answer; `more` is further fields.
pub fn question(tokens: usize, more: &str) -> String {
    format!(
        r#"{{"messages":[{{"role":"user","content":"春"}}],"max_tokens":{tokens},
        "ignore_eos":true,"temperature":0{more}}}"#
    )
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    // A test that would hang fails instead.
    stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a limit");
    stream
}

pub fn head(method: &str, path: &str, headers: &[(&str, &str)], bytes: usize) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str("host: localhost\r\n");
    }
    if bytes > 0 {
        head.push_str(&format!("content-length: {bytes}\r\n"));
    }
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head + "\r\n"
}

pub fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut stream = connect(address);
    let head = head(method, path, headers, body.len());
    stream.write_all(head.as_bytes()).expect("the server reads");
    // It may refuse before it has read all.
    let _ = stream.write_all(body);
    read(stream)
}

/// All that comes until the server closes.
pub fn read(mut stream: impl Read) -> Reply {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset && !bytes.is_empty() => {}
        Err(error) => panic!("{error} after {}", String::from_utf8_lossy(&bytes)),
    }
    let text = String::from_utf8(bytes).expect("UTF-8");
    let (headers, body) = text.split_once("\r\n\r\n").expect("headers and a body");
    let status = headers.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let chunked = headers.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { joined(body) } else { body.to_owned() };
    Reply { status, headers: headers.to_owned(), body }
}

/// A stream of which the first bytes of the answer have come.
pub fn stream(address: SocketAddr, headers: &[(&str, &str)], body: &str) -> (TcpStream, Vec<u8>) {
    let mut stream = connect(address);
    let head = head("POST", "/v1/chat/completions", headers, body.len());
    stream.write_all(head.as_bytes()).expect("the server reads");
    stream.write_all(body.as_bytes()).expect("the server reads");
    let mut first = vec![0; 4096];
    let count = stream.read(&mut first).expect("an answer begins");
    first.truncate(count);
    assert!(first.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&first));
    (stream, first)
}

/// The body that chunks make.
fn joined(mut chunks: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        let Some(chunk) = rest.get(..length) else { break };
        whole.push_str(chunk);
        chunks = rest[length..].strip_prefix("\r\n").unwrap_or_default();
    }
    whole
}
