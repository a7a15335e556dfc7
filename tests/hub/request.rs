//! What clients ask.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether only the headers are wanted.
    pub head: bool,
    /// Path and query, decoded.
    pub path: String,
    /// First byte and last, where it asks for a part.
    pub range: Option<(usize, Option<usize>)>,
    /// What it shows.
    pub authorization: Option<String>,
}

/// The next request of a connection; `None` where there is none.
pub(crate) fn read(reader: &mut BufReader<&TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let (method, path) = (line.split(' ').next()?, line.split(' ').nth(1)?);
    let mut seen = Seen { head: method == "HEAD", path: decoded(path), ..Seen::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let Some((name, value)) = line.trim().split_once(':') else { return Some(seen) };
        match name.to_ascii_lowercase().as_str() {
            "range" => seen.range = range(value.trim()),
            "authorization" => seen.authorization = Some(value.trim().to_owned()),
            _ => (),
        }
    }
}

fn range(value: &str) -> Option<(usize, Option<usize>)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}

fn decoded(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).and_then(|code| u8::from_str_radix(code, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            (_, Some(_) | None) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
