//! `baimo.toml`: what `baimo serve` is told beside its flags, which win.

use crate::args::{self, Serve};
use anyhow::{Context, Result, bail};
use baimo_engine::KvElement;
use baimo_server::Config;
use baimo_server::config::{Tls, printed};
use baimo_server::keys::Key;
use baimo_weights::Target;
use serde::{Deserialize, Deserializer, de};
use std::fmt::Write;
use std::path::PathBuf;

/// The file's name, where it is looked for without being named.
const NAME: &str = "baimo.toml";

/// All that there is to set up.
#[derive(Debug)]
pub struct Settings {
    /// The server.
    pub server: Config,
    /// The models and how they are loaded: flags, and the file's word where there is none.
    pub serve: Serve,
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    models: Vec<String>,
    server: Config,
    model: Model,
}

/// How models are loaded, as flags of the same names say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Model {
    context: Option<usize>,
    cache_tokens: Option<usize>,
    #[serde(deserialize_with = "bytes")]
    prefix_disk: Option<usize>,
    chat_template: Option<PathBuf>,
    #[serde(deserialize_with = "kv")]
    kv: Option<KvElement>,
    #[serde(deserialize_with = "weights")]
    weights: Option<Target>,
    threads: Option<u16>,
    #[serde(deserialize_with = "bytes")]
    memory: Option<usize>,
    no_cache: bool,
    #[serde(deserialize_with = "bytes")]
    cache_limit: Option<usize>,
}

impl Settings {
    /// What the flags say, then the file.
    ///
    /// # Errors
    /// Names the file, and the line and key at fault.
    pub fn new(flags: &Serve) -> Result<Settings> {
        let file = match flags.config.clone().or_else(found) {
            Some(path) => read(&path).with_context(|| path.display().to_string())?,
            None => File::default(),
        };
        let filter = std::env::var("RUST_LOG").ok();
        let key = std::env::var("BAIMO_API_KEY").ok();
        Settings::over(flags, file, filter, key)
    }

    fn over(
        flags: &Serve,
        file: File,
        filter: Option<String>,
        key: Option<String>,
    ) -> Result<Settings> {
        let File { models, mut server, model } = file;
        server.host = flags.host.unwrap_or(server.host);
        server.port = flags.port.unwrap_or(server.port);
        server.sequences = flags.sequences.unwrap_or(server.sequences);
        server.waiting = flags.waiting.unwrap_or(server.waiting);
        server.log_format = flags.log.unwrap_or(server.log_format);
        server.log_filter = filter.filter(|filter| !filter.is_empty()).unwrap_or(server.log_filter);
        if let (Some(certificate), Some(key)) = (&flags.tls_certificate, &flags.tls_key) {
            server.tls = Some(Tls { certificate: certificate.clone(), key: key.clone() });
        }
        let named = flags.api_key.iter().enumerate();
        let named = named.map(|(index, key)| (format!("command line {}", index + 1), key));
        let environment = key.as_ref().map(|key| ("BAIMO_API_KEY".to_owned(), key));
        for (name, key) in named.chain(environment) {
            if key.trim().is_empty() {
                bail!("{name}: an empty key would let anybody in");
            }
            server.keys.push(Key::new(&name, key.trim()));
        }
        server.check()?;
        let mut serve = flags.clone();
        if serve.models.is_empty() {
            serve.models = models;
        }
        model.under(&mut serve);
        Ok(Settings { server, serve })
    }

    /// A file that says the same, with the hashes of keys in place of keys.
    pub fn printed(&self) -> String {
        let Serve { models, context, cache_tokens, prefix_disk, .. } = &self.serve;
        let Serve { chat_template, kv, loading, .. } = &self.serve;
        let text = |text: String| toml::Value::String(text).to_string();
        let models = models.iter().map(|model| text(model.clone())).collect::<Vec<_>>();
        let mut out = format!("models = [{}]\n\n", models.join(", "));
        out.push_str(&printed(&self.server));
        out.push_str("\n[model]\n");
        let kv = kv.map(KvElement::name);
        let lines = [
            ("context", context.map(|n| n.to_string()), "positions of a conversation"),
            ("cache_tokens", cache_tokens.map(|n| n.to_string()), "positions that all share"),
            (
                "prefix_disk",
                prefix_disk.map(|bytes| text(bytes.to_string())),
                "of disk, for what was computed of prompts: \"20G\"",
            ),
            (
                "chat_template",
                chat_template.as_ref().map(|path| text(path.display().to_string())),
                "a file, in Jinja, in place of the model's own",
            ),
            ("kv", kv.map(|kv| text(kv.to_owned())), "numbers of the cache: f16, f32 or q8"),
            (
                "weights",
                loading.weights.map(|target| text(target.name().to_owned())),
                "what weights become while loading: native, q8_0, q4_k, ...",
            ),
            ("threads", loading.threads.map(|n| n.to_string()), "one for each processor"),
            (
                "memory",
                loading.memory.map(|bytes| text(bytes.to_string())),
                "for weights and caches: \"8G\", \"500M\"",
            ),
            ("no_cache", Some(loading.no_cache.to_string()), "packs weights anew at each start"),
            (
                "cache_limit",
                loading.cache_limit.map(|bytes| text(bytes.to_string())),
                "of disk, for the packed weights of all models: \"64G\"",
            ),
        ];
        for (name, value, meaning) in lines {
            let line = match value {
                Some(value) => format!("{name} = {value}"),
                None => format!("# {name} ="),
            };
            let _ = writeln!(out, "{line:<40}# {meaning}");
        }
        out
    }
}

