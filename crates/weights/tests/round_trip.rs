//! What the writers write, the readers read.

use std::collections::BTreeMap;

use baimo_kernels::format::Format;
use baimo_weights::gguf::{self, Array, Kind, Value};
use baimo_weights::{Checkpoint, Dtype, TensorInfo, safetensors};
use proptest::prelude::*;

/// Types that both formats hold, and one that takes whole blocks.
fn dtypes(quantized: bool) -> impl Strategy<Value = Dtype> {
    let mut all = vec![
        Dtype::Weights(Format::F32),
        Dtype::Weights(Format::F16),
        Dtype::Weights(Format::Bf16),
        Dtype::I64,
        Dtype::I32,
    ];
    if quantized {
        let blocks = [Format::Q8_0, Format::Q4_1, Format::Q6K, Format::Iq4Xs, Format::Mxfp4];
        all.extend(blocks.map(Dtype::Weights));
    } else {
        all.extend([Dtype::U8, Dtype::Bool, Dtype::Weights(Format::F8E4M3)]);
    }
    prop::sample::select(all)
}

/// Tensors of distinct names with bytes that depend on all they are.
fn tensors(quantized: bool) -> impl Strategy<Value = Vec<(TensorInfo, Vec<u8>)>> {
    let shape = prop::collection::vec(0_usize..5, 1..4);
    let one = (dtypes(quantized), shape, any::<u64>());
    prop::collection::btree_map("[a-z_.0-9]{1,40}", one, 0..8).prop_map(|map: BTreeMap<_, _>| {
        let named = map.into_iter().map(|(name, (dtype, mut shape, seed))| {
            if let Dtype::Weights(format) = dtype {
                *shape.last_mut().unwrap() *= format.block_len();
            }
            let bytes = dtype.bytes(&shape).unwrap();
            let data = (0..bytes as u64).map(|i| (seed.wrapping_mul(i + 1) >> 32) as u8).collect();
            (TensorInfo { name, dtype, shape, range: 0..0 }, data)
        });
        named.collect()
    })
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u8>().prop_map(|value| Value::Unsigned(Kind::U8, value.into())),
        any::<i8>().prop_map(|value| Value::Signed(Kind::I8, value.into())),
        any::<u16>().prop_map(|value| Value::Unsigned(Kind::U16, value.into())),
        any::<i16>().prop_map(|value| Value::Signed(Kind::I16, value.into())),
        any::<u32>().prop_map(|value| Value::Unsigned(Kind::U32, value.into())),
        any::<i32>().prop_map(|value| Value::Signed(Kind::I32, value.into())),
        any::<u64>().prop_map(|value| Value::Unsigned(Kind::U64, value)),
        any::<i64>().prop_map(|value| Value::Signed(Kind::I64, value)),
        any::<f32>().prop_map(Value::F32),
        any::<f64>().prop_map(Value::F64),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(Value::String),
    ]
}

fn array() -> impl Strategy<Value = Array> {
    let flat = prop_oneof![
        prop::collection::vec(any::<String>(), 0..6).prop_map(Array::Strings),
        prop::collection::vec(any::<i32>(), 0..6).prop_map(|values| {
            Array::Numbers(Kind::I32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
        }),
        prop::collection::vec(any::<bool>(), 0..6).prop_map(|values| Array::Numbers(
            Kind::Bool,
            values.into_iter().map(u8::from).collect()
        )),
    ];
    flat.prop_recursive(2, 12, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Array::Arrays)
    })
}

fn metadata() -> impl Strategy<Value = Vec<(String, Value)>> {
    let value = prop_oneof![3 => scalar(), 1 => array().prop_map(Value::Array)];
    prop::collection::btree_map("[a-z.]{1,20}", value, 0..8)
        .prop_map(|map| map.into_iter().collect())
}

/// Every tensor is there, in order, with its type, shape and bytes.
fn check(checkpoint: &Checkpoint, wanted: &[(TensorInfo, Vec<u8>)]) {
    let found: Vec<&TensorInfo> = checkpoint.tensors().collect();
    assert_eq!(found.len(), wanted.len());
    for (found, (wanted, bytes)) in found.iter().zip(wanted) {
        assert_eq!((&found.name, found.dtype), (&wanted.name, wanted.dtype));
        assert_eq!(found.shape, wanted.shape);
        if let Some(tensor) = checkpoint.tensor(&found.name).unwrap() {
            assert_eq!(&tensor.data[..], &bytes[..]);
        }
    }
}

