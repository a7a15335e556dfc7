//! Tools as the Responses API has them: flat functions, custom tools of free text, namespaces of
//! both. A model is shown functions alone; its calls are told in the client's terms again.

use crate::api::openai::schema::ToolChoice;
use crate::ask::ToolChoice as Choice;
use crate::error::Refusal;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Tools that a request may have, those in namespaces among them.
const TOOLS_MAX: usize = 4096;

/// Tools that OpenAI's servers run.
const HOSTED: &[&str] = &[
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
];

/// The tools of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tools {
    /// As chat templates read them; `None` where there are none.
    pub shown: Option<Value>,
    /// As the response tells them.
    pub told: Vec<Value>,
    /// What the client should know about them.
    pub notices: Vec<String>,
    /// What the client calls them, by the names that the model knows.
    origins: BTreeMap<String, Origin>,
}

/// A tool in the client's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// Where it is, if it is in a namespace.
    pub namespace: Option<String>,
    /// It takes free text instead of arguments.
    pub custom: bool,
}

/// The name by which a model knows a tool.
pub fn shown_name(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        None => name.to_owned(),
        Some(namespace) if namespace.ends_with("__") => format!("{namespace}{name}"),
        Some(namespace) => format!("{namespace}__{name}"),
    }
}

impl Tools {
    /// Those of a request's list. Tools that OpenAI's servers run are left out, with a notice,
    /// where there are others: agents send both.
    ///
    /// # Errors
    /// Names the tool and field at fault.
    pub fn new(list: Vec<Value>) -> Result<Tools, Refusal> {
        let (mut tools, mut shown, mut hosted) = (Tools::default(), Vec::new(), Vec::new());
        for (index, tool) in list.into_iter().enumerate() {
            let path = format!("tools[{index}]");
            match tool["type"].as_str() {
                Some("namespace") => shown.extend(tools.namespace(&path, &tool)?),
                Some(kind) if HOSTED.contains(&kind) => {
                    hosted.push((path, kind.to_owned()));
                    continue;
                }
                _ => shown.push(tools.add(&path, &tool, None)?),
            }
            tools.told.push(told(tool));
            if shown.len() > TOOLS_MAX {
                return Err(Refusal::field("tools", format!("wanted at most {TOOLS_MAX}")));
            }
        }
        if let Some((path, kind)) = hosted.first().filter(|_| shown.is_empty()) {
            let message = format!("found `{kind}`, which this server cannot run\n{WANTED}");
            return Err(Refusal::field(format!("{path}.type"), message));
        }
        for (path, kind) in hosted {
            let notice = format!("{path} is left out: this server cannot run `{kind}`");
            tools.notices.push(notice);
        }
        tools.shown = (!shown.is_empty()).then_some(Value::Array(shown));
        Ok(tools)
    }

    /// What the client calls a tool that the model has called.
    pub fn origin(&self, shown: &str) -> Origin {
        let unknown = || Origin { name: shown.to_owned(), ..Origin::default() };
        self.origins.get(shown).cloned().unwrap_or_else(unknown)
    }

    /// What is wanted of them.
    ///
    /// # Errors
    /// A word or a tool that there is not.
    pub fn choice(&self, choice: &ToolChoice) -> Result<Choice, Refusal> {
        let refuse = |message: String| Err(Refusal::field("tool_choice", message));
        let object = match choice {
            ToolChoice::Word(word) => {
                return match word.as_str() {
                    "auto" => Ok(Choice::Auto),
                    "none" => Ok(Choice::None),
                    "required" if self.origins.is_empty() => {
                        refuse("a call is required and there are no `tools`".to_owned())
                    }
                    "required" => Ok(Choice::Required),
                    found => refuse(format!("found `{found}`, wanted auto, none or required")),
                };
            }
            ToolChoice::Object(object) => object,
        };
        match object["type"].as_str() {
            Some("function" | "custom") => Ok(Choice::Named(self.find(object)?)),
            Some("allowed_tools") => {
                let Some(list) = object["tools"].as_array() else {
                    return refuse("wanted a list of `tools`".to_owned());
                };
                let names = list.iter().map(|tool| self.find(tool));
                let names: Vec<String> = names.collect::<Result<_, _>>()?;
                match object["mode"].as_str() {
                    Some("auto") | None => Ok(Choice::Among { required: false, names }),
                    Some("required") => Ok(Choice::Among { required: true, names }),
                    Some(mode) => refuse(format!("found mode `{mode}`, wanted auto or required")),
                }
            }
            found => {
                let found = found.unwrap_or("no type");
                refuse(format!("found {found}, wanted function, custom or allowed_tools"))
            }
        }
    }