impl Model {
    /// Fills in what the flags do not say.
    fn under(self, serve: &mut Serve) {
        serve.context = serve.context.or(self.context);
        serve.cache_tokens = serve.cache_tokens.or(self.cache_tokens);
        serve.prefix_disk = serve.prefix_disk.or(self.prefix_disk);
        serve.chat_template = serve.chat_template.take().or(self.chat_template);
        serve.kv = serve.kv.or(self.kv);
        serve.loading.weights = serve.loading.weights.or(self.weights);
        serve.loading.threads = serve.loading.threads.or(self.threads);
        serve.loading.memory = serve.loading.memory.or(self.memory);
        serve.loading.no_cache |= self.no_cache;
        serve.loading.cache_limit = serve.loading.cache_limit.or(self.cache_limit);
    }
}

/// The file that is read without being named: here, else in the user's configuration folder.
fn found() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let user = folder("XDG_CONFIG_HOME")
        .or_else(|| folder("APPDATA"))
        .or_else(|| folder("HOME").map(|home| home.join(".config")));
    let user = user.map(|user| user.join("baimo").join(NAME));
    [Some(PathBuf::from(NAME)), user].into_iter().flatten().find(|path| path.is_file())
}

fn read(path: &PathBuf) -> Result<File> {
    let text = std::fs::read_to_string(path)?;
    Ok(toml::from_str(&text)?)
}

fn kv<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<KvElement>, D::Error> {
    parsed(deserializer, args::parse_kv)
}

fn weights<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Target>, D::Error> {
    parsed(deserializer, args::parse_target)
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    parsed(deserializer, args::parse_bytes)
}

/// What a flag of the same name would take.
fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    parse(&String::deserialize(deserializer)?).map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command};
    use baimo_server::keys::KeyHash;
    use clap::Parser;

    fn settings(flags: &[&str], file: &str) -> Result<Settings> {
        let line = ["baimo", "serve"].iter().chain(flags);
        let Command::Serve(serve) = Arguments::try_parse_from(line)?.command else {
            panic!("`serve` is said");
        };
        Settings::over(&serve, toml::from_str(file)?, None, None)
    }

    const FILE: &str = "
        models = [\"a\", \"b\"]
        [server]
        port = 9000
        waiting = 3
        [[server.keys]]
        name = \"alice\"
        hash = \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"
        requests_per_minute = 60
        [model]
        kv = \"f32\"
        memory = \"2G\"
    ";

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let settings = settings(&["c", "--port", "1"], FILE).expect("settings");
        let Settings { server, serve } = settings;
        assert_eq!((server.port, server.waiting, server.sequences), (1, 3, 16));
        assert_eq!(server.keys[0].requests_per_minute, 60);
        assert_eq!(serve.models, ["c"]);
        assert_eq!(serve.kv, Some(KvElement::F32));
        assert_eq!(serve.loading.memory, Some(2 << 30));
    }

    #[test]
    fn what_is_printed_says_the_same_again() {
        for flags in [&["--api-key", "secret", "--context", "99"][..], &[]] {
            let first = settings(flags, FILE).expect("settings").printed();
            assert!(!first.contains("secret"));
            assert_eq!(settings(&[], &first).expect("settings").printed(), first);
        }
    }

    #[test]
    fn the_example_is_one() {
        let example = include_str!("../../../examples/baimo.toml");
        let Settings { server, serve } = settings(&[], example).expect("settings");
        let hashes: Vec<_> = server.keys.iter().map(|key| key.hash).collect();
        assert_eq!(hashes, ["swordfish", "open sesame"].map(KeyHash::of));
        assert_eq!((serve.models.len(), serve.context), (1, Some(16384)));
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let faults = [
            ("[server]\nprot = 1", "line 2", "`prot`"),
            ("[server]\n\nport = 70000", "line 3", "port"),
            ("[[server.keys]]\nname = \"a\"\nhash = \"secret\"", "line 3", "--hash-key"),
            ("[model]\nkv = \"f8\"", "line 2", "f16, f32 or q8"),
            ("[server]\nreasoning_field = \"x\"", "line 2", "reasoning_content"),
        ];
        for (file, line, word) in faults {
            let error = settings(&[], file).expect_err(file).to_string();
            assert!(error.contains(line) && error.contains(word), "{file}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_had_together_is_refused() {
        for file in ["[server]\nconnections = 0", "[server]\nbody_bytes_together = 5"] {
            assert!(settings(&[], file).is_err(), "{file}");
        }
        let twice = "[[server.keys]]\nname = \"a\"\nhash = \"0000000000000000000000000000000000\
            000000000000000000000000000000\"\n";
        assert!(settings(&[], twice).is_ok());
        assert!(settings(&[], &format!("{twice}{twice}")).is_err());
        assert!(settings(&["--api-key", " "], "").is_err());
    }
}
