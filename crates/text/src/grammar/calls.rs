//! Calls of tools, in the syntax of each voice.

use super::environment::TokenEnvironment;
use super::error::GrammarError;
use super::plan::{ToolChoice, Wish};
use super::source::{Program, quoted};
use super::writer::Writer;
use super::{arguments, schema};
use baimo_blueprint::Voice;
use baimo_blueprint::voice::{self, Arguments, Named, Naming};
use serde_json::{Value, json};

/// White space between the parts of a call.
pub(super) const SPACE: &str = r"/[ \t\r\n]{1,4}/";

/// A name that every syntax can have is not longer, in bytes.
pub(super) const NAME_MAX: usize = 200;

/// The calls that an answer may have.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    syntax: voice::Calls,
    silent: &'static [&'static str],
    tools: Vec<Tool>,
    single: bool,
}

/// A tool that may be called.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    pub name: String,
    /// JSON schema of its arguments.
    pub parameters: Value,
    /// Its arguments must fit the schema; where that cannot be had it is an error.
    pub strict: bool,
}

impl Calls {
    /// What is asked of calls; `None` where the model calls as it likes, or not at all.
    pub fn new(
        voice: Option<&'static Voice>,
        wish: &Wish<'_>,
    ) -> Result<Option<Calls>, GrammarError> {
        let mut tools = tools_of(wish.tools)?;
        let syntax = voice.and_then(|voice| voice.calls);
        match &wish.choice {
            ToolChoice::None => return Ok(None),
            ToolChoice::Auto if tools.is_empty() => return Ok(None),
            ToolChoice::Auto => {
                let asked = tools.iter().any(|tool| tool.strict) || wish.single_call;
                if !asked && (wish.answer.is_none() || syntax.is_none()) {
                    return Ok(None);
                }
            }
            ToolChoice::Required if tools.is_empty() => {
                return Err(GrammarError::tool("any", "a call is required, and there is no tool"));
            }
            ToolChoice::Required => {}
            ToolChoice::Named(name) => {
                tools.retain(|tool| tool.name == *name);
                if tools.is_empty() {
                    return Err(GrammarError::tool(name, "a call is required of no tool there is"));
                }
            }
        }
        let fault = "calls cannot be constrained, as this model has no syntax for them";
        let syntax = syntax.ok_or_else(|| GrammarError::tool(&tools[0].name, fault))?;
        let silent = voice.map_or(&[][..], |voice| voice.silent);
        let calls = Calls { syntax, silent, tools, single: wish.single_call };
        calls.check(wish)?;
        Ok(Some(calls))
    }

    fn check(&self, wish: &Wish<'_>) -> Result<(), GrammarError> {
        let python = matches!(self.syntax, voice::Calls::Python(_));
        for Tool { name, .. } in &self.tools {
            let wrong = |c: char| c.is_whitespace() || c.is_control() || "<>{}[]()\"'".contains(c);
            let identifier = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            if name.is_empty() || name.len() > NAME_MAX || name.contains(wrong) {
                let fault = "its name is empty, too long, or has white space or brackets in it";
                return Err(GrammarError::tool(name, fault));
            }
            if python && (!name.chars().all(identifier) || name.starts_with(char::is_numeric)) {
                return Err(GrammarError::tool(
                    name,
                    "this model calls tools by Python names only",
                ));
            }
        }
        let bare = matches!(self.syntax, voice::Calls::Bare);
        if bare && wish.choice == ToolChoice::Auto && wish.answer.is_none() {
            let fault = "this model's calls begin like words, and are constrained only where one \
                         is required (hint: leave `strict` and `parallel_tool_calls` out, or set \
                         `tool_choice`)";
            return Err(GrammarError::tool(&self.tools[0].name, fault));
        }
        Ok(())
    }

