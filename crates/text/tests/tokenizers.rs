//! Tiny tokenizers of every kind, against the ids that the kind's own library gives.
//! `tests/oracle/make_fixtures.py` trained them and wrote the ids.

use baimo_text::{Decoder, EncodeOptions, Error, GgufExport, GgufVocabulary, Tokenizer};
use proptest::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const KINDS: [&str; 12] = [
    "byte_level",
    "ranks_nfc",
    "ranks_han",
    "sentencepiece_bpe",
    "sentencepiece_unigram",
    "sentencepiece_json",
    "unigram_json",
    "filling_first",
    "filling_later",
    "named",
    "lines_words",
    "lines_whole",
];

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers").join(kind)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn lines(kind: &str) -> Vec<(String, Vec<u32>)> {
    serde_json::from_value(json(&folder(kind).join("lines.json"))).unwrap()
}

/// How many lines differ, and the first that does.
fn differences(tokenizer: &Tokenizer, lines: &[(String, Vec<u32>)]) -> Vec<String> {
    let different = |(text, ids): &&(String, Vec<u32>)| {
        tokenizer.encode(text, EncodeOptions::TEMPLATE).unwrap() != *ids
    };
    let describe = |(text, ids): &(String, Vec<u32>)| {
        let found = tokenizer.encode(text, EncodeOptions::TEMPLATE).unwrap();
        format!("{text:?}\nfound  {found:?}\nwanted {ids:?}")
    };
    lines.iter().filter(different).map(describe).collect()
}

#[test]
fn what_a_folder_becomes_in_a_gguf_file_gives_the_same_ids() {
    for kind in
        ["byte_level", "ranks_nfc", "ranks_han", "sentencepiece_bpe", "sentencepiece_unigram"]
    {
        let written = GgufExport::from_folder(&folder(kind), 1 << 12).unwrap().vocabulary;
        assert_eq!(written.tokens.len(), 1 << 12, "{kind}: a name for each row");
        assert!(written.add_bos.is_some() && written.add_eos.is_some(), "{kind}: readers differ");
        let tokenizer = Tokenizer::from_gguf(&written).unwrap();
        // Files say neither that such a token takes the spaces around it nor whether it is a piece
        // of the vocabulary's own.
        let mut lines = lines(kind);
        lines.retain(|(text, _)| !text.contains("think>"));
        assert!(lines.len() > 100, "{kind}");
        let different = differences(&tokenizer, &lines);
        assert!(different.is_empty(), "{kind}: {}\n{}", different.len(), different[0]);
        let original = Tokenizer::from_folder(folder(kind)).unwrap();
        assert_eq!(tokenizer.eos(), original.eos(), "{kind}");
        let prompt = |it: &Tokenizer| it.encode("a", EncodeOptions::PROMPT).unwrap();
        assert_eq!(prompt(&tokenizer), prompt(&original), "{kind}");
    }
    let refused = GgufExport::from_folder(&folder("lines_words"), 1 << 12).unwrap_err();
    assert!(refused.to_string().contains("another kind"), "{refused}");
}

#[test]
fn what_a_gguf_file_cannot_say_is_told() {
    let told = |kind: &str| GgufExport::from_folder(&folder(kind), 1 << 12).unwrap();
    let GgufExport { vocabulary, unsaid } = told("byte_level");
    let [strips, prefix] = &unsaid[..] else { panic!("{unsaid:?}") };
    assert!(strips.contains("</think>") && prefix.contains("<|im_start|> stands before"));
    assert_eq!(vocabulary.prefix.as_deref(), Some(&[700][..]));
    let unknown = GgufVocabulary { prefix: Some(vec![700, 1 << 20]), ..vocabulary };
    let error = Tokenizer::from_gguf(&unknown).unwrap_err().to_string();
    assert!(error.contains("baimo.tokenizer.prefix has 1048576"), "{error}");
    let unsaid = told("ranks_han").unsaid;
    assert!(unsaid.is_empty(), "{unsaid:?}");
}

