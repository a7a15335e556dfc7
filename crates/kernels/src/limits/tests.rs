use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_chain_gives_the_same_sums_on_every_instruction_set(steps in 0usize..2000) {
        for chain in [Chain::Float, Chain::Int16, Chain::Int8] {
            let definition = chain.run(Isa::Scalar, steps);
            for isa in Isa::available() {
                prop_assert_eq!(chain.run(isa, steps), definition, "{:?} on {}", chain, isa.name());
            }
        }
    }

    #[test]
    fn a_read_reads_every_word(count in 1usize..3000, seed in any::<u64>()) {
        let words: Vec<[u8; 8]> = (1..=count as u64)
            .map(|index| (index | 1).wrapping_mul(seed | 1).to_le_bytes())
            .collect();
        let all = words.iter().fold(0, |all, word| all ^ u64::from_le_bytes(*word));
        for isa in Isa::available() {
            prop_assert_eq!(xor(isa, &words), all, "{}", isa.name());
        }
    }
}

#[test]
fn threads_together_read_all_of_the_memory() {
    let kernels = Kernels::new(3);
    let mut memory = Memory::new(&kernels, 100_003 * 8);
    memory.bytes.fill(0);
    for byte in [0, 7, 333_336, 800_016] {
        memory.bytes[byte] = 1 << (byte % 7);
    }
    let wanted = (1 << 56) ^ 1 ^ (1 << (333_336 % 7)) ^ (1 << (800_016 % 7));
    assert_eq!(memory.checksum(&kernels), wanted);
}
