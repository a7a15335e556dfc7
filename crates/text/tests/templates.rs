//! Templates rendered here are the text that Python's Jinja renders with Hugging Face's settings.
//! `tests/oracle/make_templates.py` made `rendered.json`.

use baimo_text::{Chat, Error, Template};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

fn fixture(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path);
    std::fs::read_to_string(path).unwrap()
}

fn template(source: &str, tokens: &Value) -> Result<Template, Error> {
    let text = |(name, text): (&String, &Value)| (name.clone(), text.as_str().unwrap().to_owned());
    let tokens = tokens.as_object().unwrap().iter().map(text).collect();
    Template::new(BTreeMap::from([("default".to_owned(), source.to_owned())]), tokens)
}

fn chat(json: &Value) -> Chat {
    Chat {
        messages: json["messages"].as_array().unwrap().clone(),
        tools: Some(json["tools"].clone()).filter(|tools| !tools.is_null()),
        add_generation_prompt: json["add_generation_prompt"].as_bool().unwrap_or(false),
        options: json["options"].as_object().cloned().unwrap_or_default(),
    }
}

#[test]
fn every_template_renders_as_python_renders_it() {
    let goldens: Value = serde_json::from_str(&fixture("rendered.json")).unwrap();
    let chats: Vec<Chat> = goldens["chats"].as_array().unwrap().iter().map(chat).collect();
    let templates = goldens["templates"].as_array().unwrap();
    assert!(templates.len() >= 12 && chats.len() >= 12);
    let mut differences = Vec::new();
    for golden in templates {
        let name = golden["name"].as_str().unwrap();
        let template =
            template(&fixture(&format!("templates/{name}")), &goldens["tokens"]).unwrap();
        let rendered = golden["rendered"].as_array().unwrap();
        for (index, (chat, wanted)) in chats.iter().zip(rendered).enumerate() {
            match (template.render(chat), wanted.as_str()) {
                (Ok(found), Some(wanted)) if found == wanted => {}
                (Err(_), None) => {}
                (found, _) => {
                    differences.push(format!("{name}, chat {index}: {found:?}\nPython: {wanted}"));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