#[test]
fn an_unknown_piece_that_is_also_called_special_stays_the_unknown_piece() {
    for kind in ["sentencepiece_bpe", "sentencepiece_unigram"] {
        let own = GgufExport::from_folder(&folder(kind), 1 << 12).unwrap().vocabulary;
        let unknown = own.unknown.expect("the file has such a piece") as usize;
        let copy = tempfile::tempdir().unwrap();
        let model = folder(kind).join("tokenizer.model");
        std::fs::copy(model, copy.path().join("tokenizer.model")).unwrap();
        let special = serde_json::json!({ "content": own.tokens[unknown], "special": true });
        let config =
            serde_json::json!({ "added_tokens_decoder": { unknown.to_string(): special } });
        std::fs::write(copy.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        let named = GgufExport::from_folder(copy.path(), 1 << 12).unwrap().vocabulary;
        assert_eq!(named.token_types, own.token_types, "{kind}");
        // Other converters do call it a control token, and say elsewhere which it is.
        let mut control = own.clone();
        control.token_types.as_mut().expect("written")[unknown] = 3;
        let odd = "a \u{1f9ff}\u{10fffd} b";
        let [own, control] = [own, control].map(|it| Tokenizer::from_gguf(&it).unwrap());
        let ids = |it: &Tokenizer| it.encode(odd, EncodeOptions::TEMPLATE).unwrap();
        assert_eq!(ids(&control), ids(&own), "{kind}");
    }
}

#[test]
fn every_kind_gives_the_ids_of_its_own_library() {
    for kind in KINDS {
        let tokenizer = Tokenizer::from_folder(folder(kind)).unwrap();
        let lines = lines(kind);
        assert!(lines.len() > 150, "{kind} has {} lines", lines.len());
        let different = differences(&tokenizer, &lines);
        assert!(different.is_empty(), "{kind}: {}\n{}", different.len(), different[0]);
    }
}

#[test]
fn a_prompt_has_around_it_what_its_class_puts_there() {
    let prompt = |kind: &str, text: &str| {
        let tokenizer = Tokenizer::from_folder(folder(kind)).unwrap();
        let ids = tokenizer.encode(text, EncodeOptions::PROMPT).unwrap();
        let name = |id: &u32| tokenizer.token_text(*id).unwrap();
        (ids.iter().map(name).collect::<Vec<_>>(), ids)
    };
    for (kind, images) in [("filling_first", 20_000), ("filling_later", 0)] {
        let (names, ids) = prompt(kind, "a\n");
        assert_eq!(names[names.len() - 3..], ["\n", "[gMASK]", "<sop>"], "{kind}");
        assert!(ids.iter().all(|id| *id >= images));
        let names = |text| prompt(kind, text).0;
        assert_eq!(names("a[MASK]"), [" a", "[MASK]", "<sop>"]);
        assert_eq!(names("a[sMASK]a"), [" a", "[sMASK]", " a", "</s>", "<sop>"]);
        let tokenizer = Tokenizer::from_folder(folder(kind)).unwrap();
        let ends = ["<eop>", "</s>"].map(|name| tokenizer.special_id(name).unwrap());
        assert_eq!(tokenizer.eos(), ends);
    }
    assert_eq!(prompt("named", "a").0, ["[gMASK]", "sop", " a"]);
    assert_eq!(prompt("named", "soprano sop").0.iter().filter(|name| *name == "sop").count(), 2);
    for kind in ["lines_words", "lines_whole"] {
        assert_eq!(prompt(kind, " \n").0, ["<s>", " ", "\n"]);
    }
}

fn gguf_of_pieces(kind: &str) -> GgufVocabulary {
    let json = json(&folder(kind).join("gguf.json"));
    GgufVocabulary {
        model: json["model"].as_str().unwrap().to_owned(),
        tokens: serde_json::from_value(json["tokens"].clone()).unwrap(),
        scores: serde_json::from_value(json["scores"].clone()).unwrap(),
        token_types: serde_json::from_value(json["token_type"].clone()).unwrap(),
        bos: Some(1),
        eos: Some(2),
        ..GgufVocabulary::default()
    }
}

#[test]
fn an_ending_is_told_and_is_no_part_of_a_prompt() {
    let tokenizer = |add_eos| {
        let gguf = GgufVocabulary { add_eos, ..gguf_of_pieces("sentencepiece_bpe") };
        Tokenizer::from_gguf(&gguf).unwrap()
    };
    let (with, without) = (tokenizer(Some(true)), tokenizer(None));
    assert_eq!((with.ending(), without.ending()), (&[2][..], &[][..]));
    let ids = |tokenizer: &Tokenizer| tokenizer.encode("a b", EncodeOptions::PROMPT).unwrap();
    assert_eq!(ids(&with), ids(&without));
}

fn gguf_of_merges() -> GgufVocabulary {
    let json = json(&folder("byte_level").join("tokenizer.json"));
    let vocab = json["model"]["vocab"].as_object().unwrap();
    let added = json["added_tokens"].as_array().unwrap();
    let mut tokens = vec![String::new(); vocab.len() + added.len()];
    let mut token_types = vec![1; tokens.len()];
    for (token, id) in vocab {
        tokens[id.as_u64().unwrap() as usize] = token.clone();
    }
    for token in added {
        let id = token["id"].as_u64().unwrap() as usize;
        tokens[id] = token["content"].as_str().unwrap().to_owned();
        token_types[id] = if token["special"] == true { 3 } else { 4 };
    }
    let merges = json["model"]["merges"].as_array().unwrap().iter();
    let join =
        |merge: &Value| format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap());
    GgufVocabulary {
        model: "gpt2".to_owned(),
        pre: Some("qwen2".to_owned()),
        tokens,
        token_types: Some(token_types),
        merges: Some(merges.map(join).collect()),
        ..GgufVocabulary::default()
    }
}

