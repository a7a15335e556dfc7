//! Folders whose index and shards do not belong together.

use std::path::Path;

use baimo_weights::Checkpoint;
use tempfile::TempDir;

use crate::refuses;
use crate::safetensors::file;

const INDEX: &str = "model.safetensors.index.json";

fn shard(name: &str) -> Vec<u8> {
    let entry = r#"{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#;
    file(&format!(r#"{{"{name}":{entry}}}"#), 4)
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// A folder of two shards with tensors `a` and `b`, and that index.
fn refuses_index(case: &str, index: &str, file: &str, says: &[&str]) {
    let (a, b) = (shard("a"), shard("b"));
    let folder = folder(&[
        ("1.safetensors", &a),
        ("2.safetensors", &b),
        (INDEX, index.as_bytes()),
        ("config.json", b"{}"),
    ]);
    refuses(case, folder.path(), file, says);
}

fn map(pairs: &str) -> String {
    format!(r#"{{"metadata":{{"total_size":8}},"weight_map":{{{pairs}}}}}"#)
}

#[test]
fn a_good_index_a_lone_file_and_a_numbered_set_are_accepted() {
    let (a, b) = (shard("a"), shard("b"));
    let index = map(r#""a":"1.safetensors","b":"2.safetensors""#);
    let indexed =
        folder(&[("1.safetensors", &a), ("2.safetensors", &b), (INDEX, index.as_bytes())]);
    let numbered =
        folder(&[("m-00001-of-00002.safetensors", &a), ("m-00002-of-00002.safetensors", &b)]);
    for folder in [&indexed, &numbered] {
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b"]);
    }
    for name in ["model.safetensors", "other.safetensors"] {
        let lone = folder(&[(name, &a)]);
        assert!(Checkpoint::open(lone.path()).unwrap().contains("a"));
        assert!(Checkpoint::open(&lone.path().join(name)).unwrap().contains("a"));
    }
    let part = numbered.path().join("m-00002-of-00002.safetensors");
    assert!(Checkpoint::open(&part).unwrap().contains("a"));
}

#[test]
fn a_path_without_weights_is_refused() {
    let empty = folder(&[("config.json", b"{}")]);
    refuses("no weights", empty.path(), "", &["no safetensors file"]);
    refuses("nothing there", &empty.path().join("nothing"), "nothing", &["found nothing"]);
    refuses("no model", &empty.path().join("config.json"), "config.json", &["another kind"]);
    refuses("no file", &empty.path().join("a.gguf"), "a.gguf", &["cannot open"]);
    std::fs::create_dir(empty.path().join("b.gguf")).unwrap();
    refuses("a folder", &empty.path().join("b.gguf"), "b.gguf", &["no safetensors file"]);
}

#[test]
fn several_files_without_an_index_are_refused() {
    let (a, b) = (shard("a"), shard("b"));
    let several = folder(&[("x.safetensors", &a), ("y.safetensors", &b)]);
    refuses("which one", several.path(), "x.safetensors", &["2 files"]);
    let missing =
        folder(&[("m-00001-of-00003.safetensors", &a), ("m-00003-of-00003.safetensors", &b)]);
    let says = ["part 2 of 3", "no such file"];
    refuses("missing", missing.path(), "m-00002-of-00003.safetensors", &says);
    let twice =
        folder(&[("m-00001-of-00002.safetensors", &a), ("m-00002-of-00002.safetensors", &a)]);
    refuses("twice", twice.path(), "m-00002-of-00002.safetensors", &["tensor `a`"]);
}

#[test]
fn an_index_that_is_no_index_is_refused() {
    for (case, index) in [
        ("empty", ""),
        ("html", "<html>"),
        ("an array", "[]"),
        ("no map", "{}"),
        ("map of numbers", r#"{"weight_map":{"a":1}}"#),
        ("map in a map", r#"{"weight_map":{"a":{"b":"c"}}}"#),
        ("a map of nothing", r#"{"weight_map":{}}"#),
        ("cut", r#"{"weight_map":{"a":"1.safe"#),
        ("the map twice", r#"{"weight_map":{"a":"x"},"weight_map":{"a":"x"}}"#),
        ("a tensor twice", r#"{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}"#),
        ("bad escape", r#"{"weight_map":{"\ud800":"1.safetensors"}}"#),
    ] {
        refuses_index(case, index, INDEX, &[]);
    }
    let deep = format!(r#"{{"metadata":{}"#, "[".repeat(100_000));
    refuses_index("deep", &deep, INDEX, &["EOF"]);
}

#[test]
fn a_shard_outside_the_folder_is_refused() {
    for shard in [
        "../1.safetensors",
        "a/1.safetensors",
        "./../1.safetensors",
        "/etc/1.safetensors",
        "..\\1.safetensors",
        "..",
        ".",
        "",
        "/",
        INDEX,
        "config.json",
    ] {
        let index = map(&format!(r#""a":{}"#, serde_json::to_string(shard).unwrap()));
        refuses_index(shard, &index, INDEX, &["tensor `a`", "beside the index"]);
    }
}

#[test]
fn an_index_and_shards_of_different_models_are_refused() {
    let says = ["shard of `c`", "no such file"];
    let missing = map(r#""a":"1.safetensors","c":"3.safetensors""#);
    refuses_index("missing shard", &missing, "3.safetensors", &says);
    let absent = map(r#""a":"1.safetensors","c":"1.safetensors","b":"2.safetensors""#);
    refuses_index("absent tensor", &absent, "1.safetensors", &["tensor `c`", "no such tensor"]);
    let moved = map(r#""a":"2.safetensors","b":"1.safetensors""#);
    refuses_index("in the other shard", &moved, "1.safetensors", &["tensor `b`"]);
    let (a, b) = (shard("a"), shard("b"));
    let index = map(r#""a":"1.safetensors""#);
    let two = file(
        concat!(
            r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"#,
            r#""z":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#,
        ),
        8,
    );
    let extra =
        folder(&[("1.safetensors", &two), ("2.safetensors", &b), (INDEX, index.as_bytes())]);
    refuses("not listed", extra.path(), "1.safetensors", &["tensor `z`", INDEX]);
    let broken = folder(&[("1.safetensors", &a[..9]), (INDEX, index.as_bytes())]);
    refuses("broken shard", broken.path(), "1.safetensors", &["header length"]);
}

#[cfg(unix)]
#[test]
fn a_shard_that_is_no_regular_file_is_refused_and_not_waited_for() {
    let folder = folder(&[]);
    let socket = folder.path().join("model.safetensors");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    refuses("a socket", &socket, "model.safetensors", &["no regular file"]);
    let device = Path::new("/dev/zero");
    let link = folder.path().join("endless.gguf");
    std::os::unix::fs::symlink(device, &link).unwrap();
    refuses("an endless device", &link, "endless.gguf", &["no regular file"]);
    let circle = folder.path().join("circle.gguf");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    refuses("a link to itself", &circle, "circle.gguf", &[]);
}
