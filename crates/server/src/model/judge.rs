//! How well a document answers a query: a model that was trained to judge says yes or no, and how
//! likely it is to say yes is the score.
//!
//! The question is put in the words that such models were trained with, in the model's own chat
//! format, its thinking off. Tokens are cut where they were cut in training: the query and document
//! stand by themselves between what the chat format writes before and behind.

use super::{Model, Read};
use crate::error::Refusal;
use baimo_text::voice::switch_thinking;
use baimo_text::{Chat, EncodeOptions};
use serde_json::json;

/// What a judge is told to do.
const TASK: &str = "Judge whether the Document meets the requirements based on the Query and the \
                    Instruct provided. Note that the answer can only be \"yes\" or \"no\".";
/// What is searched for where nothing is said.
const INSTRUCTION: &str =
    "Given a web search query, retrieve relevant passages that answer the query";
/// Stands in the chat format for the query and document.
const CASE: &str = "{{the query and the document}}";

/// A model as a judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judge {
    before: Vec<u32>,
    behind: Vec<u32>,
    yes: u32,
    no: u32,
}

impl Model {
    /// Makes it a judge.
    ///
    /// # Errors
    /// Where it has no chat template, or no tokens for yes and no.
    pub fn judge(&self) -> Result<Judge, Refusal> {
        let refuse = |why: &str| {
            let message = format!("model `{}` is no judge of documents: {why}", self.name);
            Refusal::field("model", message)
        };
        let Some(template) = &self.template else {
            return Err(refuse("it has no chat template"));
        };
        let messages = vec![
            json!({ "role": "system", "content": TASK }),
            json!({ "role": "user", "content": CASE }),
        ];
        let mut chat = Chat { messages, add_generation_prompt: true, ..Chat::default() };
        // One that always thinks or never does is asked all the same.
        let _ = switch_thinking(&mut chat, false, self.voice);
        let text = template.render(&chat).map_err(|error| refuse(&error.to_string()))?;
        let (before, behind) = text
            .split_once(CASE)
            .ok_or_else(|| refuse("its chat template does not show messages as they are"))?;
        let read = |text: &str| self.encode(text, EncodeOptions::TEMPLATE);
        let word = |word: &str| match self.encode(word, EncodeOptions::default())?[..] {
            [token] => Ok(token),
            _ => Err(refuse(&format!("`{word}` is not one token"))),
        };
        let (before, behind) = (read(before)?, read(behind)?);
        Ok(Judge { before, behind, yes: word("yes")?, no: word("no")? })
    }

    /// The tokens by which `judge` is asked.
    ///
    /// # Errors
    /// Where the tokenizer cannot read the texts.
    pub fn case(
        &self,
        judge: &Judge,
        instruction: Option<&str>,
        query: &str,
        document: &str,
    ) -> Result<Vec<u32>, Refusal> {
        let instruction = instruction.unwrap_or(INSTRUCTION);
        let case = format!("<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}");
        let mut tokens = judge.before.clone();
        // Marks of the chat format in a document are text: it cannot speak for the judge.
        tokens.extend(self.encode(&case, EncodeOptions::default())?);
        tokens.extend(&judge.behind);
        Ok(tokens)
    }
}

impl Judge {
    /// How likely a yes is, of yes and no.
    ///
    /// # Errors
    /// Where the model gave no numbers.
    pub fn score(&self, read: &Read) -> Result<f32, Refusal> {
        let logit = |token: u32| read.numbers.get(token as usize).copied().map(f64::from);
        match (logit(self.yes), logit(self.no)) {
            (Some(yes), Some(no)) if (yes - no).is_finite() => {
                Ok((1.0 / (1.0 + (no - yes).exp())) as f32)
            }
            found => Err(Refusal::internal(format!("the model's logits are {found:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{End, Reason, Timings, Usage};

    #[test]
    fn a_score_is_the_softmax_of_yes_and_no() {
        let judge = Judge { before: Vec::new(), behind: Vec::new(), yes: 2, no: 0 };
        let score = |numbers: &[f32]| {
            let (usage, timings) = (Usage::default(), Timings::default());
            let end = End { reason: Reason::Stop, usage, timings };
            judge.score(&Read { numbers: numbers.to_vec(), end })
        };
        assert_eq!(score(&[1.0, 9.0, 1.0]).unwrap(), 0.5);
        assert!((score(&[0.0, 9.0, 3.0_f32.ln()]).unwrap() - 0.75).abs() < 1e-6);
        assert_eq!(score(&[-1e30, 0.0, 1e30]).unwrap(), 1.0);
        assert_eq!(score(&[1e30, 0.0, -1e30]).unwrap(), 0.0);
        assert!(score(&[f32::NAN, 0.0, 1.0]).is_err());
        assert!(score(&[0.0]).is_err());
    }
}
