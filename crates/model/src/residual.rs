//! How a block's output joins the residual stream, with the norms on the way.

use crate::norm::Norm;
use baimo_blueprint::Skip;
use baimo_kernels::activation::{add_scaled, scale};
use baimo_kernels::{Floats, Kernels};

/// See [`baimo_blueprint::Residual`].
pub struct Residual {
    pub before: Option<Norm>,
    pub after: Option<Norm>,
    pub skip: Skip,
    pub skip_scale: f32,
    pub scale: f32,
    pub sum: Option<Norm>,
}

impl Residual {
    /// Runs `block` on what it is to see of the stream `x`, and changes `x`.
    pub fn forward(&self, kernels: &Kernels, x: &mut [f32], block: impl FnOnce(&[f32]) -> Floats) {
        let normed = self.before.as_ref().map(|norm| norm.apply(kernels, x));
        let mut output = block(normed.as_deref().unwrap_or(x));
        if let Some(after) = &self.after {
            output = after.apply(kernels, &output);
        }
        match (self.skip, &normed) {
            (Skip::Normed, Some(normed)) => x.copy_from_slice(normed),
            (Skip::Normed, None) | (Skip::Stream, _) => {}
        }
        if self.skip_scale != 1.0 {
            scale(kernels, x, self.skip_scale);
        }
        add_scaled(kernels, x, &output, self.scale);
        if let Some(sum) = &self.sum {
            x.copy_from_slice(&sum.apply(kernels, x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::norm::NormKind;

    fn rms() -> Option<Norm> {
        Some(Norm { width: 2, kind: NormKind::Rms, weight: None, eps: 0.0 })
    }

    /// The stream after a block that doubles what it sees.
    fn doubled(residual: Residual) -> [f32; 2] {
        let mut x = [1.0, 7.0];
        let double = |x: &[f32]| x.iter().map(|x| 2.0 * x).collect::<Vec<_>>().into();
        residual.forward(&Kernels::new(1), &mut x, double);
        x
    }

    /// A root and a division may round.
    fn near(found: [f32; 2], wanted: [f32; 2]) {
        let is_near = |(found, wanted): (&f32, &f32)| (found - wanted).abs() < 1e-5;
        assert!(found.iter().zip(&wanted).all(is_near), "{found:?}, not {wanted:?}");
    }

    #[test]
    fn each_part_of_a_residual_stands_where_its_formula_says() {
        let plain = || Residual {
            before: None,
            after: None,
            skip: Skip::Stream,
            skip_scale: 1.0,
            scale: 1.0,
            sum: None,
        };
        // The root mean square of [1, 7] is 5.
        near(doubled(plain()), [3.0, 21.0]);
        near(doubled(Residual { before: rms(), ..plain() }), [1.4, 9.8]);
        near(doubled(Residual { after: rms(), ..plain() }), [1.2, 8.4]);
        near(doubled(Residual { sum: rms(), ..plain() }), [0.2, 1.4]);
        near(doubled(Residual { skip_scale: 10.0, scale: 0.5, ..plain() }), [11.0, 77.0]);
        let normed = Residual { before: rms(), skip: Skip::Normed, skip_scale: 10.0, ..plain() };
        near(doubled(normed), [2.4, 16.8]);
    }
}
