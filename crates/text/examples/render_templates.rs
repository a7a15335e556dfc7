//! Reads what `tests/oracle/make_templates.py FILE...` prints, renders every template with every
//! chat, and prints how many are as Python has them, and the first lines that are not.

use baimo_text::{Chat, Template};
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let goldens: Value = serde_json::from_reader(std::io::stdin())?;
    let tokens: BTreeMap<String, String> = serde_json::from_value(goldens["tokens"].clone())?;
    for golden in goldens["templates"].as_array().into_iter().flatten() {
        let source = golden["source"].as_str().unwrap_or_default().to_owned();
        let sources = BTreeMap::from([("default".to_owned(), source)]);
        let template = Template::new(sources, tokens.clone());
        let (mut equal, mut raised, mut different) = (0, 0, Vec::new());
        let chats = goldens["chats"].as_array().into_iter().flatten();
        for (chat, wanted) in chats.zip(golden["rendered"].as_array().into_iter().flatten()) {
            let found = template.as_ref().map_err(ToString::to_string);
            let found = found.and_then(|template| {
                template.render(&read_chat(chat)).map_err(|error| error.to_string())
            });
            match (found, wanted.as_str()) {
                (Ok(found), Some(wanted)) if found == wanted => equal += 1,
                (Err(_), None) => raised += 1,
                (found, _) => different.push(format!("  ours   {found:?}\n  Python {wanted}")),
            }
        }
        let name = golden["name"].as_str().unwrap_or_default();
        println!("{name}: {equal} equal, {raised} raised by both, {} different", different.len());
        for difference in different.iter().take(2) {
            println!("{difference}");
        }
    }
    Ok(())
}

fn read_chat(json: &Value) -> Chat {
    Chat {
        messages: json["messages"].as_array().cloned().unwrap_or_default(),
        tools: Some(json["tools"].clone()).filter(|tools| !tools.is_null()),
        add_generation_prompt: json["add_generation_prompt"] == true,
        options: json["options"].as_object().cloned().unwrap_or_default(),
    }
}
