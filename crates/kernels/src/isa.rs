//! Which instruction set this machine has, found once at start.

/// An instruction set this machine has. Only [`Isa::detect`] and [`Isa::available`] make one, so
/// holding `Avx2` or `Avx512` proves that its instructions may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust: the definition of every operation.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2(Avx2),
    /// x86-64 with AVX-512 (F, BW, DQ, VL) and its integer dot products (VNNI), where operations
    /// gain by it; the others run as with AVX2.
    Avx512(Avx512),
}

/// Proof that AVX2, FMA and F16C were seen on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

/// Proof that AVX-512 F, BW, DQ, VL and VNNI were seen on this machine, and what [`Avx2`] proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(Avx2);

impl Avx512 {
    /// The part of it that other machines have too.
    pub fn avx2(self) -> Avx2 {
        self.0
    }
}

impl Isa {
    /// The best instruction set of this machine, or the one that `BAIMO_ISA` asks for
    /// (`scalar`, `avx2` or `avx512`; what the machine lacks falls back to the best it has).
    pub fn detect() -> Isa {
        let best = *Isa::available().last().expect("scalar is always there");
        match std::env::var("BAIMO_ISA").as_deref() {
            Ok(wanted) => Isa::available()
                .into_iter()
                .find(|isa| isa.name().eq_ignore_ascii_case(wanted))
                .unwrap_or(best),
            Err(_) => best,
        }
    }

    /// Every instruction set this machine can run, slowest first: tests compare them all.
    pub fn available() -> Vec<Isa> {
        let mut all = vec![Isa::Scalar];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            all.push(Isa::Avx2(Avx2(())));
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
            {
                all.push(Isa::Avx512(Avx512(Avx2(()))));
            }
        }
        all
    }

    /// `scalar`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2(_) => "avx2",
            Isa::Avx512(_) => "avx512",
        }
    }
}
