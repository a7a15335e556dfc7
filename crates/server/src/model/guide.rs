//! Who has a say in the tokens of an answer.

use super::{Model, Prepared};
use crate::ask::{Ask, Format, ToolChoice};
use crate::error::Refusal;
use baimo_engine::Guide;

impl Model {
    /// What a request's form, tools and budget of thoughts ask for.
    ///
    /// # Errors
    /// Where the form cannot be had, naming the field.
    pub(super) fn guide(
        &self,
        ask: &Ask,
        _prepared: &Prepared,
    ) -> Result<Option<Box<dyn Guide>>, Refusal> {
        if ask.format != Format::Text {
            return Err(Refusal::field("response_format", "structured output is not built yet"));
        }
        let free = matches!(ask.tool_choice, ToolChoice::Auto | ToolChoice::None);
        if !free {
            return Err(Refusal::field("tool_choice", "wanted `auto` or `none`"));
        }
        if ask.thinking.budget.is_some() {
            return Err(Refusal::field("thinking", "a budget is not built yet"));
        }
        Ok(None)
    }
}
