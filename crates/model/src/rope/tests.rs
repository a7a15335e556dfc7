use super::*;
use baimo_blueprint::RopeStyle;
use baimo_kernels::{HeadLayout, Kernels, rope};

fn rope_of(dim: usize, theta: f64, scaling: RopeScaling) -> Rope {
    Rope { scaling, ..Rope::new(dim, RopeStyle::Half, theta) }
}

fn plain(dim: usize, theta: f64) -> Vec<f32> {
    (0..dim / 2).map(|pair| (1.0 / theta.powf((2 * pair) as f64 / dim as f64)) as f32).collect()
}

/// In a sequence without a prompt.
fn at(position: usize) -> Place {
    Place::causal(position, 0)
}

fn near(found: f32, expected: f64) {
    assert!((f64::from(found) / expected - 1.0).abs() < 1e-6, "{found}, expected {expected}");
}

#[test]
fn an_angle_is_position_times_frequency() {
    let rope = rope_of(8, 10_000.0, RopeScaling::None);
    let angles = angles(&rope, &[at(0), at(3)]);
    assert_eq!(angles.cos[..4], [1.0; 4]);
    assert_eq!(angles.sin[..4], [0.0; 4]);
    for (pair, frequency) in [1.0, 0.1, 0.01, 0.001].into_iter().enumerate() {
        near(angles.cos[4 + pair], f64::cos(3.0 * frequency));
        near(angles.sin[4 + pair], f64::sin(3.0 * frequency));
    }
}

#[test]
fn linear_scaling_and_divisors_divide() {
    let linear = frequencies(&rope_of(8, 1e4, RopeScaling::Linear { factor: 4.0 }), &at(0));
    let by = vec![4.0, 1.0, 2.0, 8.0];
    let divided = frequencies(&rope_of(8, 1e4, RopeScaling::Divided { by: by.clone() }), &at(0));
    for (pair, kept) in plain(8, 1e4).into_iter().enumerate() {
        near(linear[pair], f64::from(kept) / 4.0);
        near(divided[pair], f64::from(kept) / f64::from(by[pair]));
    }
}

#[test]
fn a_fixed_alpha_stretches_the_base_at_every_position() {
    let stretched = rope_of(8, 1e4, RopeScaling::Ntk { alpha: 1000.0 });
    let wanted = plain(8, 1e4 * f64::powf(1000.0, 8.0 / 6.0));
    for position in [0, 100_000] {
        for (found, wanted) in frequencies(&stretched, &at(position)).into_iter().zip(&wanted) {
            near(found, f64::from(*wanted));
        }
    }
}

/// The YaRN that a released model of 671 B parameters has.
fn yarn(attention: f32, truncate: bool) -> Rope {
    let scaling = RopeScaling::Yarn {
        factor: 40.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        truncate,
        original: 4096,
        attention,
    };
    rope_of(64, 10_000.0, scaling)
}

#[test]
fn yarn_keeps_fast_pairs_divides_slow_ones_and_blends_between() {
    // 32 turns in 4096 positions are at pair 10.47, one turn is at pair 22.51.
    let (found, kept) = (frequencies(&yarn(1.0, true), &at(0)), plain(64, 1e4));
    for pair in 0..32 {
        let share = ((pair as f64 - 10.0) / 13.0).clamp(0.0, 1.0);
        near(found[pair], f64::from(kept[pair]) * (1.0 - share + share / 40.0));
    }
    assert_eq!(found[..=10], kept[..=10]);
    let exact = frequencies(&yarn(1.0, false), &at(0));
    assert!(exact[11] > found[11] && exact[22] < found[22], "{exact:?}");
}

#[test]
fn yarn_multiplies_cosine_and_sine() {
    let (once, twice) = (angles(&yarn(1.0, true), &[at(5)]), angles(&yarn(2.0, true), &[at(5)]));
    for (once, twice) in [(once.cos, twice.cos), (once.sin, twice.sin)] {
        assert_eq!(once.iter().map(|x| 2.0 * x).collect::<Vec<_>>(), twice);
    }
}

