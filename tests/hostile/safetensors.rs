//! Lone safetensors files.

use baimo_weights::Checkpoint;

use crate::refuses_bytes;

/// A file of that header and `data` zero bytes.
pub fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// A header of one tensor `a`.
fn one(dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
}

fn refuses_header(case: &str, header: &str, data: usize, says: &[&str]) {
    refuses_bytes(case, "model.safetensors", &file(header, data), says);
}

#[test]
fn the_smallest_good_file_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, file(&one("F32", "[2,3]", "[0,24]"), 24)).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.tensor("a").unwrap().unwrap().shape, [2, 3]);
}

#[test]
fn a_header_of_the_wrong_length_is_refused() {
    let good = file(&one("F32", "[2,3]", "[0,24]"), 24);
    let with_length = |length: u64| {
        let mut bytes = good.clone();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        bytes
    };
    let length = ["header length"];
    refuses_bytes("empty", "model.safetensors", &[], &["0 bytes"]);
    refuses_bytes("one byte", "model.safetensors", &[7], &length);
    refuses_bytes("length cut", "model.safetensors", &good[..7], &length);
    refuses_bytes("length alone", "model.safetensors", &good[..8], &length);
    refuses_bytes("header cut", "model.safetensors", &good[..30], &length);
    refuses_bytes("length of all", "model.safetensors", &with_length(u64::MAX), &length);
    refuses_bytes("length of half", "model.safetensors", &with_length(1 << 63), &length);
    refuses_bytes("length of 100 GB", "model.safetensors", &with_length(100 << 30), &length);
    refuses_bytes("length of 0", "model.safetensors", &with_length(0), &["header"]);
    refuses_bytes("length too short", "model.safetensors", &with_length(20), &["header", "EOF"]);
    refuses_bytes("length into data", "model.safetensors", &with_length(70), &["header"]);
}

