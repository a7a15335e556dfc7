//! Aquila 悟道·天鹰 (BAAI): the Llama block, unchanged (page `llama`), under names of its own.

use crate::{Family, Lab, llama};

/// BAAI's models.
pub const AQUILA: Lab = Lab {
    name: "Aquila",
    hanzi: "悟道·天鹰",
    house: "BAAI",
    families: &[
        Family {
            architecture: "AquilaModel",
            models: "Aquila-7B, AquilaChat-7B",
            blueprint: Some(llama::llama),
            gguf: None,
            voices: &[],
        },
        Family {
            architecture: "AquilaForCausalLM",
            models: "Aquila2-7B/34B, AquilaChat2",
            blueprint: Some(llama::llama),
            gguf: None,
            voices: &[],
        },
    ],
};
