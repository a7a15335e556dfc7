//! Which instruction set this machine has, found once at start.

/// An instruction set this machine has. Only [`Isa::detect`] and [`Isa::available`] make one, so
/// holding `Avx2` proves that its instructions may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust: the definition of every operation.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2(Avx2),
}

/// Proof that AVX2, FMA and F16C were seen on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Isa {
    /// The best instruction set of this machine, or the one that `BAIMO_ISA` asks for
    /// (`scalar` or `avx2`; what the machine lacks falls back to the best it has).
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
        }
        all
    }

    /// `scalar` or `avx2`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2(_) => "avx2",
        }
    }
}
