//! Pre-tokenizer patterns, by the name GGUF files give them (`tokenizer.ggml.pre`).
//!
//! The names and patterns are data of the format: they are what the models' own `tokenizer.json`
//! says, as registered in llama.cpp's `llama-vocab.cpp`. Where that file bends a pattern to suit
//! its own regular expressions, the model's original is used here.

/// Contractions as single words, letters with one leading character, digits one by one.
pub(crate) const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// The same, with combining marks as parts of words.
const QWEN35: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|",
    r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Digits in groups of up to three: cl100k, Llama 3, GLM-4.
pub(crate) const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
pub(crate) const GPT2: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const DIGITS_THREE: &str = r"\p{N}{1,3}";
pub(crate) const DIGITS_ONE: &str = r"\p{N}";
pub(crate) const DIGITS_RUN: &str = r"\p{N}+";
const CJK: &str = "[一-龥\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+";
const DEEPSEEK3: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"##,
    r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// The cased letters of Unicode as that model's file lists them. Those that normalize to another
/// letter are escaped, lest an editor normalize them.
const DEEPSEEK_LLM_LETTERS: &str = concat!(
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕ",
    r"ἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\x{1f7d}ᾀ-ᾴᾶ-ᾼ\x{1fbe}ῂ-ῄῆ-ῌ",
    r"ῐ-\x{1fd3}ῖ-\x{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ\x{212a}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳ",
    r"Ꙁ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
);
const DEEPSEEK_LLM_MARKS: &str = r"\s?[!-/:-~！-／：-～‘-‟\u{3000}-。]+";
const CJK_AND_HANGUL: &str = "[一-龥\u{0800}-一가-\u{d7ff}]+";
/// Upper case, then lower case, as two kinds of letters: o200k.
const GPT4O: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Han runs apart from all other letters.
pub(crate) const KIMI_K2: &str = concat!(
    r"[\p{Han}]+|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Possessive where greedy would give characters back.
const BAILING: &str = concat!(
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|",
    r"\s*[\r\n]|\s+(?!\S)|\s+",
);
const SEED: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}|",
    r" ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const YOUTU_SCRIPTS: &str = concat!(
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-\u{303f}\u{fe30}-\u{fe4f}]+|[ㄅ-ㄯ]+|",
    "[一-龥\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+",
);
const YOUTU: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const MINICPM5: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// How the vocabulary behind one `tokenizer.ggml.pre` name cuts text.
#[derive(Debug)]
pub(crate) struct PreTokenizer {
    names: &'static [&'static str],
    /// Applied one after the other.
    pub patterns: &'static [&'static str],
    /// The model's own tokenizer normalizes to NFC first; a GGUF file has no field for it.
    pub nfc: bool,
    /// A word that is a token is taken whole, whatever the merges say.
    pub whole_words: bool,
    /// Begin with BOS where the file does not say.
    pub adds_bos: bool,
}

const fn plain(names: &'static [&'static str], patterns: &'static [&'static str]) -> PreTokenizer {
    PreTokenizer { names, patterns, nfc: false, whole_words: false, adds_bos: false }
}

const PRE_TOKENIZERS: &[PreTokenizer] = &[
    PreTokenizer { nfc: true, ..plain(&["qwen2", "deepseek-r1-qwen", "hunyuan"], &[QWEN2]) },
    plain(&["megrez", "stablelm2", "grok-2", "solar-open", "kormo", "f2llmv2"], &[QWEN2]),
    PreTokenizer { nfc: true, ..plain(&["qwen35"], &[QWEN35]) },
    plain(&["deepseek-v3", "hunyuan-dense", "joyai-llm"], &[DIGITS_THREE, CJK, DEEPSEEK3]),
    plain(
        &["deepseek-llm"],
        &[r"[\r\n]", DEEPSEEK_LLM_LETTERS, DEEPSEEK_LLM_MARKS, r"\s+$", CJK_AND_HANGUL, DIGITS_RUN],
    ),
    plain(
        &["deepseek-coder"],
        &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK_AND_HANGUL, DIGITS_ONE],
    ),
    plain(&["glm4", "chatglm-bpe", "dbrx", "smaug-bpe"], &[LLAMA3]),
    plain(&["kimi-k2"], &[KIMI_K2]),
    plain(&["minimax-m2", "gpt-4o", "llama4"], &[GPT4O]),
    plain(&["bailingmoe", "bailingmoe2", "llada-moe"], &[BAILING]),
    plain(&["seed-coder"], &[SEED]),
    PreTokenizer { whole_words: true, ..plain(&["youtu"], &[YOUTU_SCRIPTS, YOUTU]) },
    PreTokenizer { whole_words: true, ..plain(&["minicpm5"], &[DIGITS_THREE, MINICPM5]) },
    PreTokenizer {
        whole_words: true,
        adds_bos: true,
        ..plain(
            &["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "lfm2"],
            &[LLAMA3],
        )
    },
    PreTokenizer { whole_words: true, adds_bos: true, ..plain(&["tekken"], &[TEKKEN]) },
    plain(&["gpt-2", "phi-2", "exaone4", "mpt", "olmo", "trillion", "modern-bert"], &[GPT2]),
    plain(
        &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
        &[DIGITS_ONE, GPT2],
    ),
    plain(&["default"], &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"]),
];

/// Looks a `tokenizer.ggml.pre` name up.
pub(crate) fn pre_tokenizer(name: &str) -> Option<&'static PreTokenizer> {
    PRE_TOKENIZERS.iter().find(|entry| entry.names.contains(&name))
}

/// The name of a pre-tokenizer that cuts text by these patterns; best one that normalizes alike,
/// which most readers of GGUF files do not.
pub(crate) fn pre_tokenizer_of(
    patterns: &[String],
    nfc: bool,
    whole_words: bool,
) -> Option<&'static str> {
    let alike = || {
        PRE_TOKENIZERS
            .iter()
            .filter(|entry| entry.patterns == patterns && entry.whole_words == whole_words)
    };
    let best = alike().find(|entry| entry.nfc == nfc).or_else(|| alike().next());
    best.map(|entry| entry.names[0])
}

/// Every name that [`pre_tokenizer`] knows, for messages.
pub(crate) fn pre_tokenizer_names() -> String {
    let names: Vec<_> = PRE_TOKENIZERS.iter().flat_map(|entry| entry.names).copied().collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::Splitter;

    #[test]
    fn every_pattern_compiles_and_every_name_is_there_once() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in PRE_TOKENIZERS {
            Splitter::new(entry.patterns).unwrap();
            for name in entry.names {
                assert!(seen.insert(name), "{name} is there twice");
            }
        }
    }
}
