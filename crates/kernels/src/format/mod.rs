//! Every weight format: its blocks, its name, and its definition in plain Rust.
//!
//! The block layouts are those of GGUF files (<https://github.com/ggml-org/ggml>), bit for bit, but
//! for `int4`, which is ours. All multi-byte fields are little-endian. A row of a matrix is a whole
//! number of blocks.

mod float;
mod k_quants;
mod k_search;
mod nonlinear;
mod search;
mod simple;
pub(crate) mod source;
mod table_search;

pub use float::f8_e4m3_to_f32;
pub(crate) use k_quants::{q3_k_scale, scale_and_minimum};
pub(crate) use nonlinear::{IQ4_VALUES, MXFP4_VALUES, e8m0_to_half_scale};

/// Elements of a K-quant's block ("super-block").
pub(crate) const K_BLOCK: usize = 256;

/// How the numbers of a weight matrix are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// OCP FP8 E4M3 "fn": no infinities, `0x7f` and `0xff` are NaN. Its scales stand outside.
    F8E4M3,
    /// Blocks of 32: f16 scale, 4-bit values minus 8.
    Q4_0,
    /// Blocks of 32: f16 scale, f16 minimum, 4-bit values.
    Q4_1,
    /// Blocks of 32: f16 scale, 5-bit values minus 16.
    Q5_0,
    /// Blocks of 32: f16 scale, f16 minimum, 5-bit values.
    Q5_1,
    /// Blocks of 32: f16 scale, 8-bit values.
    Q8_0,
    /// Blocks of 256: 2-bit values, 4-bit scales and minimums per 16.
    Q2K,
    /// Blocks of 256: 3-bit values, 6-bit scales per 16.
    Q3K,
    /// Blocks of 256: 4-bit values, 6-bit scales and minimums per 32.
    Q4K,
    /// Blocks of 256: 5-bit values, 6-bit scales and minimums per 32.
    Q5K,
    /// Blocks of 256: 6-bit values, 8-bit scales per 16.
    Q6K,
    /// Blocks of 32: f16 scale, 4-bit indices into a table of 16 unevenly spaced values.
    Iq4Nl,
    /// Blocks of 256: the same table, 6-bit scales per 32.
    Iq4Xs,
    /// Blocks of 32: a power-of-two scale (E8M0) and 4-bit floats (E2M1), OCP MX v1.0.
    Mxfp4,
    /// Blocks of 32: f16 scale, a byte that is zero's code, 4-bit codes: what GPTQ, AWQ and
    /// compressed-tensors hold, whose groups of columns are whole blocks.
    Int4,
}

impl Format {
    /// Every format, floats first.
    pub const ALL: [Format; 18] = [
        Format::F32,
        Format::F16,
        Format::Bf16,
        Format::F8E4M3,
        Format::Q4_0,
        Format::Q4_1,
        Format::Q5_0,
        Format::Q5_1,
        Format::Q8_0,
        Format::Q2K,
        Format::Q3K,
        Format::Q4K,
        Format::Q5K,
        Format::Q6K,
        Format::Iq4Nl,
        Format::Iq4Xs,
        Format::Mxfp4,
        Format::Int4,
    ];