fn borrowed(tensors: &[(TensorInfo, Vec<u8>)]) -> Vec<(TensorInfo, &[u8])> {
    tensors.iter().map(|(info, bytes)| (info.clone(), &bytes[..])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn safetensors_come_back_as_they_were_written(tensors in tensors(false)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        safetensors::write(&path, &borrowed(&tensors)).unwrap();
        check(&Checkpoint::open(&path).unwrap(), &tensors);
        check(&Checkpoint::open(folder.path()).unwrap(), &tensors);
    }

    #[test]
    fn gguf_comes_back_as_it_was_written(pairs in metadata(), tensors in tensors(true)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        gguf::write(&path, &pairs, &borrowed(&tensors)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let contents = gguf::read(&bytes, &path).unwrap();
        // Compared as text, since NaN is not equal to itself.
        prop_assert_eq!(format!("{:?}", contents.metadata.pairs()), format!("{pairs:?}"));
        for (found, (_, wanted)) in contents.tensors.iter().zip(&tensors) {
            prop_assert_eq!(&bytes[found.range.clone()], &wanted[..]);
        }
        check(&Checkpoint::open(&path).unwrap(), &tensors);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let path = std::path::Path::new("any");
        // One tensor and one key announced.
        let head = b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0";
        let with_magic = [&head[..], &bytes].concat();
        prop_assert!(gguf::read(&bytes, path).is_err());
        // Accepted or not: it returns.
        let _either = gguf::read(&with_magic, path);
        let _either = safetensors::read(&bytes, path);
    }
}

#[test]
fn a_type_that_the_format_lacks_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let info = |format| TensorInfo {
        name: "w".to_string(),
        dtype: Dtype::Weights(format),
        shape: vec![32],
        range: 0..0,
    };
    let error = safetensors::write(&path, &[(info(Format::Q8_0), &[0; 34])]).unwrap_err();
    assert!(error.to_string().contains("tensor `w`: found q8_0"), "{error}");
    let error = gguf::write(&path, &[], &[(info(Format::F8E4M3), &[0; 32])]).unwrap_err();
    assert!(error.to_string().contains("tensor `w`: found type f8_e4m3"), "{error}");
}

#[test]
fn metadata_is_read_by_kind_and_shown_as_json() {
    let pairs = [
        ("general.architecture", Value::String("some".to_string())),
        ("some.block_count", Value::Unsigned(Kind::U32, 30)),
        ("some.eps", Value::F32(1e-6)),
        ("some.infinite", Value::F32(f32::INFINITY)),
        ("some.negative", Value::Signed(Kind::I32, -1)),
        ("tokens", Value::Array(Array::Strings(vec!["a".to_string(); 9]))),
        ("types", Value::Array(Array::Numbers(Kind::I32, vec![1, 0, 0, 0, 255, 255, 255, 255]))),
    ];
    let pairs = pairs.map(|(key, value)| (key.to_string(), value));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    gguf::write(&path, &pairs, &[]).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let metadata = checkpoint.metadata().unwrap();
    assert_eq!(metadata.get_str("general.architecture").unwrap(), "some");
    assert_eq!(metadata.get_u64("some.block_count").unwrap(), 30);
    assert_eq!(metadata.get_f32("some.eps").unwrap(), 1e-6);
    assert_eq!(metadata.get_strings("tokens").unwrap().len(), 9);
    let types: Vec<i64> =
        metadata.get_array("types").unwrap().values().filter_map(|v| v.as_i64()).collect();
    assert_eq!(types, [1, -1]);
    let error = metadata.get_u64("some.negative").unwrap_err().to_string();
    assert!(error.contains("m.gguf: key `some.negative`: found I32 -1"), "{error}");
    let error = metadata.get_u64("some.heads").unwrap_err().to_string();
    assert!(error.contains("no such key"), "{error}");
    let json = metadata.to_json(8).to_string();
    let wanted = concat!(
        r#"{"general.architecture":"some","some.block_count":30,"some.eps":1e-6,"#,
        r#""some.infinite":"inf","some.negative":-1,"tokens":{"elided":9},"types":[1,-1]}"#,
    );
    assert_eq!(json, wanted);
}
