//! Thoughts as opaque content, for clients that send them back so and not as they are.
//!
//! They are no secret, as they are told in the item's `content` as well; so they are not encrypted,
//! and a server started anew can read what another one wrote.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How content of ours begins.
const OURS: &str = "baimo:";

/// Opaque content for these thoughts.
pub fn seal(thoughts: &str) -> String {
    format!("{OURS}{}", STANDARD.encode(thoughts))
}

/// The thoughts of such content; `None` where it is not ours.
pub fn unseal(content: &str) -> Option<String> {
    let bytes = STANDARD.decode(content.strip_prefix(OURS)?).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_come_back_as_they_went_and_others_not_at_all() {
        assert_eq!(unseal(&seal("思考 ✓\n")).as_deref(), Some("思考 ✓\n"));
        for other in ["", "gAAAAA", "baimo:%", "baimo:/w=="] {
            assert_eq!(unseal(other), None);
        }
    }
}
