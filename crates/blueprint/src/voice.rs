//! How a family speaks: where it thinks aloud, how it calls tools, what ends its turn.
//!
//! A chat template says how a conversation is written for the model; a [`Voice`] says how to read
//! what the model writes back. All of it is text to look for; the one parser is in the crate
//! `text`.

/// How models that share a chat format speak.
#[derive(Clone, Debug, PartialEq)]
pub struct Voice {
    /// What it is called.
    pub name: &'static str,
    /// Texts that the chat templates of these models all contain, and those of others do not.
    pub marks: &'static [&'static str],
    /// How it thinks aloud, where it does.
    pub thinking: Option<Thinking>,
    /// Around the answer proper, where something is.
    pub answer: Option<Tags>,
    /// How it calls tools, where it does.
    pub calls: Option<Calls>,
    /// Tags that are part of no text and are never shown.
    pub silent: &'static [&'static str],
    /// Tokens that end its turn.
    pub ends: &'static [&'static str],
    /// The chat template, in Jinja, of models that come with a program instead.
    pub template: Option<&'static str>,
}

impl Voice {
    /// Every tag there is to look for. Some are special tokens, which would not be shown.
    pub fn tags(&self) -> Vec<&'static str> {
        let both = |tags: &Tags| [tags.open, tags.close];
        let mut all = self.silent.to_vec();
        all.extend(self.thinking.iter().flat_map(|thinking| both(&thinking.tags)));
        all.extend(self.answer.iter().flat_map(both));
        match &self.calls {
            None | Some(Calls::Bare) => {}
            Some(Calls::Json(tags) | Calls::Python(tags)) => all.extend(both(tags)),
            Some(Calls::Named(named)) => {
                all.extend(named.section.iter().flat_map(both));
                all.extend(named.head.tags());
                all.push(named.close);
                if let Arguments::Each(argument) = &named.arguments {
                    all.extend(argument.head.tags());
                    all.push(argument.close);
                }
            }
        }
        all
    }
}

/// A pair of tags around something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags {
    /// Before it.
    pub open: &'static str,
    /// After it.
    pub close: &'static str,
}

/// Thinking aloud, before the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thinking {
    /// Around the thoughts. A template may write the first of them itself.
    pub tags: Tags,
    /// How to ask for thoughts or for none; `None` where the model always thinks.
    pub switch: Option<Switch>,
    /// The template variable for the most tokens of thoughts, where there is one.
    pub budget: Option<&'static str>,
    /// What thoughts end with that are cut short: the tag, and the line breaks that the models of
    /// this voice have learned around it.
    pub cut: &'static str,
}

/// How thinking is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// A template variable that is true or false.
    Flag(&'static str),
    /// A template variable that is one of two words.
    Choice {
        /// The variable.
        name: &'static str,
        /// Its value to think.
        on: &'static str,
        /// Its value not to.
        off: &'static str,
    },
    /// Words at the end of the user's last message; an empty one asks for nothing.
    Words {
        /// To think.
        on: &'static str,
        /// Not to.
        off: &'static str,
    },
}

/// How tools are called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Calls {
    /// `{"name": .., "arguments": {..}}` between tags: one, several, or a list of them.
    Json(Tags),
    /// The name stands in markup, the arguments follow it.
    Named(Named),
    /// `name(key="value", ..)` as Python writes it, between tags, in a code block or not: one or
    /// several.
    Python(Tags),
    /// Nothing but a tool's name on a line and its arguments as JSON after it, where words would
    /// begin.
    Bare,
}

/// A call as markup: `head` with the name, arguments, `close`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named {
    /// Around the calls, where something is.
    pub section: Option<Tags>,
    /// What names the function.
    pub head: Head,
    /// How the name is written.
    pub naming: Naming,
    /// What follows the head.
    pub arguments: Arguments,
    /// After the arguments.
    pub close: &'static str,
}

/// `open` NAME `name_ends` ATTRIBUTES `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Before the name.
    pub open: &'static str,
    /// Any of these ends the name; for a call, so do its close and the head of an argument.
    pub name_ends: &'static [&'static str],
    /// After the attributes; `None` where there cannot be any.
    pub end: Option<&'static str>,
}

impl Head {
    fn tags(&self) -> impl Iterator<Item = &'static str> {
        [self.open].into_iter().chain(self.name_ends.iter().copied()).chain(self.end)
    }
}

/// How a call's head spells the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// As it is.
    Plain,
    /// `functions.NAME:NUMBER`, which as a whole is the call's id.
    Numbered,
}

/// How the arguments of a named call are written. A JSON object is understood everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arguments {
    /// As a JSON object.
    Json,
    /// One by one, each in markup.
    Each(Argument),
}

/// An argument as markup: `head` with the name, the value, `close`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Argument {
    /// What names the argument.
    pub head: Head,
    /// After the value; a `*` in it stands for the name. With a `*`, values may be made of such
    /// elements themselves: those named `item` are a list.
    pub close: &'static str,
    /// The attribute that says the value is a string, and that it is JSON where it is missing.
    /// Where the syntax has no such attribute, the tool's JSON schema decides.
    pub string: Option<&'static str>,
    /// Whether the value stands on lines of its own: a line break at its start and one at its end
    /// are not part of it.
    pub on_lines: bool,
    /// Around values that hold markup themselves.
    pub quotes: Option<Tags>,
}
