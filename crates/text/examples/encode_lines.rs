//! Encodes JSON strings, one a line, from standard input; prints the ids of each as a JSON list.
//!
//! `encode_lines TOKENIZER ids` reads special tokens, `plain` reads them as text, `round` decodes
//! what it encoded and prints that instead, `time` prints the milliseconds for the first line.
//! TOKENIZER is a folder, or a JSON file with the `tokenizer.ggml.*` values of a GGUF file.
//! `tests/oracle/compare.py` holds the output against the Python libraries.

use baimo_text::{EncodeOptions, GgufVocabulary, Tokenizer};
use serde_json::Value;
use std::error::Error;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("encode_lines TOKENIZER ids|plain|round|time")?;
    let mode = arguments.next().unwrap_or_else(|| "ids".to_owned());
    let tokenizer = load(Path::new(&path))?;
    let options = EncodeOptions { specials: mode != "plain", bos: false };
    for line in std::io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let start = Instant::now();
        let ids = tokenizer.encode(&text, options)?;
        match mode.as_str() {
            "round" => println!("{}", serde_json::to_string(&tokenizer.decode(&ids, false)?)?),
            "time" => println!("{}", start.elapsed().as_secs_f64() * 1e3),
            _ => println!("{}", serde_json::to_string(&ids)?),
        }
    }
    Ok(())
}

fn load(path: &Path) -> Result<Tokenizer, Box<dyn Error>> {
    if path.is_dir() {
        return Ok(Tokenizer::from_folder(path)?);
    }
    let json: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    let texts = |key: &str| -> Option<Vec<String>> {
        json[key].as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let scores = json["scores"].as_array();
    let types = json["token_type"].as_array();
    Ok(Tokenizer::from_gguf(&GgufVocabulary {
        model: text("model").unwrap_or_default(),
        pre: text("pre"),
        tokens: texts("tokens").unwrap_or_default(),
        scores: scores
            .map(|list| list.iter().filter_map(Value::as_f64).map(|s| s as f32).collect()),
        token_types: types
            .map(|list| list.iter().filter_map(Value::as_i64).map(|t| t as i32).collect()),
        merges: texts("merges"),
        add_bos: json["add_bos_token"].as_bool(),
        add_space_prefix: json["add_space_prefix"].as_bool(),
        ..GgufVocabulary::default()
    })?)
}