#[test]
fn a_vocabulary_in_gguf_gives_the_ids_it_gives_in_its_own_file() {
    let merged = Tokenizer::from_gguf(&gguf_of_merges()).unwrap();
    // GGUF has no place for the strip options that `</think>` has in the JSON file.
    let lines: Vec<_> =
        lines("byte_level").into_iter().filter(|(text, _)| !text.contains("</think>")).collect();
    assert_eq!(differences(&merged, &lines), Vec::<String>::new());
    let pieces = Tokenizer::from_gguf(&gguf_of_pieces("sentencepiece_bpe")).unwrap();
    // In GGUF `<think>` is found before spaces are, so text after it begins with one.
    let lines: Vec<_> = self::lines("sentencepiece_bpe")
        .into_iter()
        .filter(|(text, _)| !text.contains("<think>"))
        .collect();
    assert_eq!(differences(&pieces, &lines), Vec::<String>::new());
}

#[test]
fn special_tokens_are_shown_where_tags_are_made_of_them() {
    let tokenizer = Arc::new(Tokenizer::from_folder(folder("byte_level")).unwrap());
    let text = "<|im_start|>a<|im_end|>";
    let ids = tokenizer.encode(text, EncodeOptions::TEMPLATE).unwrap();
    let shown = |tags: &[&str]| -> String {
        let mut decoder = Decoder::new(tokenizer.clone(), true).showing(tags);
        ids.iter().map(|id| decoder.push(*id).unwrap()).collect()
    };
    assert_eq!(shown(&[]), "a");
    assert_eq!(shown(&["<|im_start|>call name="]), "<|im_start|>a");
    assert_eq!(shown(&["<|im_start|>", "</x><|im_end|>"]), text);
}

