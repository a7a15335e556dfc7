//! The formats against independent readers and writers: see `fixtures/make_formats.py`.

use baimo_kernels::format::{Format, dequantize, quantize, quantize_weighed};
use proptest::prelude::*;

const READ: u8 = 0;
const WRITE: u8 = 1;
const ERROR: u8 = 2;
const WEIGHED: u8 = 3;

/// One record of `formats.bin`.
struct Record {
    format: Format,
    kind: u8,
    bytes: Vec<u8>,
    floats: Vec<f32>,
}

fn records(kind: u8) -> Vec<Record> {
    let mut rest = include_bytes!("fixtures/formats.bin").as_slice();
    let mut take = |count: usize| rest.split_off(..count);
    let mut all = Vec::new();
    while let Some([name_length]) = take(1) {
        let name = std::str::from_utf8(take(usize::from(*name_length)).unwrap()).unwrap();
        let kind = take(1).unwrap()[0];
        let mut length = || u32::from_le_bytes(take(4).unwrap().try_into().unwrap()) as usize;
        let (elements, bytes) = (length(), length());
        let (bytes, floats) = if kind == READ {
            let bytes = take(bytes).unwrap();
            (bytes, take(elements * 4).unwrap())
        } else {
            let floats = take(elements * 4).unwrap();
            (take(bytes).unwrap(), floats)
        };
        let format = Format::from_name(name).unwrap();
        all.push(Record { format, kind, bytes: bytes.to_vec(), floats: to_floats(floats) });
    }
    all.retain(|record| record.kind == kind);
    assert!(!all.is_empty());
    all
}