#[test]
fn llama3_keeps_short_waves_stretches_long_ones_and_blends_between() {
    let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192 };
    let found = frequencies(&rope_of(128, 500_000.0, scaling), &at(0));
    let mut met = [0; 3];
    for (found, kept) in found.into_iter().zip(plain(128, 500_000.0)) {
        let kept = f64::from(kept);
        let wave = TAU / kept;
        let (kind, expected) = if wave < 8192.0 / 4.0 {
            (0, kept)
        } else if wave > 8192.0 {
            (1, kept / 8.0)
        } else {
            let smooth = (8192.0 / wave - 1.0) / (4.0 - 1.0);
            (2, (1.0 - smooth) * kept / 8.0 + smooth * kept)
        };
        met[kind] += 1;
        near(found, expected);
    }
    assert!(met.iter().all(|count| *count > 0), "{met:?}");
}

#[test]
fn dynamic_scaling_moves_only_beyond_the_original_context() {
    let rope = rope_of(64, 10_000.0, RopeScaling::Dynamic { factor: 6.0, original: 100 });
    assert_eq!(frequencies(&rope, &at(0)), plain(64, 1e4));
    assert_eq!(frequencies(&rope, &at(99)), plain(64, 1e4));
    // At position 149 the context is half as long again: 6 · 1.5 - 5 = 4.
    let theta = 10_000.0 * 4_f64.powf(64.0 / 62.0);
    for (found, expected) in frequencies(&rope, &at(149)).into_iter().zip(plain(64, theta)) {
        near(found, f64::from(expected));
    }
}

#[test]
fn dynamic_scaling_goes_by_the_length_of_the_prompt_and_then_by_the_length_reached() {
    let rope = rope_of(16, 10_000.0, RopeScaling::Dynamic { factor: 6.0, original: 4 });
    let found = |position, prompt| frequencies(&rope, &Place::causal(position, prompt));
    assert_eq!(found(2, 4), plain(16, 1e4));
    assert_eq!(found(2, 10), found(9, 10), "one base for a prompt");
    assert_eq!(found(9, 10), found(9, 1), "the tenth token, given or written");
    assert_ne!(found(10, 10), found(9, 10), "another for what follows");
}

#[test]
fn longrope_goes_by_the_length_of_the_prompt_and_then_by_the_length_reached() {
    let (short, long) = (vec![1.0, 2.0], vec![4.0, 16.0]);
    let scaling = RopeScaling::Long { short, long, original: 10, attention: 1.25 };
    let rope = rope_of(4, 100.0, scaling);
    let divided = |by: [f32; 2]| vec![1.0 / by[0], (0.1 / f64::from(by[1])) as f32];
    for (position, prompt, by) in
        [(3, 10, [1.0, 2.0]), (3, 11, [4.0, 16.0]), (9, 5, [1.0, 2.0]), (10, 5, [4.0, 16.0])]
    {
        let place = Place::causal(position, prompt);
        assert_eq!(frequencies(&rope, &place), divided(by), "{place:?}");
        let angles = angles(&rope, &[place]);
        near(angles.sin[0], 1.25 * f64::sin(position as f64 / f64::from(by[0])));
    }
}

#[test]
fn interleaved_and_half_split_agree_but_for_the_order() {
    let kernels = Kernels::new(1);
    let dim = 16;
    let Angles { cos, sin } = angles(&rope_of(dim, 100.0, RopeScaling::None), &[at(7)]);
    let layout = HeadLayout::packed(1, dim);
    let mut half: Vec<f32> = (0..dim).map(|at| (at as f32 * 1.7).sin()).collect();
    let interleave =
        |half: &[f32]| -> Vec<f32> { (0..dim).map(|at| half[at / 2 + at % 2 * dim / 2]).collect() };
    let mut interleaved = interleave(&half);
    let before = half.clone();
    rope::rope(&kernels, &mut half, layout, &cos, &sin, rope::RopeStyle::Half);
    rope::rope(&kernels, &mut interleaved, layout, &cos, &sin, rope::RopeStyle::Interleaved);
    assert_eq!(interleaved, interleave(&half));
    assert_ne!(half, before);
}
