//! Charts as SVG without scripts. A chart is drawn once for each width it is shown at, so that its text has the
//! same size everywhere. Colours come from the style sheet ([`STYLE`]), light or dark; they are Okabe and Ito's,
//! which colour-blind readers tell apart, and every series has a shape and a dash of its own besides.

mod plot;
mod ticks;

pub(super) use ticks::{Tick, duration, time_unit};

use plot::Plot;
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// Colours and strokes of charts, for the page and for files of their own.
pub(super) const STYLE: &str = include_str!("chart.css");

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// Dashed horizontals.
    pub(super) levels: Vec<f64>,
    pub(super) legend: Vec<(Symbol, String)>,
    /// Said where there is nothing to draw.
    pub(super) empty: &'static str,
}

/// An axis: its label with the unit, and the numbers on it.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) scale: Scale,
    /// Where and what; round numbers if absent.
    pub(super) ticks: Option<Vec<Tick>>,
}

/// From values to places on an axis.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scale {
    Linear { low: f64, high: f64 },
    Log { low: f64, high: f64 },
}

/// What has one look.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    /// Which series: colours, shapes and dashes follow from it, and together differ for all that a chart can show.
    pub(super) look: usize,
    pub(super) dots: Vec<(f64, f64)>,
    pub(super) line: Vec<(f64, f64)>,
    pub(super) dashed: Vec<(f64, f64)>,
    /// Around the line.
    pub(super) band: Vec<(f64, [f64; 2])>,
    /// Upright intervals.
    pub(super) bars: Vec<(f64, [f64; 2])>,
    /// Rings, larger than dots.
    pub(super) rings: Vec<(f64, f64)>,
    /// Where on the x axis runs failed.
    pub(super) crosses: Vec<f64>,
}

/// What the legend shows beside a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Symbol {
    Dot(usize),
    Line(usize),
    DotAndLine(usize),
    Dashed(usize),
    Band(usize),
    Level(usize),
    Cross,
}

/// How large a chart is drawn, in CSS pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    width: f64,
    plot_height: f64,
    left: f64,
    right: f64,
    font: f64,
    title: f64,
    /// One of many: without legend and axis labels, which stand once above all.
    small: bool,
}

/// Scores that differ by less are not drawn farther apart.
const LEAST_SPAN: f64 = 0.02;

/// For a page or a file.
pub(super) const WIDE: Size =
    Size { width: 720.0, plot_height: 310.0, left: 54.0, right: 14.0, font: 12.0, title: 15.0, small: false };
/// For a phone.
pub(super) const NARROW: Size =
    Size { width: 326.0, plot_height: 230.0, left: 44.0, right: 12.0, font: 11.0, title: 13.0, small: false };
/// One of many.
pub(super) const SMALL: Size =
    Size { width: 232.0, plot_height: 150.0, left: 38.0, right: 10.0, font: 10.5, title: 12.0, small: true };

impl Size {
    /// The width of text, estimated from above.
    fn text_width(&self, text: &str) -> f64 {
        0.58 * self.font * text.chars().count() as f64
    }

    fn line_height(&self) -> f64 {
        (self.font * 1.6).round()
    }
}

impl Axis {
    pub(super) fn new(label: impl Into<String>, scale: Scale) -> Axis {
        Axis { label: label.into(), scale, ticks: None }
    }

    fn ticks(&self, most: usize) -> Vec<Tick> {
        match (&self.ticks, self.scale) {
            (Some(ticks), _) => ticks.clone(),
            (None, Scale::Linear { low, high }) => ticks::linear(low, high, most),
            (None, Scale::Log { low, high }) => ticks::logarithmic(low, high, most),
        }
    }
}

impl Scale {
    /// As [`Self::around`] the values; a band counts as far as it does not press them into a thin stripe.
    pub(super) fn around_with_bands(values: &[f64], series: &[Series]) -> Scale {
        let (low, high) = ends(values.iter().copied());
        let room = (high - low).max(LEAST_SPAN);
        let bands = series.iter().flat_map(|series| &series.band).flat_map(|(_, ends)| *ends);
        Scale::around(bands.map(|end| end.clamp(low - room, high + room)).chain(values.iter().copied()))
    }

    /// Linear, from a round number below to a round number above all values.
    pub(super) fn around(values: impl IntoIterator<Item = f64>) -> Scale {
        let (low, high) = ends(values);
        if low > high {
            return Scale::Linear { low: 0.0, high: 1.0 };
        }
        // One value alone stands in the middle of some room.
        let room = (LEAST_SPAN - (high - low)).max(0.0) / 2.0;
        let (low, high) = (low - room, high + room);
        let step = ticks::step(high - low, 6);
        Scale::Linear { low: (low / step - 1e-9).floor() * step, high: (high / step + 1e-9).ceil() * step }
    }

