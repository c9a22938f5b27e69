//! Charts as SVG without scripts. A chart is drawn once for each width it is shown at, so that its text has the
//! same size everywhere. Colours come from the style sheet ([`STYLE`]), light or dark; they are Okabe and Ito's,
//! which colour-blind readers tell apart, and every series has a shape and a dash of its own besides.

mod plot;
mod ticks;

pub use ticks::Tick;

use plot::Plot;
use std::fmt::Write;

/// Colours and strokes of charts, for the page and for files of their own.
pub const STYLE: &str = include_str!("chart.css");

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Stands above it.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// What is drawn, the first at the back.
    pub series: Vec<Series>,
    /// Dashed horizontals.
    pub levels: Vec<f64>,
    /// What the marks mean.
    pub legend: Vec<(Symbol, String)>,
    /// Said where there is nothing to draw.
    pub empty: &'static str,
}

/// An axis: its label with the unit, and the numbers on it.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What is told, with its unit.
    pub label: String,
    /// From where to where.
    pub scale: Scale,
    /// Where and what; round numbers if absent.
    pub ticks: Option<Vec<Tick>>,
}

/// From values to places on an axis.
#[derive(Clone, Copy, Debug)]
pub enum Scale {
    /// Equal differences are equally far apart.
    Linear {
        /// At the near end.
        low: f64,
        /// At the far end.
        high: f64,
    },
    /// Equal ratios are.
    Log {
        /// At the near end, above 0.
        low: f64,
        /// At the far end.
        high: f64,
    },
}

/// What has one look.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Which series: colours, shapes and dashes follow from it, and together differ for all that a chart can show.
    pub look: usize,
    /// Single points.
    pub dots: Vec<(f64, f64)>,
    /// A solid line through points.
    pub line: Vec<(f64, f64)>,
    /// A dashed one.
    pub dashed: Vec<(f64, f64)>,
    /// Around the line, in pieces: there is none between them.
    pub band: Vec<Vec<(f64, [f64; 2])>>,
    /// Upright intervals.
    pub bars: Vec<(f64, [f64; 2])>,
    /// Rings, larger than dots.
    pub rings: Vec<(f64, f64)>,
    /// Where on the x axis runs failed, one above the other where several did.
    pub crosses: Vec<f64>,
}

/// What the legend shows beside a text.
#[derive(Clone, Copy, Debug)]
pub enum Symbol {
    /// A dot of this look.
    Dot(usize),
    /// A solid line.
    Line(usize),
    /// Both.
    DotAndLine(usize),
    /// A dashed line.
    Dashed(usize),
    /// A band.
    Band(usize),
    /// The horizontal of this place in [`Chart::levels`].
    Level(usize),
    /// A failed run.
    Cross,
}

