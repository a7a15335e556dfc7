//! A hub with one model of noise, for programs of others: prints its endpoint, and then, for each
//! line that it reads, how many bytes of files it has sent, until there is no line.

use baimo_tests_hub::{Hub, noise};
use std::io::BufRead;

fn main() {
    let hub = Hub::start();
    let repo = "owner/model-1.5";
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    hub.put(repo, "config.json", "{\"architectures\":[]}");
    hub.put(repo, "sub/README.md", "words");
    let map = format!("{{\"a\":\"{}\",\"b\":\"{}\"}}", shards[0], shards[1]);
    hub.put(repo, "model.safetensors.index.json", format!("{{\"weight_map\":{map}}}"));
    for (shard, seed) in shards.into_iter().zip(1..) {
        hub.put(repo, shard, noise(40 << 20, seed));
    }
    println!("{}", hub.endpoint());
    for _line in std::io::stdin().lock().lines() {
        println!("{}", hub.sent());
    }
}
