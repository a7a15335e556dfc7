//! InternVL 书生·万象 and Intern-S1 (Shanghai AI Laboratory): a vision tower, which is not run, and
//! the text model of another page.
//!
//! | family    | text model                                                   |
//! |-----------|--------------------------------------------------------------|
//! | InternVL  | InternLM2, Qwen2, Qwen3, Qwen3-MoE or the Llama block        |
//! | Intern-S1 | Qwen3-MoE, in the small one Qwen3                            |

use crate::common::aside;
use crate::composite::{Home, text_model};
use crate::{Config, Family, Lab, Result, Voice, voices};
use baimo_blueprint::Blueprint;

/// Shanghai AI Laboratory's models that see.
pub const INTERNVL: Lab = Lab {
    name: "InternVL",
    hanzi: "书生·万象",
    house: "Shanghai AI Laboratory",
    families: &[
        Family {
            architecture: "InternVLChatModel",
            models: "InternVL2, 2.5, 3 and 3.5 (text)",
            blueprint: Some(chat),
            gguf: None,
            voices: VOICES,
        },
        Family {
            architecture: "InternVLForConditionalGeneration",
            models: "InternVL3-hf, InternVL3.5-hf (text)",
            blueprint: Some(converted),
            gguf: None,
            voices: VOICES,
        },
        Family {
            architecture: "InternS1ForConditionalGeneration",
            models: "Intern-S1, Intern-S1-mini (text)",
            blueprint: Some(s1),
            gguf: None,
            voices: VOICES,
        },
    ],
};

const VOICES: &[&Voice] =
    &[&voices::INTERNLM, &voices::HERMES_SWITCHED, &voices::HERMES_THINKING, &voices::HERMES];

/// The whole text model, head included, in one folder.
const INSIDE: Home = Home { model: "language_model.model", outside: "language_model." };
/// All but its head in a folder of the whole.
const WITHIN: Home = Home { model: "model.language_model", outside: "" };

fn chat(c: &Config) -> Result<Blueprint> {
    c.waive(&["_commit_hash", "hidden_size", "image_fold", "system_message", "template"]);
    c.waive(&["dynamic_image_size", "force_image_size", "max_dynamic_patch", "min_dynamic_patch"]);
    c.waive(&["pad2square", "ps_version", "select_layer", "use_thumbnail", "output_attentions"]);
    // Adapters are merged in releases, whatever these say.
    c.waive(&["use_backbone_lora", "use_llm_lora"]);
    seeing(c, "llm_config", INSIDE, &["vision_model.*", "mlp1.*"])
}

fn converted(c: &Config) -> Result<Blueprint> {
    seeing(c, "text_config", INSIDE, &["vision_tower.*", "multi_modal_projector.*"])
}

fn s1(c: &Config) -> Result<Blueprint> {
    seeing(c, "text_config", WITHIN, &["model.vision_tower.*", "model.multi_modal_projector.*"])
}

/// Images are not looked at.
fn seeing(c: &Config, key: &str, home: Home, towers: &[&str]) -> Result<Blueprint> {
    c.waive(&["vision_config", "downsample_ratio", "image_seq_length", "image_token_id"]);
    c.waive(&["projector_hidden_act", "vision_feature_layer", "vision_feature_select_strategy"]);
    let mut blueprint = text_model(c, key, home)?;
    blueprint.set_aside.extend(towers.iter().map(|pattern| aside(pattern, "vision tower")));
    Ok(blueprint)
}
