//! A turn of the model as blocks, and the events that tell of them.

use super::blocks::signature;
use baimo_text::voice::Piece;
use serde_json::{Map, Value, json};

/// A turn as it comes: blocks one after another.
#[derive(Debug)]
pub struct Turn {
    blocks: Vec<Block>,
    /// The last block may go on.
    open: bool,
    /// Blanks that are part of a block of text only if words follow: a block of blanks is none.
    blanks: String,
    /// Whether thoughts are told, or only their signature.
    thoughts: bool,
}

#[derive(Debug)]
enum Block {
    Thinking(String),
    Text(String),
    Tool { id: String, name: String, input: String },
}

impl Turn {
    /// Of nothing yet.
    pub fn new(thoughts: bool) -> Turn {
        Turn { blocks: Vec::new(), open: false, blanks: String::new(), thoughts }
    }

    /// Takes the next piece; gives the events that tell of it.
    pub fn push(&mut self, piece: Piece) -> Vec<Value> {
        let mut events = Vec::new();
        match piece {
            Piece::Reasoning(text) => {
                if !matches!(self.current(), Some(Block::Thinking(_))) {
                    self.begin(Block::Thinking(String::new()), &mut events);
                }
                if self.thoughts {
                    events.push(self.delta(json!({ "type": "thinking_delta", "thinking": text })));
                }
                self.add(&text);
            }
            Piece::Content(text) => self.words(text, &mut events),
            Piece::CallStart { id, name, .. } => {
                let (id, input) = (id.unwrap_or_default(), String::new());
                self.begin(Block::Tool { id, name, input }, &mut events);
            }
            Piece::Arguments { text, .. } => {
                events
                    .push(self.delta(json!({ "type": "input_json_delta", "partial_json": text })));
                self.add(&text);
            }
            Piece::CallEnd { .. } => self.end(&mut events),
        }
        events
    }

    /// Nothing more will come; gives the last events.
    pub fn finish(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        self.end(&mut events);
        events
    }

    /// The blocks.
    pub fn content(self) -> Vec<Value> {
        self.blocks.iter().map(|block| block.whole(self.thoughts)).collect()
    }
}

impl Turn {
    fn current(&self) -> Option<&Block> {
        self.blocks.last().filter(|_| self.open)
    }

    fn words(&mut self, text: String, events: &mut Vec<Value>) {
        let text = if matches!(self.current(), Some(Block::Text(_))) {
            text
        } else {
            self.blanks += &text;
            if self.blanks.trim().is_empty() {
                return;
            }
            let text = std::mem::take(&mut self.blanks);
            self.begin(Block::Text(String::new()), events);
            text
        };
        events.push(self.delta(json!({ "type": "text_delta", "text": text })));
        self.add(&text);
    }

    fn begin(&mut self, block: Block, events: &mut Vec<Value>) {
        self.end(events);
        let start = match &block {
            Block::Tool { id, name, .. } => {
                json!({ "type": "tool_use", "id": id, "name": name, "input": {} })
            }
            Block::Thinking(_) => json!({ "type": "thinking", "thinking": "", "signature": "" }),
            Block::Text(_) => json!({ "type": "text", "text": "", "citations": null }),
        };
        let index = self.blocks.len();
        events
            .push(json!({ "type": "content_block_start", "index": index, "content_block": start }));
        self.blocks.push(block);
        self.open = true;
    }

    fn add(&mut self, text: &str) {
        match self.blocks.last_mut() {
            Some(Block::Thinking(so_far) | Block::Text(so_far)) => *so_far += text,
            Some(Block::Tool { input, .. }) => *input += text,
            None => {}
        }
    }

    fn end(&mut self, events: &mut Vec<Value>) {
        self.blanks.clear();
        if !self.open {
            return;
        }
        if let Some(Block::Thinking(text)) = self.current() {
            let signature = signature(text, self.thoughts);
            events.push(self.delta(json!({ "type": "signature_delta", "signature": signature })));
        }
        let index = self.blocks.len() - 1;
        events.push(json!({ "type": "content_block_stop", "index": index }));
        self.open = false;
    }