    /// The name by which the model knows a tool that the client names.
    fn find(&self, named: &Value) -> Result<String, Refusal> {
        let name = named["name"].as_str().unwrap_or_default();
        let namespace = named["namespace"].as_str();
        let shown = shown_name(namespace, name);
        if self.origins.contains_key(&shown) {
            return Ok(shown);
        }
        let mut origins = self.origins.iter().filter(|_| namespace.is_none());
        let found = origins.find(|(_, origin)| origin.name == name);
        found.map(|(shown, _)| shown.clone()).ok_or_else(|| {
            let known: Vec<&str> = self.origins.keys().map(String::as_str).collect();
            let message = format!("no tool `{name}` among: {}", known.join(", "));
            Refusal::field("tool_choice", message)
        })
    }

    fn namespace(&mut self, path: &str, tool: &Value) -> Result<Vec<Value>, Refusal> {
        only(path, tool, &["type", "name", "description", "tools"])?;
        let namespace = name(path, tool)?;
        let Some(list) = tool["tools"].as_array() else {
            return Err(Refusal::field(format!("{path}.tools"), "wanted a list of tools"));
        };
        let one = |(index, tool): (usize, &Value)| {
            self.add(&format!("{path}.tools[{index}]"), tool, Some(namespace))
        };
        list.iter().enumerate().map(one).collect()
    }

    /// Takes a tool in; gives it as a template reads it.
    fn add(&mut self, path: &str, tool: &Value, namespace: Option<&str>) -> Result<Value, Refusal> {
        let (custom, function) = match tool["type"].as_str() {
            Some("function") => (false, function(path, tool)?),
            Some("custom") => (true, self.custom(path, tool)?),
            found => {
                let message = format!("found {}\n{WANTED}", found.unwrap_or("no type"));
                return Err(Refusal::field(format!("{path}.type"), message));
            }
        };
        let name = name(path, tool)?;
        let shown = shown_name(namespace, name);
        let namespace = namespace.map(str::to_owned);
        let origin = Origin { name: name.to_owned(), namespace, custom };
        if self.origins.insert(shown.clone(), origin).is_some() {
            return Err(Refusal::field(format!("{path}.name"), format!("`{shown}` stands twice")));
        }
        let mut whole = json!({ "name": shown });
        whole["description"] = tool["description"].as_str().unwrap_or_default().into();
        for (key, value) in function {
            whole[key] = value;
        }
        Ok(json!({ "type": "function", "function": whole }))
    }

    /// A tool of free text, as a function with one argument.
    fn custom(&mut self, path: &str, tool: &Value) -> Result<Map<String, Value>, Refusal> {
        only(path, tool, &["type", "name", "description", "format", "defer_loading"])?;
        let mut input = json!({ "type": "string" });
        let format = &tool["format"];
        let definition = format["definition"].as_str();
        let mut description = tool["description"].as_str().unwrap_or_default().to_owned();
        match (format["type"].as_str(), format["syntax"].as_str(), definition) {
            (None, ..) if format.is_null() => {}
            (Some("text"), ..) => {}
            (Some("grammar"), Some("regex"), Some(expression)) => {
                input["pattern"] = expression.into();
            }
            (Some("grammar"), Some("lark"), Some(grammar)) => {
                description += &format!("\n\nThe input follows this grammar:\n{grammar}");
                let name = name(path, tool)?;
                let notice = format!("the model is told the grammar of `{name}`, not held to it");
                self.notices.push(notice);
            }
            _ => {
                let message = "wanted `text`, or `grammar` with a `syntax` of lark or regex and \
                               its `definition`";
                return Err(Refusal::field(format!("{path}.format"), message));
            }
        }
        let parameters = json!({
            "type": "object",
            "properties": { "input": input },
            "required": ["input"],
            "additionalProperties": false,
        });
        let mut function = Map::new();
        function.insert("description".into(), description.trim_start().into());
        function.insert("parameters".into(), parameters);
        Ok(function)
    }
}

const WANTED: &str = "hint: tools of type function, custom and namespace can be had";

fn function(path: &str, tool: &Value) -> Result<Map<String, Value>, Refusal> {
    only(path, tool, &["type", "name", "description", "parameters", "strict", "defer_loading"])?;
    let parameters = match &tool["parameters"] {
        Value::Null => json!({ "type": "object", "properties": {} }),
        Value::Object(schema) => schema.clone().into(),
        _ => {
            let message = "wanted a JSON schema, which is an object";
            return Err(Refusal::field(format!("{path}.parameters"), message));
        }
    };
    let mut function = Map::new();
    function.insert("parameters".into(), parameters);
    match &tool["strict"] {
        Value::Null => {}
        Value::Bool(strict) => {
            function.insert("strict".into(), (*strict).into());
        }
        _ => return Err(Refusal::field(format!("{path}.strict"), "wanted true or false")),
    }
    Ok(function)
}