    /// The tags behind which a call or a section of calls begins.
    pub fn opening_tags(&self) -> Vec<&'static str> {
        match &self.syntax {
            voice::Calls::Json(section) | voice::Calls::Python(section) => vec![section.open],
            voice::Calls::Named(named) => {
                let section = named.section.map(|section| section.open);
                section.into_iter().chain([named.head.open]).collect()
            }
            voice::Calls::Bare => Vec::new(),
        }
    }

    /// The calls from their beginning, as a rule.
    pub fn write(&self, writer: &mut Writer<'_>) -> Result<String, GrammarError> {
        let written = self.written(writer)?;
        let all = match &written.section {
            Some((_, section)) => self.several(writer, section),
            None => self.several(writer, &written.call),
        };
        Ok(all)
    }

    /// What follows the tag that opens a section.
    pub fn in_section(
        &self,
        environment: &TokenEnvironment,
    ) -> Result<Option<Program>, GrammarError> {
        let mut writer = Writer::new(environment);
        let written = self.written(&mut writer)?;
        let Some((rest, section)) = &written.section else { return Ok(None) };
        let more = self.more(&mut writer, section);
        let silent = self.silent(&mut writer);
        Ok(Some(writer.finish(&format!("{rest} {more} {silent}"))))
    }

    /// What follows the tag that opens a call, where it stands in no section.
    pub fn in_call(&self, environment: &TokenEnvironment) -> Result<Option<Program>, GrammarError> {
        let mut writer = Writer::new(environment);
        let written = self.written(&mut writer)?;
        let Some(rest) = &written.rest else { return Ok(None) };
        let more = self.more(&mut writer, &written.call);
        let silent = self.silent(&mut writer);
        let section = match &self.syntax {
            voice::Calls::Named(named) => named.section,
            voice::Calls::Json(_) | voice::Calls::Python(_) | voice::Calls::Bare => None,
        };
        let end = section.map(|section| format!("({SPACE}? {})?", writer.tag(section.close)));
        let end = end.unwrap_or_default();
        Ok(Some(writer.finish(&format!("{rest} {more} {end} {silent}"))))
    }

    fn several(&self, writer: &mut Writer<'_>, one: &str) -> String {
        let more = self.more(writer, one);
        writer.rule(&format!("{one} {more}"))
    }

    /// More of the same, and what may stand between.
    fn more(&self, writer: &mut Writer<'_>, one: &str) -> String {
        if self.single {
            return String::new();
        }
        let silent = self.silent(writer);
        format!("({SPACE}? {silent} {SPACE}? {one})*")
    }

    fn silent(&self, writer: &mut Writer<'_>) -> String {
        let tags: Vec<_> = self.silent.iter().map(|tag| writer.tag(tag)).collect();
        match tags.is_empty() {
            true => String::new(),
            false => format!("({})?", tags.join(" | ")),
        }
    }

    fn written(&self, writer: &mut Writer<'_>) -> Result<Written, GrammarError> {
        match &self.syntax {
            voice::Calls::Json(section) => {
                let item = self.any(writer, |writer, tool| Ok(object(writer, tool)))?;
                let list = match self.single {
                    true => format!("\"[\" {SPACE}? {item} {SPACE}? \"]\""),
                    false => format!(
                        "\"[\" {SPACE}? {item} ({SPACE}? \",\" {SPACE}? {item})* {SPACE}? \"]\""
                    ),
                };
                let items = self.several(writer, &item);
                let close = writer.tag(section.close);
                let rest = format!("{SPACE}? ({list} | {items}) {SPACE}? {close}");
                Ok(Written::section(writer, section.open, &rest, item))
            }
            voice::Calls::Python(section) => {
                let item = self.any(writer, arguments::python)?;
                let items = match self.single {
                    true => item.clone(),
                    false => writer.rule(&format!("{item} (/[ \\t]{{0,2}}[;\\n] ?/ {item})*")),
                };
                let close = writer.tag(section.close);
                let fence = "/```(python)?\\n/";
                let rest = format!(
                    "{SPACE}? ({items} | {fence} {items} {SPACE}? \"```\") {SPACE}? {close}"
                );
                Ok(Written::section(writer, section.open, &rest, item))
            }
            voice::Calls::Bare => {
                let call = self.any(writer, |writer, tool| {
                    let arguments = writer.json(&tool.parameters, tool.strict);
                    Ok(format!("{} {arguments}", quoted(&format!("{}\n", tool.name))))
                })?;
                Ok(Written { section: None, call, rest: None })
            }
            voice::Calls::Named(named) => self.named(writer, named),
        }
    }

    fn named(&self, writer: &mut Writer<'_>, named: &Named) -> Result<Written, GrammarError> {
        let close = writer.tag(named.close);
        let rest = self.any(writer, |writer, tool| match &named.arguments {
            Arguments::Json => {
                let head = head(writer, named, &tool.name);
                let arguments = writer.json(&tool.parameters, tool.strict);
                let fence = named.head.end.is_some_and(|end| end.contains("```"));
                let tail = if fence { r"/[ \n]{0,2}```[ \n]{0,2}/" } else { SPACE };
                Ok(format!("{head} {SPACE}? {arguments} {tail}? {close}"))
            }
            Arguments::Each(argument) => {
                let head = head(writer, named, &tool.name);
                let each = arguments::each(writer, argument, tool)?;
                // Some models of such a voice write an object in place of name and arguments.
                let pairs = named.head.end.is_none() && named.section.is_none();
                let object = match pairs {
                    true => format!(" | {SPACE}? {} {SPACE}? {close}", object(writer, tool)),
                    false => String::new(),
                };
                Ok(format!("{head} {each} {close}{object}"))
            }
        })?;
        let call = writer.rule(&format!("{} {rest}", writer.tag(named.head.open)));
        let written = Written { section: None, call: call.clone(), rest: Some(rest) };
        let Some(section) = named.section else { return Ok(written) };
        let calls = self.several(writer, &call);
        let silent = self.silent(writer);
        let close = writer.tag(section.close);
        let inside = format!("{SPACE}? {calls} {SPACE}? {silent} {SPACE}? {close}");
        Ok(Written { rest: written.rest, ..Written::section(writer, section.open, &inside, call) })
    }

    /// A rule for each tool, and one for any of them.
    fn any(
        &self,
        writer: &mut Writer<'_>,
        mut one: impl FnMut(&mut Writer<'_>, &Tool) -> Result<String, GrammarError>,
    ) -> Result<String, GrammarError> {
        let mut rules = Vec::new();
        for tool in &self.tools {
            let body = one(writer, tool)?;
            rules.push(writer.rule(&body));
        }
        Ok(writer.rule(&rules.join(" | ")))
    }
}