fn to_floats(bytes: &[u8]) -> Vec<f32> {
    let (chunks, []) = bytes.as_chunks::<4>() else { panic!("floats have four bytes") };
    chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// What becomes of values that are written and read again.
fn there_and_back(format: Format, values: &[f32], importance: Option<&[f32]>) -> Vec<f32> {
    let mut bytes = vec![0; format.row_bytes(values.len()).unwrap()];
    quantize_weighed(format, values, importance, &mut bytes);
    let mut back = vec![0.0; values.len()];
    dequantize(format, &bytes, &mut back);
    back
}

fn root_mean_square_error(format: Format, values: &[f32]) -> f64 {
    let back = there_and_back(format, values, None);
    let squares = values.iter().zip(&back).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    (squares.sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn every_format_reads_as_an_independent_reader_does_bit_for_bit() {
    let records = records(READ);
    for record in &records {
        let mut found = vec![0.0f32; record.floats.len()];
        dequantize(record.format, &record.bytes, &mut found);
        for (index, (found, wanted)) in found.iter().zip(&record.floats).enumerate() {
            let same = found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan());
            assert!(same, "{} element {index}: {found} != {wanted}", record.format.name());
        }
    }
    for format in Format::ALL {
        let covered = records.iter().any(|record| record.format == format);
        let by_hand = [Format::F32, Format::Int4].contains(&format);
        assert!(covered || by_hand, "no fixture for {}", format.name());
    }
}

#[test]
fn int4_is_a_scale_times_the_distance_from_zeros_code() {
    let mut block = [0; 19];
    // f16 0.5, and zero is 9.
    block[..3].copy_from_slice(&[0x00, 0x38, 9]);
    for (index, byte) in block[3..].iter_mut().enumerate() {
        *byte = (index as u8) << 4 | (15 - index as u8);
    }
    let mut found = [0.0; 32];
    dequantize(Format::Int4, &block, &mut found);
    for (index, value) in found.into_iter().enumerate() {
        let code = if index < 16 { 15 - index } else { index - 16 };
        assert_eq!(value, 0.5 * (code as f32 - 9.0), "element {index}");
    }
}

#[test]
fn simple_formats_write_the_bytes_gguf_tools_write() {
    for record in records(WRITE) {
        let mut found = vec![0; record.bytes.len()];
        quantize(record.format, &record.floats, &mut found);
        let block = record.format.block_bytes();
        for (index, (found, wanted)) in
            found.chunks(block).zip(record.bytes.chunks(block)).enumerate()
        {
            assert_eq!(found, wanted, "{} block {index}", record.format.name());
        }
    }
}

#[test]
fn searched_formats_lose_no_more_than_the_reference_quantizer() {
    for record in records(ERROR) {
        let found = root_mean_square_error(record.format, &record.floats);
        let reference = f64::from(to_floats(&record.bytes)[0]);
        let name = record.format.name();
        assert!(found <= reference * 1.02, "{name}: {found} against {reference}");
    }
}

#[test]
fn what_matters_is_lost_no_more_than_by_the_reference_quantizer() {
    for record in records(WEIGHED) {
        let numbers = to_floats(&record.bytes);
        let (reference, matter) = numbers.split_last().unwrap();
        let rows = record.floats.chunks(matter.len());
        let losses = rows.flat_map(|row| {
            let back = there_and_back(record.format, row, Some(matter));
            let loss = |((x, y), matter): ((&f32, &f32), &f32)| {
                f64::from(*matter) * (f64::from(*x) - f64::from(*y)).powi(2)
            };
            row.iter().zip(&back).zip(matter).map(loss).collect::<Vec<_>>()
        });
        let found = (losses.sum::<f64>() / record.floats.len() as f64).sqrt();
        let name = record.format.name();
        assert!(found <= f64::from(*reference) * 1.02, "{name}: {found} against {reference}");
    }
}

#[test]
fn names_and_sizes_agree_with_each_other() {
    for format in Format::ALL {
        assert_eq!(Format::from_name(&format.name().to_uppercase()), Some(format));
        assert_eq!(format.row_bytes(format.block_len() * 3), Some(format.block_bytes() * 3));
        assert_eq!(format.is_quantized(), format.row_bytes(1).is_none());
    }
    assert_eq!(Format::Q4K.bits_per_weight(), 4.5);
    assert_eq!(Format::from_name("q9_z"), None);
    assert_eq!(Format::F32.row_bytes(usize::MAX), None);
}

#[test]
fn a_block_of_equal_values_comes_back_within_a_step() {
    for format in Format::ALL.into_iter().filter(|format| format.can_quantize()) {
        for value in [0.0f32, 1.0, -3.5] {
            let values = vec![value; 256];
            let error = root_mean_square_error(format, &values);
            // Its scales are powers of two, its magnitudes 3 and 4 neighbours.
            let step = if format == Format::Mxfp4 { 0.15 } else { 0.01 };
            assert!(
                error <= f64::from(value.abs()) * step,
                "{} of {value}: {error}",
                format.name()
            );
        }
    }
}

/// What a format can hold at least: codes, both ends of them among each 16, and the most that
/// scales of parts are multiplied by.
fn codes_of(format: Format) -> Option<(&'static [i16], f32)> {
    const UP_TO_127: [i16; 255] = {
        let mut all = [0; 255];
        let mut index = 0;
        while index < 255 {
            all[index] = index as i16 - 127;
            index += 1;
        }
        all
    };
    let around = |half: i16| &UP_TO_127[(127 - half) as usize..(127 + half) as usize];
    let up_to = |last: i16| &UP_TO_127[127..=(127 + last) as usize];
    const IQ4: &[i16] = &[-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    const MXFP4: &[i16] = &[-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12];
    match format {
        Format::F32 | Format::F16 | Format::Bf16 | Format::Q8_0 => Some((&UP_TO_127, 1.0)),
        Format::Q4_0 => Some((around(8), 1.0)),
        Format::Q5_0 => Some((around(16), 1.0)),
        Format::Q4_1 => Some((up_to(15), 1.0)),
        Format::Q5_1 => Some((up_to(31), 1.0)),
        Format::Q2K => Some((up_to(3), 15.0)),
        Format::Q4K => Some((up_to(15), 63.0)),
        Format::Q5K => Some((up_to(31), 63.0)),
        Format::Q3K => Some((around(4), 32.0)),
        Format::Q6K => Some((around(32), 128.0)),
        Format::Iq4Nl => Some((IQ4, 1.0)),
        Format::Iq4Xs => Some((IQ4, 32.0)),
        Format::Mxfp4 => Some((MXFP4, 1.0)),
        Format::F8E4M3 | Format::Int4 => None,
    }
}

#[test]
fn every_writer_says_what_it_can_hold() {
    for format in Format::ALL {
        assert_eq!(codes_of(format).is_some(), format.can_quantize(), "{}", format.name());
    }
}

/// The root mean square error of numbers spread evenly over a range, in parts of their own root
/// mean square, at most.
fn loss_max(format: Format) -> f64 {
    match format {
        Format::F32 => 0.0,
        Format::F16 => 0.001,
        Format::Bf16 => 0.005,
        Format::Q8_0 => 0.005,
        Format::Q6K => 0.025,
        Format::Q5K | Format::Q5_0 | Format::Q5_1 => 0.06,
        Format::Q4K | Format::Q4_0 | Format::Q4_1 => 0.12,
        Format::Iq4Nl | Format::Iq4Xs => 0.15,
        Format::Mxfp4 => 0.2,
        Format::Q3K => 0.26,
        Format::Q2K => 0.5,
        Format::F8E4M3 | Format::Int4 => 0.0,
    }
}

proptest! {
    #[test]
    fn representable_values_come_back_as_they_are(
        places in prop::collection::vec(any::<prop::sample::Index>(), 256),
        exponent in -12..4i32,
        matter in prop::option::of(prop::collection::vec(0.01..100.0f32, 256)),
    ) {
        for format in Format::ALL {
            let Some((codes, most)) = codes_of(format) else { continue };
            let scale = most * (exponent as f32).exp2();
            let mut values: Vec<f32> =
                places.iter().map(|place| scale * f32::from(*place.get(codes))).collect();
            // Where the scale is searched, both ends tell it.
            for part in values.chunks_mut(16) {
                part[3] = scale * f32::from(codes[0]);
                part[11] = scale * f32::from(codes[codes.len() - 1]);
            }
            let back = there_and_back(format, &values, matter.as_deref());
            prop_assert_eq!(&back, &values, "{}", format.name());
        }
    }

    #[test]
    fn no_writer_loses_more_than_its_steps(
        values in prop::collection::vec(-1.0..1.0f32, 256),
        // Below that, scales leave half precision's range.
        exponent in -4..4i32,
        matter in prop::option::of(prop::collection::vec(0.5..2.0f32, 256)),
    ) {
        let mut values: Vec<f32> = values.iter().map(|x| x * (exponent as f32).exp2()).collect();
        // Every block spans its range, to which the bound belongs.
        values.chunks_mut(16).for_each(|part| part[5] = (exponent as f32).exp2());
        let size: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
        for format in Format::ALL.into_iter().filter(|format| format.can_quantize()) {
            let back = there_and_back(format, &values, matter.as_deref());
            let pairs = values.iter().zip(&back);
            let loss: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            let most = loss_max(format) * size.sqrt();
            prop_assert!(loss.sqrt() <= most, "{} {}", format.name(), loss.sqrt());
        }
    }

    #[test]
    fn any_bytes_are_readable(bytes in prop::collection::vec(any::<u8>(), 2 * 210)) {
        for format in Format::ALL {
            let blocks = bytes.len() / format.block_bytes();
            let mut out = vec![0.0; blocks * format.block_len()];
            dequantize(format, &bytes[..blocks * format.block_bytes()], &mut out);
        }
    }

    #[test]
    fn any_floats_are_writable(bits in prop::collection::vec(any::<u32>(), 256)) {
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        for format in Format::ALL.into_iter().filter(|format| format.can_quantize()) {
            there_and_back(format, &values, None);
            let matter: Vec<f32> = values.iter().map(|value| value.abs()).collect();
            there_and_back(format, &values, Some(&matter));
        }
    }
}
