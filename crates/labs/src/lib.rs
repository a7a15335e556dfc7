//! One page per lab: `config.json` to [`Blueprint`]. Lab names and architecture strings live here
//! and nowhere else.
//!
//! A page holds the table at its top, its families, how config keys become block sizes, and which
//! tensor is which. It never holds arithmetic, hardware or file formats.

mod attention;
mod common;
mod composite;
mod config;
mod error;
mod experts;
mod facts;
mod fused;
mod gguf;
mod json;
mod latent;
mod quantization;
mod recurrent;
mod rotation;
pub mod voices;

mod aquila;
mod baichuan;
mod baichuan_m1;
mod cpm;
mod deepseek;
mod dots;
mod dots_note;
mod ernie;
mod glm;
mod hunyuan;
mod hunyuan_large;
mod internlm;
mod internvl;
mod iquest;
mod kimi;
mod ling;
mod ling_linear;
mod llama;
mod longcat;
mod mamba;
mod mimo;
mod minicpm;
mod minimax;
mod orion;
mod pangu;
mod qwen;
mod seed;
mod skywork;
mod step;
mod telechat;
mod xverse;
mod yi;
mod youtu;

pub use config::Config;
pub use error::{Error, Result};
pub use facts::FACTS;
pub use gguf::{Gguf, GgufHeader, GgufOutline, GgufTensors, GgufValue};
pub use json::parse;

pub use baimo_blueprint::{Blueprint, Voice};

use serde_json::Value;

/// A lab and the families on its page.
#[derive(Debug)]
pub struct Lab {
    /// The name people call its models by.
    pub name: &'static str,
    /// The same in Chinese, where it has one.
    pub hanzi: &'static str,
    /// Who stands behind it.
    pub house: &'static str,
    /// First to last in time.
    pub families: &'static [Family],
}

impl Lab {
    /// Its name in both scripts.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.hanzi).trim_end().to_owned()
    }
}

/// Models that share an architecture.
#[derive(Debug)]
pub struct Family {
    /// The architecture string in `config.json`.
    pub architecture: &'static str,
    /// The released models it stands for, for people.
    pub models: &'static str,
    /// From the configuration to the Blueprint; `None` where another page's family of the same
    /// architecture does it.
    pub blueprint: Option<fn(&Config) -> Result<Blueprint>>,
    /// How GGUF files of the family are read, where such files exist.
    pub gguf: Option<Gguf>,
    /// How its models speak: several where releases of one architecture differ, told apart by
    /// their chat templates.
    pub voices: &'static [&'static Voice],
}

/// Every lab, in the order of their pages.
pub const LABS: &[Lab] = &[
    qwen::QWEN,
    deepseek::DEEPSEEK,
    kimi::KIMI,
    glm::GLM,
    yi::YI,
    internlm::INTERNLM,
    internvl::INTERNVL,
    iquest::IQUEST,
    cpm::CPM,
    minicpm::MINICPM,
    longcat::LONGCAT,
    youtu::YOUTU,
    pangu::PANGU,
    ernie::ERNIE,
    hunyuan::HUNYUAN,
    step::STEP,
    minimax::MINIMAX,
    seed::SEED,
    mimo::MIMO,
    dots::DOTS,
    baichuan::BAICHUAN,
    baichuan_m1::BAICHUAN_M1,
    ling::LING,
    ling_linear::LING_LINEAR,
    orion::ORION,
    skywork::SKYWORK,
    telechat::TELECHAT,
    xverse::XVERSE,
    aquila::AQUILA,
    mamba::MAMBA,
    llama::LLAMA,
];

/// The Blueprint of a `config.json`.
///
/// # Errors
/// Names the key that is missing, of the wrong type, not supported or not read, or the
/// architecture that has no page.
pub fn blueprint(config: &Value) -> Result<Blueprint> {
    let config = Config::new(config)?;
    let architecture = architecture(&config)?;
    let family = family(&architecture).ok_or_else(|| unknown(&architecture))?;
    let blueprint = of_this_world(family(&config)?)?;
    config.finish(&architecture)?;
    Ok(blueprint)
}