/// The rules of a syntax.
struct Written {
    /// What follows the tag that opens a section, and the whole section.
    section: Option<(String, String)>,
    call: String,
    /// What follows the tag that opens a call.
    rest: Option<String>,
}

impl Written {
    fn section(writer: &mut Writer<'_>, open: &str, rest: &str, call: String) -> Written {
        let rest = writer.rule(rest);
        let section = writer.rule(&format!("{} {rest}", writer.tag(open)));
        Written { section: Some((rest, section)), call, rest: None }
    }
}

/// `{"name": .., "arguments": {..}}`.
fn object(writer: &mut Writer<'_>, tool: &Tool) -> String {
    let arguments = writer.json(&tool.parameters, tool.strict);
    let name = quoted(&Value::from(tool.name.as_str()).to_string());
    format!(
        "\"{{\" {SPACE}? \"\\\"name\\\"\" {SPACE}? \":\" {SPACE}? {name} {SPACE}? \",\" {SPACE}? \
         (\"\\\"arguments\\\"\" | \"\\\"parameters\\\"\") {SPACE}? \":\" {SPACE}? {arguments} \
         {SPACE}? \"}}\""
    )
}

/// What follows the tag that opens a call: the name, and the end of the head.
fn head(writer: &mut Writer<'_>, named: &Named, name: &str) -> String {
    let name = match named.naming {
        Naming::Plain => quoted(name),
        Naming::Numbered => format!("{} /[0-9]{{1,3}}/", quoted(&format!("functions.{name}:"))),
    };
    let name_end = named.head.name_ends.first().copied().unwrap_or_default();
    let tag = writer.tag(name_end);
    match named.head.end {
        // Where a tag follows anyway, a line break between is a habit.
        None if name_end.trim().is_empty() => format!("{name} ({tag})?"),
        None => format!("{name} {tag}"),
        Some(end) => {
            let counted = name_end == "\"" && !end.starts_with('>');
            let index = if counted { "(/ index=\"[0-9]{1,3}\"/)? " } else { "" };
            format!("{name} {tag} {index}{}", writer.tag(end))
        }
    }
}

/// Out of OpenAI's list, functions in their own objects or not.
fn tools_of(list: Option<&Value>) -> Result<Vec<Tool>, GrammarError> {
    let mut tools = Vec::new();
    for entry in list.and_then(Value::as_array).into_iter().flatten() {
        let function = entry.get("function").unwrap_or(entry);
        let Some(name) = function["name"].as_str() else { continue };
        let strict = function["strict"].as_bool().unwrap_or(false);
        let parameters = match parameters_of(name, &function["parameters"], strict) {
            // Where nobody asks for more, any object does.
            Err(_) if !strict => json!({ "type": "object" }),
            parameters => parameters?,
        };
        tools.push(Tool { name: name.to_owned(), parameters, strict });
    }
    Ok(tools)
}

fn parameters_of(name: &str, schema: &Value, strict: bool) -> Result<Value, GrammarError> {
    let mut schema = match schema {
        Value::Null => json!({ "type": "object", "additionalProperties": false }),
        schema => schema.clone(),
    };
    schema::check(&schema, strict).map_err(|error| error.of_tool(name))?;
    let Value::Object(members) = &mut schema else { return Ok(json!({ "type": "object" })) };
    let kind = members.entry("type").or_insert_with(|| "object".into());
    if kind != "object" {
        let fault = format!("its parameters are of type {kind}, wanted \"object\"");
        return Err(GrammarError::tool(name, fault));
    }
    Ok(schema)
}
