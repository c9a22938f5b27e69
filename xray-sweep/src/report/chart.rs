//! Charts as SVG: dots, lines and crosses between two axes. Colours are Okabe and Ito's, which colour-blind
//! readers tell apart, and every series has a shape and a dash of its own besides.

use super::ticks::Tick;
use std::fmt::Write;

/// A chart.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What a dot is.
    pub(super) dot: &'static str,
    /// What the lines are, if there are any.
    pub(super) line: Option<&'static str>,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// A dashed level with its name.
    pub(super) reference: Option<(f64, &'static str)>,
}

/// An axis: its label with the unit, the numbers on it, and fine lines between groups.
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) scale: Scale,
    pub(super) ticks: Vec<Tick>,
    pub(super) rules: Vec<f64>,
}

/// From values to places on an axis.
pub(super) enum Scale {
    Linear { low: f64, high: f64 },
    Log { low: f64, high: f64 },
}

/// What has one colour.
pub(super) struct Series {
    /// Empty for the only one.
    pub(super) name: String,
    pub(super) dots: Vec<(f64, f64)>,
    pub(super) line: Vec<(f64, f64)>,
    /// Where on the x axis runs failed.
    pub(super) crosses: Vec<f64>,
}

const WIDTH: f64 = 880.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 856.0;
const PLOT_HEIGHT: f64 = 340.0;
/// The first line of the legend.
const LEGEND: f64 = 60.0;
const LEGEND_LINE: f64 = 20.0;
/// Of 12 pixel type, rounded up.
const CHARACTER: f64 = 6.8;
/// Longer names are cut.
const NAME: usize = 90;

const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];
const DASHES: [&str; 4] = ["", "8 4", "2 4", "8 4 2 4"];
const CROSS: &str = "#222222";

/// Where values are drawn.
struct Plot<'a> {
    chart: &'a Chart,
    top: f64,
}

impl Chart {
    /// The picture.
    pub(super) fn svg(&self) -> String {
        let (legend, lines) = self.legend();
        let plot = Plot { chart: self, top: LEGEND + LEGEND_LINE * lines as f64 };
        let height = plot.bottom() + 62.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" font-size=\"12\" \
             fill=\"#222222\">\n<title>{title}</title>\n<rect width=\"100%\" height=\"100%\" \
             fill=\"#ffffff\"/>\n<text x=\"{LEFT}\" y=\"30\" font-size=\"17\" font-weight=\"bold\">{title}\
             </text>\n{legend}{axes}{marks}</svg>\n",
            title = escape(self.title),
            axes = plot.x_axis() + &plot.y_axis(),
            marks = plot.marks(),
        )
    }

    /// What the marks mean, and how many lines it takes to say so.
    fn legend(&self) -> (String, usize) {
        let mut entries: Vec<(String, String)> = Vec::new();
        let named = self.series.len() > 1;
        for (at, series) in self.series.iter().enumerate().filter(|_| named) {
            let name: String = series.name.chars().take(NAME).collect();
            let line = self.line.map(|_| stroke(at, "M-11 0H11")).unwrap_or_default();
            entries.push((line + &mark(at, 0.0, 0.0, 4.0), name));
        }
        if named {
            let line = self.line.map(|line| format!(", line: {line}")).unwrap_or_default();
            entries.push((String::new(), format!("mark: {}{line}", self.dot)));
        }
        let dots = self.series.iter().any(|series| !series.dots.is_empty());
        if !named && dots {
            entries.push((mark(0, 0.0, 0.0, 4.0), self.dot.into()));
            entries.extend(self.line.map(|line| (stroke(0, "M-11 0H11"), line.to_owned())));
        }
        let failed: usize = self.series.iter().map(|series| series.crosses.len()).sum();
        if failed > 0 {
            entries.push((cross(0.0, 0.0), format!("failed ({failed})")));
        }
        flow(&entries)
    }
}

/// Entries side by side, on as many lines as they need.
fn flow(entries: &[(String, String)]) -> (String, usize) {
    let (mut svg, mut x, mut line) = (String::new(), LEFT, 0);
    for (symbol, text) in entries {
        let width = 52.0 + CHARACTER * text.chars().count() as f64;
        if x > LEFT && x + width > RIGHT {
            (x, line) = (LEFT, line + 1);
        }
        let y = LEGEND - 8.0 + LEGEND_LINE * line as f64;
        let text = escape(text);
        writeln!(
            svg,
            "<g transform=\"translate({:.1} {y})\">{symbol}<text x=\"18\" y=\"4\">{text}</text></g>",
            x + 11.0
        )
        .expect("memory");
        x += width;
    }
    (svg, if entries.is_empty() { 0 } else { line + 1 })
}

impl Scale {
    /// 0 at the low end, 1 at the high end.
    fn place(&self, value: f64) -> f64 {
        match *self {
            Scale::Linear { low, high } => (value - low) / (high - low),
            Scale::Log { low, high } => (value / low).ln() / (high / low).ln(),
        }
    }
}