#[test]
fn what_stands_around_the_vocabulary_is_read_too() {
    let tokenizer = Tokenizer::from_folder(folder("byte_level")).unwrap();
    let (start, end) = (
        tokenizer.special_id("<|im_start|>").unwrap(),
        tokenizer.special_id("<|im_end|>").unwrap(),
    );
    assert_eq!(tokenizer.eos(), [end, tokenizer.special_id("<|endoftext|>").unwrap()]);
    assert!(tokenizer.is_special(end) && !tokenizer.is_special(0));
    assert!(!tokenizer.is_special(tokenizer.special_id("<think>").unwrap()));
    assert_eq!(tokenizer.token_text(end).as_deref(), Some("<|im_end|>"));
    assert_eq!(tokenizer.token_bytes(tokenizer.vocab_size() as u32), None);
    let prompt = tokenizer.encode("a", EncodeOptions::PROMPT).unwrap();
    assert_eq!((prompt[0], prompt.len()), (start, 2));
    let plain = tokenizer.encode("<|im_end|>", EncodeOptions::default()).unwrap();
    assert!(!plain.contains(&end));
    assert_eq!(tokenizer.decode(&plain, true).unwrap(), "<|im_end|>");
    assert_eq!(tokenizer.decode(&[end, start], true).unwrap(), "");
    let gguf = GgufVocabulary { add_bos: Some(true), ..gguf_of_pieces("sentencepiece_bpe") };
    let prompt = Tokenizer::from_gguf(&gguf).unwrap().encode("", EncodeOptions::PROMPT).unwrap();
    assert_eq!(prompt, [1]);
}

#[test]
fn text_comes_back_from_its_ids() {
    for kind in KINDS.into_iter().filter(|kind| *kind != "unigram_json") {
        let tokenizer = Tokenizer::from_folder(folder(kind)).unwrap();
        // A normalized character does not come back as it was, nor white space that was stripped,
        // nor what is unknown.
        let lossy = ["sentencepiece_unigram", "named", "lines_words", "lines_whole"];
        let lossless = ["Hello, 世界! 👋", " two  spaces\n\n", "fn main() {\n\treturn 1;\n}", ""];
        let stripped = |text: &str| kind.starts_with("filling") && text.starts_with(' ');
        for text in lossless.iter().filter(|t| !lossy.contains(&kind) && !stripped(t)) {
            let ids = tokenizer.encode(text, EncodeOptions::TEMPLATE).unwrap();
            assert_eq!(tokenizer.decode(&ids, false).unwrap(), *text, "{kind}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_is_the_whole_decode_in_portions(
        seeds in prop::collection::vec(any::<u32>(), 0..60),
        skip_special in any::<bool>(),
    ) {
        for kind in KINDS {
            let tokenizer = Arc::new(Tokenizer::from_folder(folder(kind)).unwrap());
            let known = |id: &u32| tokenizer.token_bytes(*id).is_some();
            let size = tokenizer.vocab_size() as u32;
            let ids: Vec<u32> = seeds.iter().map(|seed| seed % size).filter(known).collect();
            let mut decoder = Decoder::new(tokenizer.clone(), skip_special);
            let mut streamed = String::new();
            for id in &ids {
                streamed += &decoder.push(*id).unwrap();
            }
            streamed += &decoder.finish();
            prop_assert_eq!(&streamed, &tokenizer.decode(&ids, skip_special).unwrap());
            // The definition: all bytes at once.
            let shown = ids.iter().filter(|id| !(skip_special && tokenizer.is_special(**id)));
            let bytes: Vec<u8> =
                shown.flat_map(|id| tokenizer.token_bytes(*id).unwrap()).copied().collect();
            let whole = String::from_utf8_lossy(&bytes);
            let sentencepiece = ["sentencepiece", "unigram_json", "filling", "named"]
                .iter()
                .any(|start| kind.starts_with(start));
            let wanted = whole.strip_prefix(' ').filter(|_| sentencepiece).unwrap_or(&whole);
            prop_assert_eq!(streamed, wanted);
        }
    }

    #[test]
    fn no_text_and_no_id_can_panic(text in any::<String>(), id in any::<u32>()) {
        for kind in ["byte_level", "sentencepiece_unigram", "unigram_json"] {
            let tokenizer = Tokenizer::from_folder(folder(kind)).unwrap();
            for options in [EncodeOptions::PROMPT, EncodeOptions::default()] {
                let ids = tokenizer.encode(&text, options).unwrap();
                tokenizer.decode(&ids, true).unwrap();
            }
            let decoded = tokenizer.decode(&[id], false);
            prop_assert_eq!(decoded.is_ok(), tokenizer.token_bytes(id).is_some());
        }
    }
}

/// Copies a fixture, changes one file, and gives the error that reading it is.
fn error_of(kind: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Error {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder(kind)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = copy.path().join(file);
    std::fs::write(&path, change(std::fs::read(&path).unwrap())).unwrap();
    Tokenizer::from_folder(copy.path()).unwrap_err()
}

fn replaced(from: &str, to: &str) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from));
        text.replacen(from, to, 1).into_bytes()
    }
}

