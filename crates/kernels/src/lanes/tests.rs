use super::*;

struct ExpOf<'a>(&'a [f32]);

impl<const N: usize> Operation<N> for ExpOf<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<L: Lanes<N>>(self, lanes: L) -> Vec<f32> {
        let vectors = self.0.as_chunks::<N>().0;
        vectors.iter().flat_map(|x| lanes.to_array(exp(lanes, lanes.load(x)))).collect()
    }
}

/// How many representable numbers lie between two positive floats.
fn ulps_between(a: f32, b: f32) -> u32 {
    a.to_bits().abs_diff(b.to_bits())
}

#[test]
fn exp_is_within_two_units_of_the_exact_value_and_the_same_bits_everywhere() {
    // Every 977th float from -110 to 95 and the neighbourhood of zero.
    let negative = (0..=0xc2dc_0000_u32 - 0x8000_0000).step_by(977).map(|bits| bits | 0x8000_0000);
    let positive = (0..=0x42be_0000_u32).step_by(977);
    let mut inputs: Vec<f32> = negative.chain(positive).map(f32::from_bits).collect();
    inputs.truncate(inputs.len() / WIDE * WIDE);
    let results: Vec<Vec<f32>> = Isa::available()
        .into_iter()
        .flat_map(|isa| [on(isa, ExpOf(&inputs)), on_wide(isa, ExpOf(&inputs))])
        .collect();
    for (index, &x) in inputs.iter().enumerate() {
        let exact = (f64::from(x)).exp() as f32;
        let worst = ulps_between(results[0][index], exact);
        assert!(worst <= 2, "exp({x:e}) = {:e}, exactly {exact:e}", results[0][index]);
        for result in &results {
            assert_eq!(result[index].to_bits(), results[0][index].to_bits(), "exp({x:e})");
        }
    }
}

#[test]
fn exp_of_the_extremes_is_zero_infinity_or_nan() {
    let inputs =
        [f32::NEG_INFINITY, f32::MIN, -103.98, 0.0, 88.73, f32::MAX, f32::INFINITY, f32::NAN];
    let twice = [inputs, inputs].concat();
    for isa in Isa::available() {
        let e = on(isa, ExpOf(&inputs));
        let wide = on_wide(isa, ExpOf(&twice));
        assert_eq!(wide[..7], e[..7], "{}", isa.name());
        assert!(wide[7].is_nan() && wide[15].is_nan(), "{}", isa.name());
        assert_eq!(e[..4], [0.0, 0.0, 0.0, 1.0], "{}", isa.name());
        assert_eq!(e[4..7], [f32::INFINITY; 3], "{}", isa.name());
        assert!(e[7].is_nan(), "{}", isa.name());
    }
}

/// Everything `Lanes` has, once, on two vectors.
struct EveryOperation<const N: usize>([f32; N], [f32; N]);

impl<const N: usize> Operation<N> for EveryOperation<N> {
    type Output = Vec<[u32; N]>;

    #[inline(always)]
    fn run<L: Lanes<N>>(self, lanes: L) -> Self::Output {
        let (a, b) = (lanes.load(&self.0), lanes.load(&self.1));
        let half = lanes.to_half(a);
        lanes.prefetch(&raw const self.0);
        let whole = lanes.min(lanes.splat(127.0), lanes.max(lanes.splat(-126.0), b));
        let whole =
            lanes.sub(lanes.add(whole, lanes.splat(12_582_912.0)), lanes.splat(12_582_912.0));
        let small = lanes.add(lanes.splat(1.0), lanes.div(b, lanes.splat(400.0)));
        let power = lanes.max(lanes.splat(-150.0), lanes.mul(whole, lanes.splat(2.0)));
        let power = lanes.min(lanes.splat(128.0), power);
        let mut results = vec![
            lanes.add(a, b),
            lanes.sub(a, b),
            lanes.mul(a, b),
            lanes.div(a, b),
            lanes.fma(a, b, b),
            lanes.max(a, b),
            lanes.min(a, b),
            lanes.abs(a),
            lanes.select_less(a, b, whole, a),
            lanes.power_of_two(whole),
            lanes.times_power_of_two(small, power),
            lanes.splat(lanes.sum(a)),
            lanes.splat(lanes.largest(b)),
            lanes.load_half(&half),
            lanes.load_int8(&half.map(|bits| bits as i8)),
        ];
        let codes = lanes.codes(&self.1.map(|x| x.to_bits().to_le_bytes()));
        let four = lanes.four(self.0[0].to_bits().to_le_bytes().map(|byte| byte as i8));
        let sums = lanes.add_products(lanes.integers(-7), codes, four);
        let most = lanes.four([i8::MIN; 4]);
        let sums_2 = lanes.add_products(sums, lanes.codes(&[[u8::MAX; 4]; N]), most);
        results.extend([lanes.to_floats(sums), lanes.to_floats(sums_2)]);
        let rows = std::array::from_fn(|row| lanes.add(lanes.splat(row as f32), a));
        results.extend(lanes.transpose(rows));
        results.iter().map(|&v| lanes.to_array(v).map(f32::to_bits)).collect()
    }
}

proptest::proptest! {
    #[test]
    fn every_instruction_set_gives_the_bits_of_the_scalar_definition(
        a in proptest::array::uniform8(-1e5f32..1e5),
        b in proptest::array::uniform8(-200f32..200.0),
    ) {
        let expected = on(Isa::Scalar, EveryOperation(a, b));
        for isa in Isa::available() {
            proptest::prop_assert_eq!(&on(isa, EveryOperation(a, b)), &expected, "{}", isa.name());
        }
    }

    #[test]
    fn wide_vectors_give_the_bits_of_the_scalar_definition(
        a in proptest::array::uniform16(-1e5f32..1e5),
        b in proptest::array::uniform16(-200f32..200.0),
    ) {
        let expected = on_wide(Isa::Scalar, EveryOperation(a, b));
        for isa in Isa::available() {
            let found = on_wide(isa, EveryOperation(a, b));
            proptest::prop_assert_eq!(&found, &expected, "{}", isa.name());
        }
    }
}

#[test]
fn a_comparison_with_nan_gives_the_second_operand() {
    struct MaxMin;
    impl<const N: usize> Operation<N> for MaxMin {
        type Output = [f32; 4];
        #[inline(always)]
        fn run<L: Lanes<N>>(self, lanes: L) -> [f32; 4] {
            let (nan, one) = (lanes.splat(f32::NAN), lanes.splat(1.0));
            [lanes.max(nan, one), lanes.min(nan, one), lanes.max(one, nan), lanes.min(one, nan)]
                .map(|v| lanes.to_array(v)[3])
        }
    }
    for isa in Isa::available() {
        for [a, b, c, d] in [on(isa, MaxMin), on_wide(isa, MaxMin)] {
            assert_eq!([a, b], [1.0, 1.0], "{}", isa.name());
            assert!(c.is_nan() && d.is_nan(), "{}", isa.name());
        }
    }
}
