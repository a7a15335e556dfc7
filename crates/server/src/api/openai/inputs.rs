//! What is read as it is: texts or tokens, one or several.

use crate::error::Refusal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Texts or lists of token ids that a request may have.
pub const INPUTS_MAX: usize = 2048;

/// One text or several, the tokens of one or of several.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "wanted a text, a list of texts, of token ids, or of lists of ids")]
pub enum Inputs {
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// The tokens of a text.
    Tokens(Vec<u32>),
    /// The tokens of texts.
    Lists(Vec<Vec<u32>>),
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A text.
    Text(String),
    /// The tokens of a text.
    Tokens(Vec<u32>),
}

impl Inputs {
    /// All of them with the fields that they stand in, within `field`.
    ///
    /// # Errors
    /// None or too many, one that is empty, or a token that is not below `vocab`.
    pub fn list(self, field: &str, vocab: usize) -> Result<Vec<(String, Input)>, Refusal> {
        let within = |index: usize| format!("{field}[{index}]");
        let inputs: Vec<(String, Input)> = match self {
            Inputs::Text(text) => vec![(field.to_owned(), Input::Text(text))],
            Inputs::Tokens(tokens) => vec![(field.to_owned(), Input::Tokens(tokens))],
            Inputs::Texts(texts) => {
                let named = |(index, text)| (within(index), Input::Text(text));
                texts.into_iter().enumerate().map(named).collect()
            }
            Inputs::Lists(lists) => {
                let named = |(index, tokens)| (within(index), Input::Tokens(tokens));
                lists.into_iter().enumerate().map(named).collect()
            }
        };
        if inputs.is_empty() || inputs.len() > INPUTS_MAX {
            let message = format!("found {} of them, wanted 1 to {INPUTS_MAX}", inputs.len());
            return Err(Refusal::field(field.to_owned(), message));
        }
        for (field, input) in &inputs {
            input.check(vocab).map_err(|message| Refusal::field(field.clone(), message))?;
        }
        Ok(inputs)
    }
}

impl Input {
    fn check(&self, vocab: usize) -> Result<(), String> {
        match self {
            Input::Text(text) if text.is_empty() => Err("found an empty text".to_owned()),
            Input::Tokens(tokens) if tokens.is_empty() => Err("found no tokens".to_owned()),
            Input::Text(_) => Ok(()),
            Input::Tokens(tokens) => match tokens.iter().find(|&&id| id as usize >= vocab) {
                Some(id) => Err(format!("found token id {id}, wanted 0 to {}", vocab - 1)),
                None => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn list(json: serde_json::Value) -> Result<Vec<(String, Input)>, Refusal> {
        serde_json::from_value::<Inputs>(json).expect("a form of it").list("prompt", 10)
    }

    #[test]
    fn each_form_is_told_from_the_others() {
        let text = |text: &str| Input::Text(text.to_owned());
        let named = |field: &str, input| (field.to_owned(), input);
        assert_eq!(list(json!("a")).unwrap(), [named("prompt", text("a"))]);
        let two = [named("prompt[0]", text("a")), named("prompt[1]", text("b"))];
        assert_eq!(list(json!(["a", "b"])).unwrap(), two);
        assert_eq!(list(json!([1, 9])).unwrap(), [named("prompt", Input::Tokens(vec![1, 9]))]);
        let two = [1, 2].map(|id| named(&format!("prompt[{}]", id - 1), Input::Tokens(vec![id])));
        assert_eq!(list(json!([[1], [2]])).unwrap(), two);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let param = |json| list(json).unwrap_err().param.unwrap().into_owned();
        assert_eq!(param(json!([])), "prompt");
        assert_eq!(param(json!("")), "prompt");
        assert_eq!(param(json!(["a", ""])), "prompt[1]");
        assert_eq!(param(json!([3, 10])), "prompt");
        assert_eq!(param(json!([[1], []])), "prompt[1]");
        assert_eq!(param(json!(vec!["a"; INPUTS_MAX + 1])), "prompt");
        for wrong in [json!(1), json!([1, "a"]), json!([-1]), json!({"a": 1}), json!(null)] {
            assert!(serde_json::from_value::<Inputs>(wrong).is_err());
        }
    }

    proptest! {
        #[test]
        fn lists_of_ids_come_back(
            lists in prop::collection::vec(prop::collection::vec(0..10u32, 1..5), 1..5),
        ) {
            let found = list(json!(lists)).unwrap();
            let expected: Vec<Input> = lists.into_iter().map(Input::Tokens).collect();
            let found: Vec<Input> = found.into_iter().map(|(_, input)| input).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