    /// The name users and GGUF tools know it by, in lower case: `bf16`, `q4_k`, `iq4_nl`.
    pub fn name(self) -> &'static str {
        match self {
            Format::F32 => "f32",
            Format::F16 => "f16",
            Format::Bf16 => "bf16",
            Format::F8E4M3 => "f8_e4m3",
            Format::Q4_0 => "q4_0",
            Format::Q4_1 => "q4_1",
            Format::Q5_0 => "q5_0",
            Format::Q5_1 => "q5_1",
            Format::Q8_0 => "q8_0",
            Format::Q2K => "q2_k",
            Format::Q3K => "q3_k",
            Format::Q4K => "q4_k",
            Format::Q5K => "q5_k",
            Format::Q6K => "q6_k",
            Format::Iq4Nl => "iq4_nl",
            Format::Iq4Xs => "iq4_xs",
            Format::Mxfp4 => "mxfp4",
            Format::Int4 => "int4",
        }
    }

    /// The format of that [`Format::name`], in any case; `None` if there is none.
    pub fn from_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }

    /// Elements per block: 1 for floats, 32 or 256 for quantized formats.
    pub const fn block_len(self) -> usize {
        match self {
            Format::F32 | Format::F16 | Format::Bf16 | Format::F8E4M3 => 1,
            Format::Q4_0 | Format::Q4_1 | Format::Q5_0 | Format::Q5_1 | Format::Q8_0 => 32,
            Format::Iq4Nl | Format::Mxfp4 | Format::Int4 => 32,
            Format::Q2K | Format::Q3K | Format::Q4K | Format::Q5K | Format::Q6K => K_BLOCK,
            Format::Iq4Xs => K_BLOCK,
        }
    }

    /// Bytes per block, as in a file.
    pub const fn block_bytes(self) -> usize {
        match self {
            Format::F32 => 4,
            Format::F16 | Format::Bf16 => 2,
            Format::F8E4M3 => 1,
            Format::Q4_0 | Format::Iq4Nl => 18,
            Format::Q4_1 => 20,
            Format::Q5_0 => 22,
            Format::Q5_1 => 24,
            Format::Q8_0 => 34,
            Format::Q2K => 84,
            Format::Q3K => 110,
            Format::Q4K => 144,
            Format::Q5K => 176,
            Format::Q6K => 210,
            Format::Iq4Xs => 136,
            Format::Mxfp4 => 17,
            Format::Int4 => 19,
        }
    }

    /// Bytes of a row of `columns` elements; `None` if they are not whole blocks (or the bytes do
    /// not fit a `usize`).
    pub fn row_bytes(self, columns: usize) -> Option<usize> {
        if !columns.is_multiple_of(self.block_len()) {
            return None;
        }
        (columns / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Whether products with it quantize the activations.
    pub fn is_quantized(self) -> bool {
        self.block_len() > 1
    }

    /// Whether [`quantize`] can write it.
    pub fn can_quantize(self) -> bool {
        match self {
            Format::F32 | Format::F16 | Format::Bf16 => true,
            Format::Q4_0 | Format::Q4_1 | Format::Q5_0 | Format::Q5_1 | Format::Q8_0 => true,
            Format::Q2K | Format::Q3K | Format::Q4K | Format::Q5K | Format::Q6K => true,
            Format::Iq4Nl | Format::Iq4Xs | Format::Mxfp4 => true,
            Format::F8E4M3 | Format::Int4 => false,
        }
    }

    /// Bits per weight, scales included: 4.5 for `q4_k`.
    pub fn bits_per_weight(self) -> f64 {
        (self.block_bytes() * 8) as f64 / self.block_len() as f64
    }
}

/// Turns whole blocks into floats: `bytes` holds `out.len()` elements. FP8 values come without
/// their outer scales.
///
/// # Panics
/// If `out` is not whole blocks or `bytes` is not exactly as long as they are.
pub fn dequantize(format: Format, bytes: &[u8], out: &mut [f32]) {
    check_lengths(format, bytes.len(), out.len());
    match format {
        Format::F32 => float::dequantize_f32(bytes, out),
        Format::F16 => float::dequantize_f16(bytes, out),
        Format::Bf16 => float::dequantize_bf16(bytes, out),
        Format::F8E4M3 => float::dequantize_f8_e4m3(bytes, out),
        Format::Q4_0 => each_block(bytes, out, simple::dequantize_q4_0),
        Format::Q4_1 => each_block(bytes, out, simple::dequantize_q4_1),
        Format::Q5_0 => each_block(bytes, out, simple::dequantize_q5_0),
        Format::Q5_1 => each_block(bytes, out, simple::dequantize_q5_1),
        Format::Q8_0 => each_block(bytes, out, simple::dequantize_q8_0),
        Format::Q2K => each_block(bytes, out, k_quants::dequantize_q2_k),
        Format::Q3K => each_block(bytes, out, k_quants::dequantize_q3_k),
        Format::Q4K => each_block(bytes, out, k_quants::dequantize_q4_k),
        Format::Q5K => each_block(bytes, out, k_quants::dequantize_q5_k),
        Format::Q6K => each_block(bytes, out, k_quants::dequantize_q6_k),
        Format::Iq4Nl => each_block(bytes, out, nonlinear::dequantize_iq4_nl),
        Format::Iq4Xs => each_block(bytes, out, nonlinear::dequantize_iq4_xs),
        Format::Mxfp4 => each_block(bytes, out, nonlinear::dequantize_mxfp4),
        Format::Int4 => each_block(bytes, out, simple::dequantize_int4),
    }
}

/// Turns floats into whole blocks, rounding as GGUF tools do. NaN becomes an unspecified finite
/// value in integer formats; a block whose scale overflows f16 gets an infinite scale.
///
/// # Panics
/// If `format` is not one [`Format::can_quantize`] allows, `values` is not whole blocks, or `out`
/// is not exactly as long as they are.
pub fn quantize(format: Format, values: &[f32], out: &mut [u8]) {
    quantize_weighed(format, values, None, out);
}

/// As [`quantize`], with a number for each value: how much its square error matters, such as the
/// mean square of what its column is multiplied with. Not negative; only ratios count.
///
/// # Panics
/// As [`quantize`], or if there are not as many numbers as values.
pub fn quantize_weighed(
    format: Format,
    values: &[f32],
    importance: Option<&[f32]>,
    out: &mut [u8],
) {
    check_lengths(format, out.len(), values.len());
    assert!(importance.is_none_or(|all| all.len() == values.len()), "a number for each value");
    let of = importance;
    match format {
        Format::F32 => float::quantize_f32(values, out),
        Format::F16 => float::quantize_f16(values, out),
        Format::Bf16 => float::quantize_bf16(values, out),
        Format::Q4_0 => each_quantized(values, of, out, simple::quantize_q4_0),
        Format::Q4_1 => each_quantized(values, of, out, simple::quantize_q4_1),
        Format::Q5_0 => each_quantized(values, of, out, simple::quantize_q5_0),
        Format::Q5_1 => each_quantized(values, of, out, simple::quantize_q5_1),
        Format::Q8_0 => each_quantized(values, of, out, simple::quantize_q8_0),
        Format::Q2K => each_quantized(values, of, out, k_search::quantize_q2_k),
        Format::Q3K => each_quantized(values, of, out, k_search::quantize_q3_k),
        Format::Q4K => each_quantized(values, of, out, k_search::quantize_q4_k),
        Format::Q5K => each_quantized(values, of, out, k_search::quantize_q5_k),
        Format::Q6K => each_quantized(values, of, out, k_search::quantize_q6_k),
        Format::Iq4Nl => each_quantized(values, of, out, table_search::quantize_iq4_nl),
        Format::Iq4Xs => each_quantized(values, of, out, table_search::quantize_iq4_xs),
        Format::Mxfp4 => each_quantized(values, of, out, table_search::quantize_mxfp4),
        Format::F8E4M3 | Format::Int4 => refuse(format),
    }
}

fn refuse(format: Format) -> ! {
    panic!("quantize cannot write {}: ask Format::can_quantize first", format.name())
}

fn check_lengths(format: Format, bytes: usize, elements: usize) {
    assert_eq!(
        Some(bytes),
        format.row_bytes(elements),
        "{} bytes cannot hold {elements} elements of {}",
        bytes,
        format.name()
    );
}

/// Calls `block` for each block of `BYTES` bytes and `LEN` elements.
fn each_block<const BYTES: usize, const LEN: usize>(
    bytes: &[u8],
    out: &mut [f32],
    block: fn(&[u8; BYTES], &mut [f32; LEN]),
) {
    let (blocks, _) = bytes.as_chunks::<BYTES>();
    let (outs, _) = out.as_chunks_mut::<LEN>();
    for (bytes, out) in blocks.iter().zip(outs) {
        block(bytes, out);
    }
}

/// Writes one block, of which the importance of each value may be known.
type BlockWriter<const BYTES: usize, const LEN: usize> =
    fn(&[f32; LEN], Option<&[f32; LEN]>, &mut [u8; BYTES]);

/// [`each_block`] the other way round.
fn each_quantized<const BYTES: usize, const LEN: usize>(
    values: &[f32],
    importance: Option<&[f32]>,
    out: &mut [u8],
    block: BlockWriter<BYTES, LEN>,
) {
    let (blocks, _) = values.as_chunks::<LEN>();
    let (outs, _) = out.as_chunks_mut::<BYTES>();
    let importance = importance.map(|all| all.as_chunks::<LEN>().0);
    for (index, (values, out)) in blocks.iter().zip(outs).enumerate() {
        block(values, importance.map(|all| &all[index]), out);
    }
}

/// The f16 at `bytes[at..at + 2]`.
pub(crate) fn f16_at(bytes: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}
