//! Thoughts that clients drop between a call of a tool and its result, kept for them.
//!
//! Models that think between calls were trained to see those thoughts again, and many clients send
//! back only the call. A turn is known by the conversation before it and one of its calls, or by a
//! call's id where this server made it: who knows neither is given nothing.

use baimo_text::voice::{Call, Reply};
use blake3::{Hash, Hasher};
use lru::LruCache;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of thoughts that are kept; the turns that were longest not asked for go first.
const BYTES_MAX: usize = 64 << 20;
/// What an entry takes beside its text, about.
const ENTRY_BYTES: usize = 128;

/// How ids begin that this server makes for calls, before 16 hexadecimal digits.
const OUR_CALLS: &str = "call_";

/// Thoughts of turns that called tools.
#[derive(Debug)]
pub struct Thoughts {
    kept: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Kept {
    turns: LruCache<Hash, Arc<str>>,
    bytes: usize,
}

/// What a conversation is known by: model, roles, texts and calls, without thoughts and ids, which
/// clients drop.
#[derive(Clone, Debug)]
pub struct Conversation(Hasher);

impl Default for Thoughts {
    fn default() -> Thoughts {
        Thoughts::new(BYTES_MAX)
    }
}

impl Thoughts {
    /// Keeps at most so many bytes.
    pub fn new(bytes_max: usize) -> Thoughts {
        let kept = Kept { turns: LruCache::unbounded(), bytes: 0 };
        Thoughts { kept: Mutex::new(kept), bytes_max }
    }

    /// Gives the turns of `messages` that called tools their thoughts back, where they came without
    /// and the thoughts are known. `messages` are in the spelling that templates read.
    pub fn recall(&self, model: &str, messages: &mut [Value]) -> Conversation {
        let mut conversation = Conversation(Hasher::new());
        conversation.text(model);
        for message in messages {
            if lacks_thoughts(message) {
                let found =
                    message["tool_calls"].as_array().into_iter().flatten().find_map(|call| {
                        let arguments = &call["function"]["arguments"];
                        let name = call["function"]["name"].as_str().unwrap_or_default();
                        self.find(&conversation, call["id"].as_str(), name, arguments)
                    });
                if let Some(thoughts) = found {
                    tracing::debug!(bytes = thoughts.len(), "gave a turn its thoughts back");
                    message["reasoning_content"] = Value::from(&*thoughts);
                }
            }
            conversation.message(message);
        }
        conversation
    }

    /// Keeps the thoughts of a turn that follows on `conversation` and called tools.
    pub fn keep(&self, conversation: &Conversation, reply: &Reply) {
        if reply.reasoning.is_empty() {
            return;
        }
        let thoughts: Arc<str> = reply.reasoning.as_str().into();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for Call { id, name, arguments } in &reply.calls {
            let arguments = arguments_of(arguments);
            for key in conversation.keys(id.as_deref(), name, &arguments) {
                let bytes = thoughts.len() + ENTRY_BYTES;
                if let Some(old) = kept.turns.put(key, thoughts.clone()) {
                    kept.bytes -= old.len() + ENTRY_BYTES;
                }
                kept.bytes += bytes;
            }
        }
        while kept.bytes > self.bytes_max {
            let Some((_, old)) = kept.turns.pop_lru() else { break };
            kept.bytes -= old.len() + ENTRY_BYTES;
        }
    }

    fn find(
        &self,
        conversation: &Conversation,
        id: Option<&str>,
        name: &str,
        arguments: &Value,
    ) -> Option<Arc<str>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = conversation.keys(id, name, arguments).into_iter();
        keys.find_map(|key| kept.turns.get(&key).cloned())
    }
}

/// Whether it is a turn that called tools and came without thoughts; where they are empty, a client
/// wanted none.
fn lacks_thoughts(message: &Value) -> bool {
    message["tool_calls"].is_array() && message["reasoning_content"].is_null()
}

/// Arguments as a template is given them: the object they are the text of, else that text.
fn arguments_of(text: &str) -> Value {
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(object) => object.into(),
        Err(_) if text.trim().is_empty() => Map::new().into(),
        Err(_) => text.into(),
    }
}

