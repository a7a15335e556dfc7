//! Asking a model to think, or not to.

use crate::Chat;
use baimo_blueprint::Voice;
use baimo_blueprint::voice::Switch;
use serde_json::Value;

/// What a model cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSwitch {
    /// It has no thoughts.
    #[error("this model does not think aloud")]
    NeverThinks,
    /// It cannot do without.
    #[error("this model always thinks")]
    AlwaysThinks,
}

/// Asks for thoughts, or for none, as the `voice` spells it; where that is not known, by the names
/// that templates have for it most often.
///
/// # Errors
/// Where thoughts are asked of a model that has none, or forbidden to one that always thinks.
pub fn switch_thinking(
    chat: &mut Chat,
    think: bool,
    voice: Option<&Voice>,
) -> Result<(), NoSwitch> {
    let mut set = |name: &str, value: Value| {
        chat.options.insert(name.to_owned(), value);
    };
    let Some(voice) = voice else {
        // Templates ignore names that they do not read.
        for name in ["enable_thinking", "thinking"] {
            set(name, think.into());
        }
        return Ok(());
    };
    let budget = voice.thinking.and_then(|thinking| thinking.budget);
    match (voice.thinking.map(|thinking| thinking.switch), think) {
        (None, false) | (Some(None), true) => {}
        (None, true) => return Err(NoSwitch::NeverThinks),
        (Some(None), false) => match budget {
            Some(name) => set(name, 0.into()),
            None => return Err(NoSwitch::AlwaysThinks),
        },
        (Some(Some(Switch::Flag(name))), _) => set(name, think.into()),
        (Some(Some(Switch::Choice { name, on, off })), _) => {
            set(name, if think { on } else { off }.into());
        }
        (Some(Some(Switch::Words { on, off })), _) => {
            let words = if think { on } else { off };
            let last = chat.messages.iter_mut().rfind(|message| message["role"] == "user");
            if let Some(content) = last.and_then(|message| message.get_mut("content"))
                && let Some(text) = content.as_str()
            {
                *content = format!("{text}{words}").into();
            }
        }
    }
    Ok(())
}