#[test]
fn a_header_that_is_no_json_object_of_tensors_is_refused() {
    refuses_header("an array", "[]", 0, &["header", "`{`"]);
    refuses_header("html", "<html>404</html>", 0, &["header", "`<`", "no safetensors file"]);
    refuses_header("unclosed", r#"{"a":"#, 0, &["header", "EOF"]);
    refuses_header("two values", "{}{}", 0, &["header", "trailing"]);
    refuses_header("a number", r#"{"a":1}"#, 0, &["`a`", "invalid type"]);
    refuses_header("null", r#"{"a":null}"#, 0, &["`a`", "invalid type"]);
    refuses_header("no dtype", r#"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, 4, &["`a`", "dtype"]);
    refuses_header(
        "no shape",
        r#"{"a":{"dtype":"F32","data_offsets":[0,4]}}"#,
        4,
        &["`a`", "shape"],
    );
    refuses_header(
        "no offsets",
        r#"{"a":{"dtype":"F32","shape":[1]}}"#,
        4,
        &["`a`", "data_offsets"],
    );
    let extra = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"stride":[1]}}"#;
    refuses_header("unknown field", extra, 4, &["`a`", "stride"]);
    let mut bad_utf8 = file(&one("F32", "[1]", "[0,4]"), 4);
    bad_utf8[10] = 0xff;
    refuses_bytes("bad UTF-8", "model.safetensors", &bad_utf8, &["header", "UTF-8"]);
    let metadata = r#"{"__metadata__":{"format":1}}"#;
    refuses_header("metadata of numbers", metadata, 0, &["`__metadata__`", "`format`"]);
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    refuses_header("deep", &deep, 0, &["`a`"]);
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let entry = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    let twice = format!(r#"{{"a":{entry},"a":{entry}}}"#);
    refuses_header("tensor twice", &twice, 1, &["`a` twice"]);
    let field = r#"{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}"#;
    refuses_header("field twice", field, 1, &["`a`", "duplicate field `shape`"]);
    let metadata = r#"{"__metadata__":{"k":"v","k":"w"}}"#;
    refuses_header("metadata key twice", metadata, 0, &["`k` twice"]);
}

#[test]
fn a_dtype_that_is_not_known_is_refused_by_name() {
    for dtype in ["F64", "F8_E5M2", "C64", "bf16", ""] {
        let says = ["tensor `a`", dtype, "F8_E4M3"];
        refuses_header(dtype, &one(dtype, "[1]", "[0,8]"), 8, &says);
    }
}

#[test]
fn a_shape_that_its_bytes_do_not_fill_is_refused() {
    let says = ["tensor `a`"];
    refuses_header("too few", &one("F32", "[2,3]", "[0,20]"), 20, &says);
    refuses_header("too many", &one("F32", "[2,3]", "[0,28]"), 28, &says);
    refuses_header("other dtype", &one("F16", "[2,3]", "[0,24]"), 24, &says);
    refuses_header("overflow", &one("F32", "[4294967296,4294967296]", "[0,4]"), 4, &says);
    let wraps = "[9223372036854775807,2,2]";
    refuses_header("wraps to zero", &one("U8", wraps, "[0,0]"), 0, &says);
    refuses_header(
        "large and zero",
        &one("U8", "[18446744073709551615,18446744073709551615,0]", "[0,0]"),
        0,
        &says,
    );
    refuses_header("negative", &one("F32", "[-1]", "[0,4]"), 4, &["`a`", "-1"]);
    refuses_header("fraction", &one("F32", "[1.5]", "[0,4]"), 4, &["`a`", "1.5"]);
    refuses_header("beyond 64 bits", &one("F32", "[99999999999999999999]", "[0,4]"), 4, &["`a`"]);
    let many = format!("[{}1]", "1,".repeat(100_000));
    refuses_header(
        "100001 dimensions",
        &one("U8", &many, "[0,1]"),
        1,
        &["tensor `a`", "dimensions"],
    );
}

#[test]
fn offsets_outside_the_data_are_refused() {
    let says = ["tensor `a`", "data_offsets"];
    refuses_header("backwards", &one("F32", "[1]", "[4,0]"), 4, &says);
    refuses_header("past the end", &one("F32", "[2]", "[0,8]"), 4, &says);
    refuses_header(
        "far past",
        &one("U8", "[18446744073709551615]", "[0,18446744073709551615]"),
        4,
        &says,
    );
    refuses_header("three", &one("F32", "[1]", "[0,4,8]"), 4, &["`a`"]);
    refuses_header("one", &one("F32", "[1]", "[0]"), 4, &["`a`"]);
    refuses_header("negative", &one("F32", "[1]", "[-4,0]"), 4, &["`a`"]);
}

#[test]
fn data_that_is_not_covered_exactly_once_is_refused() {
    let two = |first: &str, second: &str| {
        let tensor = |offsets| format!(r#"{{"dtype":"U8","shape":[4],"data_offsets":{offsets}}}"#);
        format!(r#"{{"a":{},"b":{}}}"#, tensor(first), tensor(second))
    };
    refuses_header("same bytes", &two("[0,4]", "[0,4]"), 4, &["tensor `b`", "overlap"]);
    refuses_header("overlap", &two("[0,4]", "[2,6]"), 6, &["tensor `b`", "overlap"]);
    refuses_header("hole", &two("[0,4]", "[5,9]"), 9, &["tensor `b`", "hole"]);
    refuses_header("hole at the start", &one("U8", "[4]", "[4,8]"), 8, &["tensor `a`", "hole"]);
    refuses_header("data left over", &one("U8", "[4]", "[0,4]"), 6, &["end of file", "2 bytes"]);
    refuses_header("data without tensors", "{}", 6, &["end of file", "6 bytes"]);
}

#[test]
fn a_hostile_name_is_escaped_and_cut_in_the_message() {
    let name = format!("\\u001b[2J{}", "x".repeat(100_000));
    let header = one("F99", "[1]", "[0,4]").replace("\"a\"", &format!("\"{name}\""));
    refuses_header("escape sequence", &header, 4, &["\\u{1b}", "…"]);
}

#[test]
fn scales_that_do_not_fit_their_weights_are_refused() {
    let with_scales = |dtype: &str, shape: &str, bytes: usize| {
        let end = 129 * 256 + bytes;
        let weights = r#"{"dtype":"F8_E4M3","shape":[129,256],"data_offsets":[0,33024]}"#;
        let scales =
            format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[33024,{end}]}}"#);
        format!(r#"{{"w":{weights},"w_scale_inv":{scales}}}"#)
    };
    let says = ["tensor `w_scale_inv`", "[2, 2]"];
    refuses_header("transposed blocks", &with_scales("F32", "[1,2]", 8), 33024 + 8, &says);
    refuses_header("flat", &with_scales("F32", "[4]", 16), 33024 + 16, &says);
    let says = ["tensor `w_scale_inv`", "i32"];
    refuses_header("integers", &with_scales("I32", "[2,2]", 16), 33024 + 16, &says);
}