    /// Linear from 0 on.
    pub(super) fn from_zero(values: impl IntoIterator<Item = f64>) -> Scale {
        let (_, high) = ends(values);
        Scale::Linear { low: 0.0, high: if high > 0.0 { 1.05 * high } else { 1.0 } }
    }

    /// Logarithmic where values span more than a factor of 20, else linear from 0 on.
    pub(super) fn of_sizes(values: impl IntoIterator<Item = f64>) -> Scale {
        let values: Vec<f64> = values.into_iter().filter(|value| *value > 0.0).collect();
        let (low, high) = ends(values.iter().copied());
        if high / low > 20.0 {
            Scale::Log { low: low / 1.25, high: high * 1.25 }
        } else {
            Scale::from_zero(values)
        }
    }

    /// 0 at the low end, 1 at the high end.
    fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear { low, high } => (value - low) / (high - low),
            Scale::Log { low, high } => (value / low).ln() / (high / low).ln(),
        }
    }
}

fn ends(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let fold = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
    values.into_iter().filter(|value| value.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), fold)
}

impl Chart {
    /// The picture, to stand in a page that has [`STYLE`].
    pub(super) fn svg(&self, size: Size) -> String {
        let (height, inner) = self.drawn(size);
        format!(
            "<svg class=\"chart\" role=\"img\" aria-label=\"{title}\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" font-size=\"{font}\">\n{inner}</svg>\n",
            title = escape(&self.title),
            width = size.width,
            font = size.font,
        )
    }

    /// What is drawn, as numbers.
    pub(super) fn json(&self) -> Json {
        let series = |series: &Series| {
            json!({ "dots": series.dots, "line": series.line, "dashed": series.dashed, "band": series.band,
                "bars": series.bars, "rings": series.rings, "crosses": series.crosses })
        };
        json!({
            "title": self.title,
            "x": self.x.label,
            "y": self.y.label,
            "levels": self.levels,
            "series": self.series.iter().map(series).collect::<Vec<_>>(),
            "legend": self.legend.iter().map(|(_, text)| text).collect::<Vec<_>>(),
        })
    }

    /// The picture as a file of its own.
    pub(super) fn file(&self) -> String {
        let (height, inner) = self.drawn(WIDE);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" aria-label=\"{title}\" \
             viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-size=\"{font}\">\n\
             <style>\n{STYLE}</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n{inner}</svg>\n",
            title = escape(&self.title),
            width = WIDE.width,
            font = WIDE.font,
        )
    }

    fn drawn(&self, size: Size) -> (f64, String) {
        let mut top = size.title + 6.0;
        let mut svg = String::new();
        writeln!(
            svg,
            "<text class=\"title\" x=\"1\" y=\"{:.1}\" font-size=\"{}\">{}</text>",
            size.title,
            size.title,
            escape(&self.title)
        )
        .expect("memory");
        if !size.small {
            let (legend, lines) = self.legend(size, top + size.line_height());
            svg += &legend;
            top += size.line_height() * (lines as f64 + 1.0);
            // The label of the y axis stands above it, where it is read without turning the head.
            writeln!(svg, "<text class=\"soft\" x=\"1\" y=\"{top:.1}\">{}</text>", escape(&self.y.label))
                .expect("memory");
        }
        let plot = Plot { chart: self, size, top: top + 12.0 };
        svg += &plot.svg();
        (plot.height(), svg)
    }

    /// What the marks mean, and how many lines it takes to say so.
    fn legend(&self, size: Size, first: f64) -> (String, usize) {
        const SYMBOL: f64 = 28.0;
        let (mut svg, mut x, mut line) = (String::new(), 0.0, 0);
        for (symbol, text) in &self.legend {
            let room = ((size.width - SYMBOL - 14.0) / (0.58 * size.font)) as usize;
            let text = cut(text, room);
            let width = SYMBOL + size.text_width(&text) + 14.0;
            if x > 0.0 && x + width > size.width {
                (x, line) = (0.0, line + 1);
            }
            let y = first + size.line_height() * line as f64;
            writeln!(
                svg,
                "<g transform=\"translate({x:.1} {y:.1})\">{}<text x=\"{SYMBOL}\" y=\"0\">{}</text></g>",
                plot::symbol(*symbol, -0.35 * size.font),
                escape(&text)
            )
            .expect("memory");
            x += width;
        }
        (svg, if self.legend.is_empty() { 0 } else { line + 1 })
    }
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most - 1).chain(['…']).collect()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