/// Parameters beyond this are a mistake, and so few that counting their bytes never overflows.
const PARAMETERS_MAX: usize = 1 << 53;

/// Refuses a Blueprint whose tensors together are absurdly large.
fn of_this_world(blueprint: Blueprint) -> Result<Blueprint> {
    let mut parameters: usize = 0;
    for tensor in blueprint.tensors() {
        let shape = tensor.stored_shape();
        let elements = shape.iter().try_fold(1, |product: usize, size| product.checked_mul(*size));
        match elements.and_then(|elements| parameters.checked_add(elements)) {
            Some(sum) if sum <= PARAMETERS_MAX => parameters = sum,
            _ => return Err(Error::TooLarge { tensor: tensor.name.clone(), shape }),
        }
    }
    Ok(blueprint)
}

fn architecture(config: &Config) -> Result<String> {
    let missing = Error::Missing { key: "architectures".into(), wanted: "a list with one name" };
    config.first_text("architectures").ok_or(missing)
}

fn family(architecture: &str) -> Option<fn(&Config) -> Result<Blueprint>> {
    LABS.iter()
        .flat_map(|lab| lab.families)
        .filter(|family| family.architecture == architecture)
        .find_map(|family| family.blueprint)
}

/// Whether a page reads the architecture of this name.
pub fn reads(architecture: &str) -> bool {
    family(architecture).is_some()
}

fn unknown(architecture: &str) -> Error {
    let names = LABS.iter().flat_map(|lab| lab.families).map(|family| family.architecture);
    let shared = |name: &str| {
        name.bytes()
            .zip(architecture.bytes())
            .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
            .count()
    };
    let nearest = match names.max_by_key(|name| shared(name)) {
        Some(name) if shared(name) >= 3 => format!("the nearest is `{name}`"),
        _ => "none is near".to_owned(),
    };
    Error::UnknownArchitecture { found: architecture.to_owned(), nearest }
}

/// The table of everything that runs, in Markdown: the README's.
pub fn markdown_table() -> String {
    let columns =
        ["lab", "models", "architecture", "GGUF", "quantized", "voice", "checked against"];
    let mut table = row(&columns) + &row(&columns.map(|_| "---"));
    for lab in LABS {
        let title = lab.title();
        for family in lab.families {
            let (against, quantized) = checked(family.architecture).unwrap_or_default();
            table += &row(&[
                &title,
                family.models,
                &format!("`{}`", family.architecture),
                gguf_of(family.architecture),
                quantized,
                spoken(family.voices),
                against,
            ]);
        }
    }
    table
}

fn row(cells: &[&str]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// What is understood of the words of a family's models.
fn spoken(voices: &[&Voice]) -> &'static str {
    let thinks = voices.iter().any(|voice| voice.thinking.is_some());
    match (thinks, voices.iter().any(|voice| voice.calls.is_some())) {
        (true, true) => "thoughts, calls",
        (true, false) => "thoughts",
        (false, true) => "calls",
        (false, false) => "",
    }
}

/// What GGUF files of an architecture call it; empty where they are not read.
fn gguf_of(architecture: &str) -> &'static str {
    let families = LABS.iter().flat_map(|lab| lab.families);
    let mut same = families.filter(|family| family.architecture == architecture);
    same.find_map(|family| family.gguf).map_or("", |gguf| gguf.architecture)
}

/// What the tests have shown of each architecture. One of them writes this file from the golden
/// cases, so that the table claims nothing else.
const CHECKED: &str = include_str!("../checked.txt");

/// What an architecture was checked against, and which of its labs' quantizations were run.
pub fn checked(architecture: &str) -> Option<(&'static str, &'static str)> {
    let mut lines = CHECKED.lines().filter_map(|line| line.split_once(": "));
    let (_, rest) = lines.find(|(name, _)| *name == architecture)?;
    Some(rest.split_once("; ").unwrap_or((rest, "")))
}
