//! Models in and out, and what is counted of them.

use crate::client::question;
use crate::server::{SHARED, Server};
use baimo_server::Config;

const CHAT: &str = "/v1/chat/completions";

fn status(server: &Server, name: &str) -> String {
    let list = server.get("/v1/models").json();
    let found = list["data"].as_array().expect("a list").iter().find(|model| model["id"] == name);
    found.expect("the model")["status"]["value"].as_str().expect("a word").to_owned()
}

#[test]
fn models_are_loaded_and_unloaded_over_the_api() {
    let server = Server::start(Config::default());
    assert_eq!(
        (status(&server, "poet"), status(&server, "other")),
        ("loaded".into(), "unloaded".into())
    );
    assert_eq!(server.post("/models/load", r#"{"model":"other"}"#).status, 200);
    assert_eq!(server.post("/v1/models/poet/unload", "").status, 200);
    assert_eq!(
        (status(&server, "poet"), status(&server, "other")),
        ("unloaded".into(), "loaded".into())
    );
    // Who asks loads it again.
    assert_eq!(server.post(CHAT, &question(1, r#","model":"poet""#)).status, 200);
    assert_eq!(status(&server, "poet"), "loaded");
    for (path, body) in [
        ("/models/load", r#"{"model":"none"}"#),
        ("/v1/models/none/unload", ""),
        ("/v1/models/poet/polish", ""),
        ("/v1/models/poet", ""),
    ] {
        assert_eq!(server.post(path, body).status, 404, "{path}");
    }
    for body in ["", r#"{"name":"poet"}"#, r#"{"model":7}"#] {
        assert_eq!(server.post("/models/unload", body).status, 400, "{body}");
    }
}

#[test]
fn a_model_nobody_uses_is_unloaded() {
    let server = Server::start(Config { idle_unload_seconds: 1, ..Config::default() });
    while status(&server, "poet") == "loaded" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    server.serves();
}

#[test]
fn a_model_stays_as_long_as_a_client_of_ollama_says() {
    let server = Server::start(Config::default());
    let body = r#"{"model":"poet","messages":[],"keep_alive":"20ms","stream":false}"#;
    assert_eq!(server.post("/api/chat", body).status, 200);
    while status(&server, "poet") == "loaded" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    server.serves();
}

#[test]
fn metrics_are_what_prometheus_reads() {
    SHARED.serves();
    let reply = SHARED.get("/metrics");
    assert!(reply.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let series = prometheus(&reply.body);
    for name in [
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total",
        "vllm:request_success_total",
        "vllm:time_to_first_token_seconds_count",
        "vllm:e2e_request_latency_seconds_bucket",
    ] {
        assert!(series.iter().any(|(found, _)| found == name), "{name}");
    }
    let count = |name: &str| series.iter().filter(|(found, _)| found == name).map(|(_, n)| n).sum();
    let tokens: f64 = count("vllm:generation_tokens_total");
    assert!(tokens >= 3.0, "{tokens}");
}

/// The samples of a text in Prometheus' format, of which every rule is checked that its own tool
/// checks: names, labels, values, one TYPE before the samples of a family, families in one piece,
/// no sample twice, buckets that rise to the count.
fn prometheus(text: &str) -> Vec<(String, f64)> {
    let (mut samples, mut seen, mut families) = (Vec::new(), Vec::new(), Vec::<String>::new());
    let mut kind = String::new();
    let sound = |name: &str| {
        let mut letters = name.chars();
        let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
        letters.next().is_some_and(letter) && letters.all(|c| letter(c) || c.is_ascii_digit())
    };
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, found) = rest.split_once(' ').expect("a name and a type");
            assert!(sound(name) && ["gauge", "counter", "histogram"].contains(&found), "{line}");
            assert!(!families.iter().any(|family| family == name), "{name} comes in two pieces");
            families.push(name.to_owned());
            kind = found.to_owned();
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (labelled, value) = line.rsplit_once(' ').expect("a sample and its value");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("a number: {line}"));
        let (name, labels) = labelled.split_once('{').expect("labels");
        let labels = labels.strip_suffix('}').expect("their end");
        for label in labels.split(',') {
            let (label, text) = label.split_once('=').expect("a label");
            assert!(sound(label) && text.starts_with('"') && text.ends_with('"'), "{line}");
        }
        let family = families.last().expect("a TYPE comes first");
        let parts = ["_bucket", "_sum", "_count"];
        let of_family = match kind.as_str() {
            "histogram" => parts.iter().any(|part| name == format!("{family}{part}")),
            _ => name == family,
        };
        assert!(sound(name) && of_family, "{line} below {family}");
        assert!(kind != "counter" || (name.ends_with("_total") && value >= 0.0), "{line}");
        assert!(!seen.contains(&labelled), "{labelled} comes twice");
        seen.push(labelled);
        samples.push((name.to_owned(), value));
    }
    rising(&samples);
    samples
}

fn rising(samples: &[(String, f64)]) {
    let mut before = 0.0;
    for (name, value) in samples {
        match name {
            name if name.ends_with("_bucket") => {
                assert!(*value >= before, "{name} falls");
                before = *value;
            }
            name if name.ends_with("_count") => {
                assert_eq!(*value, before, "{name} is the last bucket");
                before = 0.0;
            }
            _ => {}
        }
    }
}