impl Plot<'_> {
    fn bottom(&self) -> f64 {
        self.top + PLOT_HEIGHT
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * self.chart.x.scale.place(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - PLOT_HEIGHT * self.chart.y.scale.place(value)
    }

    fn x_axis(&self) -> String {
        let bottom = self.bottom();
        let mut svg = String::new();
        for rule in &self.chart.x.rules {
            let (x, top) = (self.x(*rule), self.top);
            writeln!(svg, "<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"#e4e4e4\"/>").expect("memory");
        }
        let mut free = f64::NEG_INFINITY;
        for (value, text) in &self.chart.x.ticks {
            let (x, half) = (self.x(*value), CHARACTER * text.chars().count() as f64 / 2.0);
            if x - half < free {
                continue;
            }
            free = x + half + 6.0;
            if self.chart.x.rules.is_empty() {
                writeln!(svg, "<path d=\"M{x:.1} {bottom}v5\" stroke=\"#222222\"/>").expect("memory");
            }
            let y = bottom + 20.0;
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>")
                .expect("memory");
        }
        let (middle, below, label) = (f64::midpoint(LEFT, RIGHT), bottom + 46.0, escape(&self.chart.x.label));
        write!(
            svg,
            "<path d=\"M{LEFT} {bottom}H{RIGHT}\" stroke=\"#222222\"/>\n<text x=\"{middle}\" y=\"{below}\" \
             font-size=\"13\" text-anchor=\"middle\">{label}</text>\n"
        )
        .expect("memory");
        svg
    }

    fn y_axis(&self) -> String {
        let mut svg = String::new();
        for (value, text) in &self.chart.y.ticks {
            let y = self.y(*value);
            let (end, base) = (LEFT - 8.0, y + 4.0);
            write!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#e4e4e4\"/>\n\
                 <text x=\"{end}\" y=\"{base:.1}\" text-anchor=\"end\">{text}</text>\n"
            )
            .expect("memory");
        }
        let (middle, label) = (self.top + PLOT_HEIGHT / 2.0, escape(&self.chart.y.label));
        writeln!(
            svg,
            "<text transform=\"translate(22 {middle}) rotate(-90)\" font-size=\"13\" text-anchor=\"middle\">{label}</text>"
        )
        .expect("memory");
        svg
    }

    fn marks(&self) -> String {
        let mut svg = self.reference();
        let all = self.chart.series.iter().map(|series| series.dots.len()).sum::<usize>();
        let radius = match all {
            0..200 => 4.5,
            200..1000 => 3.0,
            _ => 2.0,
        };
        let series = || self.chart.series.iter().enumerate();
        for (at, series) in series() {
            let points: Vec<_> = series
                .line
                .iter()
                .map(|&(x, y)| format!("{:.1} {:.1}", self.x(x) + self.shift(at), self.y(y)))
                .collect();
            if points.len() > 1 {
                svg += &stroke(at, &format!("M{}", points.join("L")));
            }
        }
        for (at, series) in series() {
            for &(x, y) in &series.dots {
                svg += &mark(at, self.x(x) + self.shift(at), self.y(y), radius);
            }
        }
        for (at, series) in series() {
            for &x in &series.crosses {
                svg += &cross(self.x(x) + self.shift(at), self.bottom() - 8.0);
            }
        }
        if all == 0 {
            let (x, y) = (f64::midpoint(LEFT, RIGHT), self.top + PLOT_HEIGHT / 2.0);
            svg += &format!(
                "<text x=\"{x}\" y=\"{y}\" font-size=\"15\" text-anchor=\"middle\">no cell is done yet</text>\n"
            );
        }
        svg
    }

    fn reference(&self) -> String {
        let Some((value, name)) = self.chart.reference else { return String::new() };
        let y = self.y(value);
        let (end, below) = (RIGHT - 4.0, y + 16.0);
        format!(
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#666666\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\"/>\n\
             <text x=\"{end}\" y=\"{below:.1}\" fill=\"#555555\" text-anchor=\"end\">{name}</text>\n"
        )
    }

    /// Series stand a little beside each other where they share the values of x; jobs have places of their own.
    fn shift(&self, at: usize) -> f64 {
        let count = self.chart.series.len();
        if self.chart.line.is_none() || count < 2 {
            return 0.0;
        }
        let distance = (28.0 / count as f64).min(7.0);
        distance * (at as f64 - (count - 1) as f64 / 2.0)
    }
}

/// A dot, square, diamond or triangle.
fn mark(series: usize, x: f64, y: f64, radius: f64) -> String {
    let colour = COLOURS[series % COLOURS.len()];
    let (r, d) = (radius, radius * 1.25);
    let shape = match series % 4 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\""),
        1 => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{w}\" height=\"{w}\"",
            x - 0.9 * r,
            y - 0.9 * r,
            w = 1.8 * r
        ),
        2 => format!("<path d=\"M{x:.1} {:.1}l{d} {d} -{d} {d} -{d} -{d}z\"", y - d),
        _ => format!("<path d=\"M{x:.1} {:.1}l{d} {h} -{w} 0z\"", y - d, h = 1.9 * d, w = 2.0 * d),
    };
    format!("{shape} fill=\"{colour}\" fill-opacity=\"0.75\"/>\n")
}

fn stroke(series: usize, path: &str) -> String {
    let (colour, dash) = (COLOURS[series % COLOURS.len()], DASHES[series / COLOURS.len() % DASHES.len()]);
    format!(
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\n"
    )
}

fn cross(x: f64, y: f64) -> String {
    let (left, top) = (x - 4.5, y - 4.5);
    format!("<path d=\"M{left:.1} {top:.1}l9 9m0 -9l-9 9\" stroke=\"{CROSS}\" stroke-width=\"2\"/>\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