impl Conversation {
    /// What a call at its end is known by: with the conversation, and alone by an id of ours.
    fn keys(&self, id: Option<&str>, name: &str, arguments: &Value) -> Vec<Hash> {
        let finish = |mut start: Conversation| {
            start.text(name);
            start.value(arguments);
            start.0.finalize()
        };
        let mut keys = vec![finish(self.clone())];
        let digits = |id: &str| {
            let digits = id.strip_prefix(OUR_CALLS).unwrap_or_default();
            digits.len() > 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        if let Some(id) = id.filter(|id| digits(id)) {
            let mut alone = Conversation(Hasher::new());
            alone.text("id");
            alone.text(id);
            keys.push(finish(alone));
        }
        keys
    }

    fn message(&mut self, message: &Value) {
        self.text(message["role"].as_str().unwrap_or_default());
        self.text(message["content"].as_str().unwrap_or_default());
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            self.text(call["function"]["name"].as_str().unwrap_or_default());
            self.value(&call["function"]["arguments"]);
        }
    }

    /// Lengths first: no two sequences of texts are the same bytes.
    fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }

    /// Keys in alphabetical order, as clients sort them or not.
    fn value(&mut self, value: &Value) {
        let mut sorted = value.clone();
        sorted.sort_all_objects();
        self.text(&sorted.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "call_00000000000000ff0";

    fn question(text: &str) -> Value {
        json!({"role": "user", "content": text})
    }

    fn turn(id: &str, arguments: Value) -> Value {
        let function = json!({"name": "weather", "arguments": arguments});
        let call = json!({"id": id, "type": "function", "function": function});
        json!({"role": "assistant", "content": "", "tool_calls": [call]})
    }

    fn reply(thoughts: &str) -> Reply {
        let call = Call {
            id: Some(ID.to_owned()),
            name: "weather".to_owned(),
            arguments: r#"{"city": "北京", "days": 2}"#.to_owned(),
        };
        Reply { reasoning: thoughts.to_owned(), calls: vec![call], ..Reply::default() }
    }

    fn recalled(thoughts: &Thoughts, first: &str, id: &str, arguments: Value) -> Option<String> {
        let mut messages = [question(first), turn(id, arguments), question("and?")];
        thoughts.recall("model", &mut messages);
        messages[1]["reasoning_content"].as_str().map(str::to_owned)
    }

    fn with(thoughts: &str) -> Thoughts {
        let kept = Thoughts::default();
        let conversation = kept.recall("model", &mut [question("how is it?")]);
        kept.keep(&conversation, &reply(thoughts));
        kept
    }

    #[test]
    fn a_turn_gets_its_thoughts_back_by_its_conversation_or_by_its_id() {
        let kept = with("it may rain");
        let sorted = json!({"days": 2, "city": "北京"});
        let found = Some("it may rain".to_owned());
        assert_eq!(recalled(&kept, "how is it?", "another", sorted.clone()), found);
        assert_eq!(recalled(&kept, "shortened", ID, sorted), found);
    }

    #[test]
    fn another_conversation_or_call_gets_nothing() {
        let kept = with("it may rain");
        let arguments = json!({"city": "北京", "days": 2});
        assert_eq!(recalled(&kept, "hello", "functions.weather:0", arguments), None);
        assert_eq!(recalled(&kept, "how is it?", ID, json!({"city": "上海"})), None);
    }

    #[test]
    fn thoughts_that_came_along_stay() {
        let kept = with("it may rain");
        let mut turn = turn(ID, json!({"city": "北京", "days": 2}));
        turn["reasoning_content"] = "mine".into();
        let mut messages = [question("how is it?"), turn];
        kept.recall("model", &mut messages);
        assert_eq!(messages[1]["reasoning_content"], "mine");
    }

    #[test]
    fn the_oldest_go_where_there_is_no_room() {
        let kept = Thoughts::new(3 * (100 + ENTRY_BYTES));
        for number in 0..50 {
            let conversation = kept.recall("model", &mut [question(&number.to_string())]);
            kept.keep(&conversation, &reply(&"x".repeat(100)));
            let state = kept.kept.lock().unwrap();
            assert!(state.bytes <= kept.bytes_max);
            assert_eq!(state.bytes, state.turns.len() * (100 + ENTRY_BYTES));
        }
        let arguments = json!({"city": "北京", "days": 2});
        assert_eq!(recalled(&kept, "0", "", arguments.clone()), None);
        assert!(recalled(&kept, "49", "", arguments).is_some());
    }
}
