use super::*;
use crate::Isa;

const LAYOUT: HeadLayout =
    HeadLayout { row_stride: 100, start: 4, heads: 3, head_stride: 32, width: 20 };

fn everywhere() -> Vec<Kernels> {
    Isa::available().into_iter().map(|isa| Kernels::on(isa, 2)).collect()
}

fn input(rows: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let x = (0..rows * 100).map(|i| ((i * 31 % 89) as f32 - 44.0) / 17.0).collect();
    let angles: Vec<f32> = (0..rows * 10).map(|i| (i as f32) * 0.37).collect();
    let cos = angles.iter().map(|a| a.cos()).collect();
    (x, cos, angles.iter().map(|a| a.sin()).collect())
}

#[test]
fn pairs_turn_by_their_angle_and_the_rest_stays() {
    let (x, cos, sin) = input(5);
    for style in [RopeStyle::Half, RopeStyle::Interleaved] {
        let mut expected = x.clone();
        for (row, head, pair) in
            (0..5).flat_map(|r| (0..3).flat_map(move |h| (0..10).map(move |p| (r, h, p))))
        {
            let start = row * 100 + 4 + head * 32;
            let (first, second) = match style {
                RopeStyle::Half => (start + pair, start + pair + 10),
                RopeStyle::Interleaved => (start + 2 * pair, start + 2 * pair + 1),
            };
            let (cos, sin) = (cos[row * 10 + pair], sin[row * 10 + pair]);
            expected[first] = x[first] * cos - x[second] * sin;
            expected[second] = x[second] * cos + x[first] * sin;
        }
        for kernels in everywhere() {
            let mut turned = x.clone();
            rope(&kernels, &mut turned, LAYOUT, &cos, &sin, style);
            assert_eq!(turned, expected, "{style:?} {}", kernels.isa.name());
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let (x, cos, sin) = input(400);
    for kernels in everywhere() {
        let (mut together, mut alone) = (x.clone(), x.clone());
        rope(&kernels, &mut together, LAYOUT, &cos, &sin, RopeStyle::Half);
        for (row, x) in alone.chunks_mut(100).enumerate() {
            let at = row * 10..row * 10 + 10;
            rope(&kernels, x, LAYOUT, &cos[at.clone()], &sin[at], RopeStyle::Half);
        }
        assert_eq!(together, alone, "{}", kernels.isa.name());
    }
}
