//! One row's 32 codes of a block, into and out of their bit planes (see [`layout`](super::layout)).
//!
//! A row owns 4 bytes of every plane: one word of 4 columns. Work is done on whole words; no code
//! is wider than its field, so nothing crosses a byte.

use super::layout::BLOCK;

const PLANE: usize = 32;
const LOW_BIT: u32 = 0x0101_0101;
const LOW_PAIR: u32 = 0x0303_0303;
const LOW_NIBBLE: u32 = 0x0f0f_0f0f;

/// Writes row `row` of a block whose bytes for that row are still zero.
pub(super) fn store(bits: usize, codes: &[u8; BLOCK], block: &mut [u8], row: usize) {
    let words: [u32; 8] = std::array::from_fn(|v| u32::from_le_bytes(codes.as_chunks::<4>().0[v]));
    let mut planes = block.chunks_exact_mut(PLANE);
    let mut put = |word: u32| {
        let plane = planes.next().expect("a block has all its planes");
        plane[4 * row..4 * row + 4].copy_from_slice(&word.to_le_bytes());
    };
    if bits == 8 {
        words.into_iter().for_each(&mut put);
        return;
    }
    if bits >= 4 {
        for pair in words.as_chunks::<2>().0 {
            put(pair[0] & LOW_NIBBLE | (pair[1] & LOW_NIBBLE) << 4);
        }
    }
    let done = if bits >= 4 { 4 } else { 0 };
    if bits - done >= 2 {
        for four in words.as_chunks::<4>().0 {
            put((0..4).map(|v| (four[v] >> done & LOW_PAIR) << (2 * v)).sum());
        }
    }
    if bits % 2 == 1 {
        put((0..8).map(|v| (words[v] >> (bits - 1) & LOW_BIT) << v).sum());
    }
}

/// The codes of row `row` of a block.
pub(super) fn load(bits: usize, block: &[u8], row: usize) -> [u8; BLOCK] {
    let word = |plane: usize| {
        let at = plane * PLANE + 4 * row;
        u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
    };
    let pairs = |first: usize, v: usize| word(first + v / 4) >> (2 * (v % 4)) & LOW_PAIR;
    let bit = |plane: usize, v: usize| word(plane) >> v & LOW_BIT;
    let nibble = |v: usize| word(v / 2) >> (4 * (v % 2)) & LOW_NIBBLE;
    let mut codes = [0; BLOCK];
    for (v, codes) in codes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let four = match bits {
            2 => pairs(0, v),
            3 => pairs(0, v) | bit(2, v) << 2,
            4 => nibble(v),
            5 => nibble(v) | bit(4, v) << 4,
            6 => nibble(v) | pairs(4, v) << 4,
            8 => word(v),
            _ => unreachable!("no format has codes of {bits} bits"),
        };
        *codes = four.to_le_bytes();
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_width_come_back_and_leave_other_rows_alone() {
        for bits in [2, 3, 4, 5, 6, 8] {
            let mut block = vec![0; bits * PLANE];
            let mask = (1u16 << bits) - 1;
            let codes = |row: usize| -> [u8; BLOCK] {
                std::array::from_fn(|k| ((k * 37 + row * 11 + 5) as u16 & mask) as u8)
            };
            for row in 0..8 {
                store(bits, &codes(row), &mut block, row);
            }
            for row in 0..8 {
                assert_eq!(load(bits, &block, row), codes(row), "{bits} bits, row {row}");
            }
        }
    }
}
