//! Every voice reads its family's way of thinking and calling, wherever the stream is cut.

#[macro_use]
mod written;

mod broken;
mod encoded;
mod spoken;
mod words;

use baimo_blueprint::voice::Voice;
use baimo_labs::voices::{self, VOICES};
use baimo_text::voice::{Parser, Piece, Reply};
use serde_json::{Value, json};
use spoken::SPOKEN;
use std::ptr;

fn tools() -> Value {
    json!([
        { "type": "function", "function": { "name": "get_weather", "parameters": {
            "type": "object",
            "properties": {
                "city": { "type": "string" },
                "days": { "type": "integer" },
                "units": { "type": ["object", "null"] },
            },
        } } },
        { "type": "function", "function": { "name": "ping" } },
    ])
}

/// The reply, read in these portions.
fn read(voice: &'static Voice, prompt: &str, portions: &[&str]) -> Reply {
    let mut parser = Parser::new(Some(voice), prompt, Some(&tools()));
    let mut reply = Reply::default();
    let mut open = None;
    let mut take = |pieces: Vec<Piece>| {
        for piece in &pieces {
            match piece {
                Piece::CallStart { index, .. } => {
                    assert_eq!((open, *index), (None, reply.calls.len()));
                    open = Some(*index);
                }
                Piece::Arguments { index, .. } => assert_eq!(open, Some(*index)),
                Piece::CallEnd { index } => assert_eq!(open.take(), Some(*index)),
                Piece::Reasoning(text) | Piece::Content(text) => assert!(!text.is_empty()),
            }
            reply.add(piece);
        }
    };
    for portion in portions {
        take(parser.push(portion));
    }
    take(parser.finish());
    assert_eq!(open, None, "every call ends");
    reply
}

/// The same, in one piece, in every two pieces, and character by character.
fn read_every_way(voice: &'static Voice, prompt: &str, text: &str) -> Reply {
    let whole = read(voice, prompt, &[text]);
    for (cut, _) in text.char_indices() {
        let (before, after) = text.split_at(cut);
        assert_eq!(read(voice, prompt, &[before, after]), whole, "{}: cut at {cut}", voice.name);
    }
    let ends = text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]);
    assert_eq!(read(voice, prompt, &ends.collect::<Vec<_>>()), whole, "{}: one by one", voice.name);
    whole
}

fn arguments(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_voice_reads_thoughts_words_and_calls() {
    for spoken in SPOKEN {
        let reply = read_every_way(spoken.voice, spoken.prompt, spoken.text);
        let name = spoken.voice.name;
        assert_eq!(
            reply.reasoning,
            if spoken.thinks() { "Hm: 1 < 2.\n\nYes." } else { "" },
            "{name}"
        );
        assert_eq!(reply.content, "I look\n it up.", "{name}");
        if spoken.voice.calls.is_none() {
            assert!(reply.calls.is_empty());
            continue;
        }
        let [weather, ping] = &reply.calls[..] else { panic!("{name}: {:?}", reply.calls) };
        assert_eq!((&*weather.name, &*ping.name), ("get_weather", "ping"), "{name}");
        let wanted = json!({ "city": "北京\n<b>\"x\"", "days": 3, "units": { "wind": ["m/s"] } });
        assert_eq!(arguments(&weather.arguments), wanted, "{name}");
        assert_eq!(arguments(&ping.arguments), json!({}), "{name}");
        assert_eq!(weather.id.as_deref(), spoken.id, "{name}");
    }
}

#[test]
fn every_voice_is_spoken_here_and_every_family_has_known_ones() {
    for voice in VOICES {
        let spoken = SPOKEN.iter().any(|spoken| spoken.voice == *voice);
        assert!(spoken, "{}: no example", voice.name);
    }
    for family in baimo_labs::LABS.iter().flat_map(|lab| lab.families) {
        for voice in family.voices {
            assert!(VOICES.contains(voice), "{}: {}", family.architecture, voice.name);
        }
    }
}

#[test]
fn a_voice_is_known_by_the_template() {
    for voice in VOICES {
        let template = voice.marks.join(" ");
        let found = voices::voice("NoSuchForCausalLM", Some(&template)).unwrap();
        assert!(found.marks.iter().all(|mark| template.contains(mark)));
        assert!(ptr::eq(found, *voice) || found == *voice, "{} for {}", found.name, voice.name);
    }
    assert!(voices::voice("NoSuchForCausalLM", Some("{{ messages }}")).is_none());
    assert!(voices::voice("NoSuchForCausalLM", None).is_none());
}

#[test]
fn without_tools_calls_are_words_and_without_a_voice_everything_is() {
    for spoken in SPOKEN {
        let mut parser = Parser::new(None, spoken.prompt, Some(&tools()));
        let mut reply = Reply::default();
        let pieces = parser.push(spoken.text).into_iter().chain(parser.finish());
        pieces.for_each(|piece| reply.add(&piece));
        assert_eq!(reply.content, spoken.text);
        let mut parser = Parser::new(Some(spoken.voice), spoken.prompt, None);
        let pieces = parser.push(spoken.text).into_iter().chain(parser.finish());
        let mut reply = Reply::default();
        pieces.for_each(|piece| reply.add(&piece));
        assert!(reply.calls.is_empty() && reply.content.starts_with("I look\n it up."));
    }
}
