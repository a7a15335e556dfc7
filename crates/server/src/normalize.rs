//! Lines that agents change with every request, made the same, so that prompts begin alike.

use serde_json::Value;

/// How the line begins that agents of Anthropic's write before a system prompt:
/// `x-anthropic-billing-header: cc_version=2.1.100.7b4; cc_entrypoint=cli; cch=eb6c6;`. The
/// version's last part and `cch` are made of the request's content, so nothing after them would
/// ever be found in a cache. The line is for a service's accounts and says nothing to a model.
const BILLING: &str = "x-anthropic-billing-header:";

/// Takes the lines out of system messages that say nothing to a model and change with every
/// request; the number of lines taken.
pub fn drop_volatile_lines(messages: &mut [Value]) -> usize {
    let mut dropped = 0;
    for message in messages.iter_mut().filter(|message| message["role"] == "system") {
        let Some(text) = message["content"].as_str() else { continue };
        if let Some((kept, lines)) = without_volatile_lines(text) {
            dropped += lines;
            message["content"] = kept.into();
        }
    }
    if dropped > 0 {
        tracing::debug!(dropped, "took billing lines out of the system prompt");
    }
    dropped
}

/// The text without such lines, and how many there were; `None` where there is none.
fn without_volatile_lines(text: &str) -> Option<(String, usize)> {
    let is_volatile = |line: &str| {
        let begins =
            line.get(..BILLING.len()).is_some_and(|head| head.eq_ignore_ascii_case(BILLING));
        begins && line[BILLING.len()..].contains('=')
    };
    let lines = text.lines().filter(|line| is_volatile(line)).count();
    if lines == 0 {
        return None;
    }
    let mut kept = String::with_capacity(text.len());
    let mut at_gap = true;
    for line in text.split_inclusive('\n') {
        if is_volatile(line) {
            // The blank lines that set it apart go with it where nothing stands before them.
            at_gap = kept.trim().is_empty();
        } else if !(at_gap && line.trim().is_empty()) {
            at_gap = false;
            kept += line;
        }
    }
    Some((kept, lines))
}

/// Turns system messages behind the beginning into users' words, for templates that take a system
/// message only there; whether there was one.
pub fn move_late_system_messages(messages: &mut [Value]) -> bool {
    let is_system = |message: &Value| message["role"] == "system";
    let first = messages.iter().position(|message| !is_system(message)).unwrap_or(messages.len());
    let mut moved = false;
    for message in messages[first..].iter_mut().filter(|message| is_system(message)) {
        let text = message["content"].as_str().unwrap_or_default();
        message["content"] = format!("<system>\n{text}\n</system>").into();
        message["role"] = "user".into();
        moved = true;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn normalized(text: &str) -> String {
        let mut messages = [json!({"role": "system", "content": text})];
        drop_volatile_lines(&mut messages);
        messages[0]["content"].as_str().unwrap().to_owned()
    }

    #[test]
    fn two_requests_of_one_agent_begin_alike() {
        let say = |hash: &str, version: &str| {
            format!(
                "x-anthropic-billing-header: cc_version=2.1.{version}; cch={hash};\n\n\
                 You are an agent.\n\nBe brief."
            )
        };
        let first = normalized(&say("eb6c6", "100.7b4"));
        assert_eq!(first, normalized(&say("0aaa9", "177.01c")));
        assert_eq!(first, "You are an agent.\n\nBe brief.");
    }

    #[test]
    fn what_only_talks_of_such_a_line_stays() {
        for text in [
            "The header x-anthropic-billing-header: a=b is odd.",
            "x-anthropic-billing-header: what is it?",
            "\n\nA prompt that begins with blank lines.",
            "",
        ] {
            assert_eq!(normalized(text), text);
        }
        let mut messages = [json!({"role": "user", "content": "x-anthropic-billing-header: a=b"})];
        assert_eq!(drop_volatile_lines(&mut messages), 0);
    }

    #[test]
    fn a_line_within_a_prompt_goes_alone() {
        let text = "One.\n\nx-anthropic-billing-header: cch=1;\n\nTwo.";
        assert_eq!(normalized(text), "One.\n\n\nTwo.");
    }

    #[test]
    fn only_system_messages_behind_the_beginning_move() {
        let system = |text: &str| json!({"role": "system", "content": text});
        let mut messages =
            [system("a"), system("b"), json!({"role": "user", "content": "c"}), system("d")];
        assert!(move_late_system_messages(&mut messages));
        let roles: Vec<_> = messages.iter().map(|message| message["role"].clone()).collect();
        assert_eq!(roles, ["system", "system", "user", "user"]);
        assert_eq!(messages[3]["content"], "<system>\nd\n</system>");
        assert!(!move_late_system_messages(&mut messages));
    }
}