#[test]
fn a_damaged_file_is_an_error_that_names_it() {
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() * 2 / 3].to_vec();
    let files = [
        ("byte_level", "tokenizer.json"),
        ("ranks_nfc", "tiny.tiktoken"),
        ("sentencepiece_bpe", "tokenizer.model"),
        ("unigram_json", "tokenizer.json"),
        ("filling_first", "ice_text.model"),
        ("byte_level", "tokenizer_config.json"),
    ];
    for (kind, file) in files {
        let message = error_of(kind, file, cut).to_string();
        assert!(message.contains(file) && message.contains("hint"), "{message}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Tokenizer::from_folder(&empty), Err(Error::NoTokenizer { .. })));
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let class = replaced("QWenTokenizer", "OtherTokenizer");
    let message = error_of("ranks_nfc", "tokenizer_config.json", class).to_string();
    assert!(message.contains("OtherTokenizer") && message.contains("tokenizer_class"), "{message}");
    let images = replaced("\"num_image_tokens\": 0", "\"num_image_tokens\": 4000000000");
    let message = error_of("filling_later", "tokenizer_config.json", images).to_string();
    assert!(message.contains("num_image_tokens is 4000000000"), "{message}");
    let lower = replaced("\"do_lower_case\": false", "\"do_lower_case\": true");
    let message = error_of("filling_later", "tokenizer_config.json", lower).to_string();
    assert!(message.contains("do_lower_case"), "{message}");
    for (from, to, named) in [("</n>", "</m>", "</n>"), ("</s>", "<s>", "token 6 and token 7")] {
        let message = error_of("lines_words", "vocab.txt", replaced(from, to)).to_string();
        assert!(message.contains(named) && message.contains("vocab.txt"), "{message}");
    }
    let merge = |bytes: Vec<u8>| {
        let mut json: Value = serde_json::from_slice(&bytes).unwrap();
        json["model"]["merges"][3] = serde_json::json!(["a", "no such token"]);
        json.to_string().into_bytes()
    };
    let message = error_of("byte_level", "tokenizer.json", merge).to_string();
    assert!(message.contains("merges[3]") && message.contains("no such token"), "{message}");
    let id = replaced("\"!\":", "\"!\":4000000000,\"unused\":");
    let message = error_of("byte_level", "tokenizer.json", id).to_string();
    assert!(message.contains("4000000000"), "{message}");
    let pre = GgufVocabulary { pre: Some("unheard-of".to_owned()), ..gguf_of_merges() };
    let message = Tokenizer::from_gguf(&pre).unwrap_err().to_string();
    assert!(message.contains("unheard-of") && message.contains("qwen2"), "{message}");
    let model = GgufVocabulary { model: "bert".to_owned(), ..gguf_of_merges() };
    assert!(Tokenizer::from_gguf(&model).unwrap_err().to_string().contains("bert"));
    let short = GgufVocabulary { token_types: Some(vec![1]), ..gguf_of_merges() };
    assert!(Tokenizer::from_gguf(&short).unwrap_err().to_string().contains("token_type"));
}