/// A tool's name.
fn name<'a>(path: &str, tool: &'a Value) -> Result<&'a str, Refusal> {
    let sound = |c: char| c.is_alphanumeric() || "_-.:/".contains(c);
    match tool["name"].as_str() {
        Some(name) if (1..=256).contains(&name.len()) && name.chars().all(sound) => Ok(name),
        found => {
            let found = found.map_or_else(|| "none".to_owned(), |name| format!("`{name}`"));
            let message = format!("found {found}, wanted letters, digits, `_`, `-`");
            Err(Refusal::field(format!("{path}.name"), message))
        }
    }
}

/// No other fields than these have a value, and `description` is a text.
fn only(path: &str, tool: &Value, fields: &[&str]) -> Result<(), Refusal> {
    let object = tool.as_object().into_iter().flatten();
    for (field, value) in object.filter(|(_, value)| !value.is_null()) {
        if !fields.contains(&field.as_str()) {
            let message = format!("`{field}` cannot be had, wanted only: {}", fields.join(", "));
            return Err(Refusal::field(format!("{path}.{field}"), message));
        }
        if field == "description" && !value.is_string() {
            return Err(Refusal::field(format!("{path}.{field}"), "wanted a text"));
        }
    }
    Ok(())
}

/// A function tells all its fields, whether the client did or not.
fn told(mut tool: Value) -> Value {
    if tool["type"] == "function" {
        for field in ["description", "parameters", "strict"] {
            if tool.get(field).is_none() {
                tool[field] = Value::Null;
            }
        }
    }
    tool
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(list: Value, field: &str) {
        let list = list.as_array().unwrap().clone();
        assert_eq!(Tools::new(list).unwrap_err().param.as_deref(), Some(field));
    }

    fn agent_s() -> Tools {
        let patch = json!({
            "type": "custom", "name": "apply_patch", "description": "Edits files.",
            "format": { "type": "grammar", "syntax": "lark", "definition": "start: \"*\"" },
        });
        let tools = [json!({ "type": "function", "name": "search" }), patch.clone()];
        let list = vec![
            json!({ "type": "function", "name": "shell", "parameters": null, "strict": false }),
            patch,
            json!({ "type": "web_search", "external_web_access": false }),
            json!({ "type": "namespace", "name": "mcp__docs", "description": "", "tools": tools }),
        ];
        Tools::new(list).unwrap()
    }

    #[test]
    fn an_agent_s_tools_become_functions_and_are_told_in_its_own_terms_again() {
        let tools = agent_s();
        let shown = tools.shown.as_ref().unwrap().as_array().unwrap();
        let names: Vec<_> = shown.iter().map(|tool| tool["function"]["name"].clone()).collect();
        let wanted = ["shell", "apply_patch", "mcp__docs__search", "mcp__docs__apply_patch"];
        assert_eq!(names, wanted);
        assert!(shown[1]["function"]["description"].as_str().unwrap().contains("start: \"*\""));
        let namespace = Some("mcp__docs".to_owned());
        let origin = Origin { name: "search".to_owned(), namespace, custom: false };
        assert_eq!(tools.origin("mcp__docs__search"), origin);
        assert!(tools.origin("apply_patch").custom);
        assert_eq!(tools.told.len(), 3);
        assert!(tools.notices.iter().any(|notice| notice.contains("web_search")));
    }

    #[test]
    fn a_choice_names_a_tool_by_what_the_client_calls_it() {
        let tools = agent_s();
        let choice = |object| tools.choice(&ToolChoice::Object(object));
        let named = Choice::Named("mcp__docs__search".to_owned());
        assert_eq!(choice(json!({ "type": "function", "name": "search" })).unwrap(), named);
        let there = json!({ "type": "custom", "name": "apply_patch", "namespace": "mcp__docs" });
        let named = Choice::Named("mcp__docs__apply_patch".to_owned());
        assert_eq!(choice(there).unwrap(), named);
        let some = json!([{ "type": "function", "name": "shell" }]);
        let allowed = json!({ "type": "allowed_tools", "mode": "required", "tools": some });
        let names = vec!["shell".to_owned()];
        assert_eq!(choice(allowed).unwrap(), Choice::Among { required: true, names });
        assert!(choice(json!({ "type": "web_search" })).is_err());
        assert!(choice(json!({ "type": "function", "name": "none" })).is_err());
        let required = ToolChoice::Word("required".to_owned());
        assert!(Tools::default().choice(&required).is_err());
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_name() {
        refused(json!([{ "type": "web_search" }]), "tools[0].type");
        refused(json!([{ "type": "spoon" }]), "tools[0].type");
        refused(json!([3]), "tools[0].type");
        refused(json!([{ "type": "function", "name": "a b" }]), "tools[0].name");
        refused(json!([{ "type": "function", "name": "a", "x": 1 }]), "tools[0].x");
        let twice = json!({ "type": "function", "name": "a" });
        refused(json!([twice, twice]), "tools[1].name");
        let grammar = json!({ "type": "grammar", "syntax": "ebnf", "definition": "" });
        refused(json!([{ "type": "custom", "name": "a", "format": grammar }]), "tools[0].format");
    }
}
