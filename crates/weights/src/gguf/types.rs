//! Tensor types by their numbers in GGUF files.

use baimo_kernels::format::Format;

use crate::tensor::Dtype;

/// What messages say is supported.
pub(super) const KNOWN: &str =
    "f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q2_k to q6_k, iq4_nl, iq4_xs or mxfp4";

const TYPES: [(u32, Dtype); 18] = [
    (0, Dtype::Weights(Format::F32)),
    (1, Dtype::Weights(Format::F16)),
    (2, Dtype::Weights(Format::Q4_0)),
    (3, Dtype::Weights(Format::Q4_1)),
    (6, Dtype::Weights(Format::Q5_0)),
    (7, Dtype::Weights(Format::Q5_1)),
    (8, Dtype::Weights(Format::Q8_0)),
    (10, Dtype::Weights(Format::Q2K)),
    (11, Dtype::Weights(Format::Q3K)),
    (12, Dtype::Weights(Format::Q4K)),
    (13, Dtype::Weights(Format::Q5K)),
    (14, Dtype::Weights(Format::Q6K)),
    (20, Dtype::Weights(Format::Iq4Nl)),
    (23, Dtype::Weights(Format::Iq4Xs)),
    (26, Dtype::I32),
    (27, Dtype::I64),
    (30, Dtype::Weights(Format::Bf16)),
    (39, Dtype::Weights(Format::Mxfp4)),
];

/// The type of that number, or the name of a type that is not supported.
pub(super) fn dtype(number: u32) -> Result<Dtype, &'static str> {
    let known = TYPES.iter().find(|(known, _)| *known == number);
    known.map(|(_, dtype)| *dtype).ok_or_else(|| unsupported_name(number))
}

/// The number of a type, if GGUF has it.
pub(super) fn number(dtype: Dtype) -> Option<u32> {
    TYPES.iter().find(|(_, known)| *known == dtype).map(|(number, _)| *number)
}

fn unsupported_name(number: u32) -> &'static str {
    match number {
        4 | 5 => "q4_2 or q4_3, removed in 2023",
        9 => "q8_1",
        15 => "q8_k",
        16 => "iq2_xxs",
        17 => "iq2_xs",
        18 => "iq3_xxs",
        19 => "iq1_s",
        21 => "iq3_s",
        22 => "iq2_s",
        24 => "i8",
        25 => "i16",
        28 => "f64",
        29 => "iq1_m",
        31..=33 | 36..=38 => "a repacked type, removed in 2024",
        34 => "tq1_0",
        35 => "tq2_0",
        40 => "nvfp4",
        _ => "unknown",
    }
}