    fn delta(&self, delta: Value) -> Value {
        let index = self.blocks.len().saturating_sub(1);
        json!({ "type": "content_block_delta", "index": index, "delta": delta })
    }
}

impl Block {
    fn whole(&self, thoughts: bool) -> Value {
        match self {
            Block::Thinking(text) => {
                let told = if thoughts { text.as_str() } else { "" };
                let signature = signature(text, thoughts);
                json!({ "type": "thinking", "thinking": told, "signature": signature })
            }
            Block::Text(text) => json!({ "type": "text", "text": text, "citations": null }),
            Block::Tool { id, name, input } => {
                json!({ "type": "tool_use", "id": id, "name": name, "input": object(input) })
            }
        }
    }
}

/// A call's input. What is no JSON object, as where the answer was cut off, is shown under a name
/// that no tool has.
fn object(text: &str) -> Value {
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(object) => object.into(),
        Err(_) if text.trim().is_empty() => json!({}),
        Err(_) => json!({ "INVALID_JSON": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[Piece], thoughts: bool) -> (Vec<Value>, Vec<Value>) {
        let mut turn = Turn::new(thoughts);
        let mut events: Vec<Value> = pieces.iter().cloned().flat_map(|p| turn.push(p)).collect();
        events.extend(turn.finish());
        (events, turn.content())
    }

    fn kinds(events: &[Value]) -> Vec<&str> {
        events
            .iter()
            .map(|event| event["delta"]["type"].as_str().or(event["type"].as_str()).unwrap())
            .collect()
    }

    fn pieces() -> Vec<Piece> {
        let reasoning = |text: &str| Piece::Reasoning(text.to_owned());
        let words = |text: &str| Piece::Content(text.to_owned());
        let start = Piece::CallStart { index: 0, id: Some("a".to_owned()), name: "f".to_owned() };
        vec![
            reasoning("I "),
            reasoning("see"),
            words("\n\n"),
            words("Wait"),
            words("\n"),
            start,
            Piece::Arguments { index: 0, text: "{\"x\"".to_owned() },
            Piece::Arguments { index: 0, text: ": 1}".to_owned() },
            Piece::CallEnd { index: 0 },
            words("\n"),
        ]
    }

    #[test]
    fn blocks_open_and_close_in_order() {
        let (events, content) = told(&pieces(), true);
        let wanted = [
            "content_block_start",
            "thinking_delta",
            "thinking_delta",
            "signature_delta",
            "content_block_stop",
            "content_block_start",
            "text_delta",
            "text_delta",
            "content_block_stop",
            "content_block_start",
            "input_json_delta",
            "input_json_delta",
            "content_block_stop",
        ];
        assert_eq!(kinds(&events), wanted);
        let kinds: Vec<_> = content.iter().map(|block| block["type"].clone()).collect();
        assert_eq!(kinds, ["thinking", "text", "tool_use"]);
        assert_eq!(content[1]["text"], "\n\nWait\n");
        assert_eq!(content[2]["input"], json!({"x": 1}));
    }

    #[test]
    fn thoughts_that_are_not_told_travel_in_their_signature() {
        let (events, content) = told(&pieces(), false);
        assert!(!kinds(&events).contains(&"thinking_delta"));
        assert_eq!(content[0]["thinking"], "");
        let signature = content[0]["signature"].as_str().unwrap();
        assert_eq!(super::super::blocks::carried(signature).unwrap(), "I see");
    }

    #[test]
    fn input_that_is_cut_off_is_shown_as_what_it_is() {
        let (_, content) = told(&pieces()[5..7], true);
        assert_eq!(content[0]["input"], json!({"INVALID_JSON": "{\"x\""}));
    }
}
