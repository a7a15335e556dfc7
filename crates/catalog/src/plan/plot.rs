//! A picture of memory and speed against context, in SVG: three quiet curves on one page.

use super::forecast::{Forecast, Point};
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 76.0;
const TOP: f64 = 44.0;
/// From one panel's top to the next one's.
const STEP: f64 = HEIGHT + 72.0;

/// One curve with a scale of its own, from zero upwards.
struct Panel<'a> {
    title: &'a str,
    value: fn(&Point) -> Option<f64>,
    label: fn(f64) -> String,
    colour: &'a str,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "memory in all",
        value: |point| Some(point.memory as f64),
        label: |bytes| format!("{:.1} GiB", bytes / f64::from(1 << 30)),
        colour: "#3b6ea5",
    },
    Panel {
        title: "answers, tokens a second",
        value: |point| point.answer_tokens_per_second,
        label: |rate| format!("{rate:.1}"),
        colour: "#2f7d5b",
    },
    Panel {
        title: "prompts, tokens a second",
        value: |point| point.prompt_tokens_per_second,
        label: |rate| format!("{rate:.0}"),
        colour: "#9a5b2c",
    },
];

/// The picture; `title` stands above it.
pub fn svg(title: &str, forecast: &Forecast) -> String {
    let height = TOP + PANELS.len() as f64 * STEP;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {height}\" width=\"{w}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\" \
         fill=\"#444\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        w = LEFT + WIDTH + 24.0,
    );
    text(&mut out, 16.0, 24.0, "start", &escaped(title));
    text(
        &mut out,
        16.0,
        height - 12.0,
        "start",
        &escaped(&format!("{}: {}", forecast.machine, forecast.basis)),
    );
    for (index, panel) in PANELS.iter().enumerate() {
        panel.draw(&mut out, &forecast.points, TOP + 24.0 + index as f64 * STEP);
    }
    out.push_str("</svg>\n");
    out
}

impl Panel<'_> {
    fn draw(&self, out: &mut String, points: &[Point], top: f64) {
        let known = points.iter().filter_map(|point| Some((point.context, (self.value)(point)?)));
        let known: Vec<(usize, f64)> = known.collect();
        text(out, LEFT, top - 10.0, "start", self.title);
        let most = known.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let last = points.last().map_or(1, |point| point.context.max(1)) as f64;
        if most <= 0.0 {
            return text(out, LEFT + 8.0, top + 20.0, "start", "not known");
        }
        let most = nice(most);
        let y = |value: f64| top + HEIGHT * (1.0 - value / most);
        let x = |context: usize| LEFT + WIDTH * context as f64 / last;
        for quarter in 0..=4 {
            let value = most * f64::from(quarter) / 4.0;
            line(out, [LEFT, y(value), LEFT + WIDTH, y(value)]);
            text(out, LEFT - 8.0, y(value) + 4.0, "end", &(self.label)(value));
        }
        let mut free = f64::NEG_INFINITY;
        for point in points {
            let at = x(point.context);
            // Where numbers would lie on each other, the later one is left out.
            if at - free >= 0.0 || point.context as f64 == last {
                text(out, at, top + HEIGHT + 18.0, "middle", &point.context.to_string());
                free = at + 48.0;
            }
        }
        let path: Vec<String> =
            known.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
        let (path, colour) = (path.join(" "), self.colour);
        let curve = "fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\"";
        _ = writeln!(out, "<polyline points=\"{path}\" stroke=\"{colour}\" {curve}/>");
    }
}

/// The next larger of 1, 2, 4, 5, 8 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
    power * steps.into_iter().find(|step| step * power >= value).unwrap_or(10.0)
}

fn line(out: &mut String, [x1, y1, x2, y2]: [f64; 4]) {
    _ = writeln!(
        out,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#e4e4e4\"/>"
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_curve_for_all_that_is_known() {
        let point = |context: usize, prompt: Option<f64>| Point {
            context,
            prompt_tokens_per_second: prompt,
            answer_tokens_per_second: Some(20.0 - context as f64 / 1000.0),
            memory: (1 << 30) + context,
        };
        let forecast = |prompt| Forecast {
            machine: "A & B <1>".to_owned(),
            basis: "made up".to_owned(),
            points: vec![point(0, prompt), point(1024, prompt), point(4096, prompt)],
        };
        let whole = svg("model", &forecast(Some(100.0)));
        assert_eq!(whole.matches("<polyline").count(), 3);
        assert!(whole.contains("A &amp; B &lt;1&gt;") && whole.ends_with("</svg>\n"));
        let part = svg("model", &forecast(None));
        assert_eq!((part.matches("<polyline").count(), part.matches("not known").count()), (2, 1));
    }

    #[test]
    fn scales_end_at_round_numbers() {
        for (value, wanted) in [(1.0, 1.0), (1.1, 2.0), (3.0, 4.0), (45.0, 50.0), (90.0, 100.0)] {
            assert!((nice(value) - wanted).abs() < 1e-9 * wanted, "{value}: {}", nice(value));
        }
    }
}