/// How large a chart is drawn, in CSS pixels.
#[derive(Clone, Copy, Debug)]
pub struct Size {
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
/// Points of shorter lines are marked, those of longer ones would hide the line.
const MARKED_POINTS: usize = 30;

/// For a page.
pub const WIDE: Size = Size {
    width: 1046.0,
    plot_height: 360.0,
    left: 54.0,
    right: 14.0,
    font: 12.0,
    title: 15.0,
    small: false,
};
/// For a file, a sheet of paper or a small tablet.
pub const MEDIUM: Size =
    Size { width: 720.0, plot_height: 310.0, left: 54.0, right: 14.0, font: 12.0, title: 15.0, small: false };
/// For a phone.
pub const NARROW: Size =
    Size { width: 326.0, plot_height: 230.0, left: 44.0, right: 12.0, font: 11.0, title: 13.0, small: false };
/// One of many.
pub const SMALL: Size =
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
    /// With ticks at round numbers.
    pub fn new(label: impl Into<String>, scale: Scale) -> Axis {
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
    /// As [`Self::around`] the values; bands and bars count as far as they do not press them into a thin stripe.
    pub fn around_with_bands(values: &[f64], series: &[Series]) -> Scale {
        let (low, high) = ends(values.iter().copied());
        let room = (high - low).max(LEAST_SPAN);
        let bands = series.iter().flat_map(|series| series.band.iter().flatten().chain(&series.bars));
        let bands = bands.flat_map(|(_, ends)| *ends);
        Scale::around(bands.map(|end| end.clamp(low - room, high + room)).chain(values.iter().copied()))
    }

    /// Linear, from a round number below to a round number above all values.
    pub fn around(values: impl IntoIterator<Item = f64>) -> Scale {
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

    /// This scale without what lies outside of 0 to 1, where no share can be.
    pub fn of_shares(self) -> Scale {
        match self {
            Scale::Linear { low, high } => Scale::Linear { low: low.max(0.0), high: high.min(1.0) },
            Scale::Log { low, high } => Scale::Log { low, high: high.min(1.0) },
        }
    }

    /// Linear from 0 on.
    pub fn from_zero(values: impl IntoIterator<Item = f64>) -> Scale {
        let (_, high) = ends(values);
        Scale::Linear { low: 0.0, high: if high > 0.0 { 1.05 * high } else { 1.0 } }
    }

    /// Logarithmic where values span more than a factor of 20, else linear from 0 on.
    pub fn of_sizes(values: impl IntoIterator<Item = f64>) -> Scale {
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

fn file(title: &str, height: f64, inner: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" aria-label=\"{title}\" \
         viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-size=\"{font}\">\n\
         <style>\n{STYLE}</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n{inner}</svg>\n",
        title = escape(title),
        width = MEDIUM.width,
        font = MEDIUM.font,
    )
}

impl Chart {
    /// A line for each name, on axes that fit all of them; points that are not finite are left out. For other
    /// scales or ticks replace [`Self::x`] and [`Self::y`].
    pub fn lines(
        title: impl Into<String>,
        x: impl Into<String>,
        y: impl Into<String>,
        lines: impl IntoIterator<Item = (impl Into<String>, Vec<(f64, f64)>)>,
    ) -> Chart {
        let (mut series, mut legend) = (Vec::new(), Vec::new());
        for (look, (name, mut line)) in lines.into_iter().enumerate() {
            line.retain(|(x, y)| x.is_finite() && y.is_finite());
            let is_marked = line.len() <= MARKED_POINTS;
            legend.push((if is_marked { Symbol::DotAndLine(look) } else { Symbol::Line(look) }, name.into()));
            let dots = if is_marked { line.clone() } else { Vec::new() };
            series.push(Series { look, dots, line, ..Series::default() });
        }
        let points = || series.iter().flat_map(|series| &series.line);
        Chart {
            title: title.into(),
            x: Axis::new(x, Scale::around(points().map(|point| point.0))),
            y: Axis::new(y, Scale::around(points().map(|point| point.1))),
            series,
            levels: Vec::new(),
            legend,
            empty: "nothing to draw",
        }
    }

    /// The picture, to stand in a page that has [`STYLE`].
    pub fn svg(&self, size: Size) -> String {
        let (height, inner) = self.drawn(size);
        format!(
            "<svg class=\"chart\" role=\"img\" aria-label=\"{title}\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" font-size=\"{font}\">\n{inner}</svg>\n",
            title = escape(&self.title),
            width = size.width,
            font = size.font,
        )
    }

    /// The picture as a file of its own.
    pub fn file(&self) -> String {
        let (height, inner) = self.drawn(MEDIUM);
        file(&self.title, height, &inner)
    }

    /// Pictures below one another as one file, called by all their titles.
    pub fn stacked(charts: &[Chart]) -> String {
        const GAP: f64 = 24.0;
        let (mut top, mut all) = (0.0, String::new());
        for chart in charts {
            let (height, inner) = chart.drawn(MEDIUM);
            writeln!(all, "<g transform=\"translate(0 {top:.1})\">\n{inner}</g>").expect("memory");
            top += height + GAP;
        }
        let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
        file(&titles.join("; "), (top - GAP).max(0.0), &all)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_of_lines_fits_them_and_names_them() {
        let losses = (1..=200).map(|step| (f64::from(step), 1.0 / f64::from(step).sqrt())).collect();
        let scores = vec![(40.0, 0.61), (80.0, f64::NAN), (120.0, 0.7), (160.0, 0.72)];
        let svg = Chart::lines("R & D", "step", "value", [("loss", losses), ("AUC", scores)]).file();
        let count = |what: &str| svg.matches(what).count();
        assert_eq!((count("class=\"line s0 c0\""), count("class=\"line s1 c1\"")), (2, 2), "drawn and named");
        assert_eq!(
            (count("class=\"dot c0\""), count("class=\"dot c1\"")),
            (0, 3 + 1),
            "few points are marked"
        );
        for text in ["R &amp; D", ">step<", ">value<", ">loss<", ">AUC<", ">0<", ">200<", ">1.0<"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert!(!svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn a_chart_of_nothing_says_so() {
        let nothing: [(&str, Vec<(f64, f64)>); 1] = [("loss", vec![(1.0, f64::INFINITY)])];
        let svg = Chart::lines("Loss", "step", "loss", nothing).file();
        assert!(svg.contains(">nothing to draw<") && !svg.contains("inf"), "{svg}");
    }
}
