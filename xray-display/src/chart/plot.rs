//! The inside of a chart: axes, and marks between them.

use super::{Chart, Series, Size, Symbol, escape};
use std::fmt::Write;

/// Where values are drawn.
pub(super) struct Plot<'a> {
    pub(super) chart: &'a Chart,
    pub(super) size: Size,
    pub(super) top: f64,
}

const CROSS: &str = "l8 8m0 -8l-8 8";

impl Plot<'_> {
    /// Of the whole picture.
    pub(super) fn height(&self) -> f64 {
        let label = if self.size.small { 0.0 } else { self.size.line_height() };
        (self.bottom() + 8.0 + self.size.line_height() + label).ceil()
    }

    pub(super) fn svg(&self) -> String {
        self.x_axis() + &self.y_axis() + &self.marks()
    }

    fn bottom(&self) -> f64 {
        self.top + self.size.plot_height
    }

    fn right(&self) -> f64 {
        self.size.width - self.size.right
    }

    fn width(&self) -> f64 {
        self.right() - self.size.left
    }

    fn x(&self, value: f64) -> f64 {
        self.size.left + self.width() * self.chart.x.scale.place(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - self.size.plot_height * self.chart.y.scale.place(value)
    }

    fn x_axis(&self) -> String {
        let (bottom, left, right) = (self.bottom(), self.size.left, self.right());
        let mut svg = format!("<path class=\"axis\" d=\"M{left} {bottom:.1}H{right}\"/>\n");
        let mut free = f64::NEG_INFINITY;
        for (value, text) in self.chart.x.ticks((self.width() / 60.0) as usize) {
            let (x, half) = (self.x(value), self.size.text_width(&text) / 2.0);
            // A number at an end is moved inside rather than cut.
            let middle = x.clamp(half, self.size.width - half);
            if middle - half < free {
                continue;
            }
            free = middle + half + 6.0;
            let y = bottom + 6.0 + self.size.font;
            writeln!(
                svg,
                "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v4\"/>\
                 <text x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>",
                escape(&text)
            )
            .expect("memory");
        }
        if !self.size.small {
            let y = bottom + 6.0 + self.size.font + self.size.line_height();
            writeln!(
                svg,
                "<text class=\"soft\" x=\"{right}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>",
                escape(&self.chart.x.label)
            )
            .expect("memory");
        }
        svg
    }

    fn y_axis(&self) -> String {
        let (left, right) = (self.size.left, self.right());
        let mut svg = String::new();
        for (value, text) in self.chart.y.ticks((self.size.plot_height / 45.0) as usize) {
            let y = self.y(value);
            writeln!(
                svg,
                "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                y + 0.35 * self.size.font,
                escape(&text)
            )
            .expect("memory");
        }
        svg
    }

    /// Marks stand in a picture of their own, which cuts what leaves the axes.
    fn marks(&self) -> String {
        let (left, top, width, height) = (self.size.left, self.top, self.width(), self.size.plot_height);
        let drawn =
            |series: &Series| !(series.dots.is_empty() && series.line.is_empty() && series.rings.is_empty());
        if !self.chart.series.iter().any(drawn) {
            let crosses = self.crosses();
            let (x, y) = (left + width / 2.0, top + height / 2.0);
            return format!(
                "{crosses}<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>\n",
                self.chart.empty
            );
        }
        let mut svg = format!(
            "<svg x=\"{left}\" y=\"{top:.1}\" width=\"{width}\" height=\"{height}\" viewBox=\"{left} {top:.1} {width} {height}\">\n"
        );
        for (at, level) in self.chart.levels.iter().enumerate() {
            let y = self.y(*level);
            writeln!(svg, "<path class=\"level l{at}\" d=\"M{left} {y:.1}H{}\"/>", self.right())
                .expect("memory");
        }
        let each = |draw: &dyn Fn(&Series) -> String| self.chart.series.iter().map(draw).collect::<String>();
        svg += &each(&|series| self.band(series));
        svg += &each(&|series| self.lines(series));
        svg += &each(&|series| self.bars(series));
        svg += &each(&|series| self.dots(series));
        svg += "</svg>\n";
        // Failures and chosen points may stand on the edge.
        svg += &self.crosses();
        svg += &each(&|series| self.rings(series));
        svg
    }

    fn band(&self, series: &Series) -> String {
        let piece = |piece: &Vec<(f64, [f64; 2])>| {
            let there = piece.iter().map(|(x, [low, _])| (*x, *low));
            let back = piece.iter().rev().map(|(x, [_, high])| (*x, *high));
            let path = self.points(there.chain(back));
            format!("<path class=\"band {}\" d=\"M{path}z\"/>\n", colour(series.look))
        };
        series.band.iter().filter(|piece| piece.len() > 1).map(piece).collect()
    }

    fn lines(&self, series: &Series) -> String {
        let mut svg = String::new();
        let drawn = [(stroke(series.look), &series.line), (dashed(series.look), &series.dashed)];
        for (class, line) in drawn {
            if line.len() > 1 {
                let path = self.points(line.iter().copied());
                writeln!(svg, "<path class=\"{class}\" d=\"M{path}\"/>").expect("memory");
            }
        }
        svg
    }

    fn points(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let points: Vec<_> = points.map(|(x, y)| format!("{:.1} {:.1}", self.x(x), self.y(y))).collect();
        points.join("L")
    }

    fn bars(&self, series: &Series) -> String {
        let bar = |(x, [low, high]): &(f64, [f64; 2])| {
            let (x, low, high) = (self.x(*x), self.y(*low), self.y(*high));
            format!("<path class=\"bar {}\" d=\"M{x:.1} {low:.1}V{high:.1}\"/>\n", colour(series.look))
        };
        series.bars.iter().map(bar).collect()
    }

    fn dots(&self, series: &Series) -> String {
        let all: usize = self.chart.series.iter().map(|series| series.dots.len()).sum();
        let radius = match (self.size.small, all) {
            (true, 0..30) => 2.5,
            (true, _) => 2.0,
            (false, 0..200) => 4.0,
            (false, 200..1000) => 3.0,
            (false, _) => 2.0,
        };
        series.dots.iter().map(|&(x, y)| dot(series.look, self.x(x), self.y(y), radius)).collect()
    }

    fn rings(&self, series: &Series) -> String {
        series.rings.iter().map(|&(x, y)| ring(series.look, self.x(x), self.y(y))).collect()
    }

    /// Those of one place in a pile, so that each is seen.
    fn crosses(&self) -> String {
        const APART: f64 = 11.0;
        let mut all: Vec<f64> =
            self.chart.series.iter().flat_map(|series| &series.crosses).copied().collect();
        all.sort_by(f64::total_cmp);
        let highest = ((self.size.plot_height - 14.0) / APART) as usize;
        let pile = |same: &[f64]| -> String {
            let y = |at: usize| self.bottom() - 7.0 - APART * at.min(highest) as f64;
            same.iter().enumerate().map(|(at, &x)| cross(self.x(x), y(at))).collect()
        };
        all.chunk_by(|a, b| a == b).map(pile).collect()
    }
}

/// Beside a text of the legend, centred on height `y`.
pub(super) fn symbol(symbol: Symbol, y: f64) -> String {
    let line = |class: &str| format!("<path class=\"{class}\" d=\"M1 {y:.1}h22\"/>");
    match symbol {
        Symbol::Dot(look) => dot(look, 12.0, y, 4.0),
        Symbol::Line(look) => line(&stroke(look)),
        Symbol::DotAndLine(look) => line(&stroke(look)) + &dot(look, 12.0, y, 4.0),
        Symbol::Dashed(look) => line(&dashed(look)),
        Symbol::Level(at) => line(&format!("level l{at}")),
        Symbol::Band(look) => {
            format!("<path class=\"band {}\" d=\"M1 {:.1}h22v10h-22z\"/>", colour(look), y - 5.0)
        }
        Symbol::Cross => cross(12.0, y),
    }
}

/// Seven colours; with four shapes and strokes 28 looks.
fn colour(look: usize) -> String {
    format!("c{}", look % 7)
}

fn stroke(look: usize) -> String {
    format!("line s{} {}", look % 4, colour(look))
}

fn dashed(look: usize) -> String {
    format!("line dashed {}", colour(look))
}

/// A dot, square, diamond or triangle.
fn dot(look: usize, x: f64, y: f64, radius: f64) -> String {
    let (r, d) = (radius, radius * 1.25);
    let shape = match look % 4 {
        0 => format!("circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\""),
        1 => format!(
            "rect x=\"{:.1}\" y=\"{:.1}\" width=\"{w:.1}\" height=\"{w:.1}\"",
            x - 0.9 * r,
            y - 0.9 * r,
            w = 1.8 * r
        ),
        2 => format!("path d=\"M{x:.1} {:.1}l{d:.1} {d:.1} -{d:.1} {d:.1} -{d:.1} -{d:.1}z\"", y - d),
        _ => format!("path d=\"M{x:.1} {:.1}l{d:.1} {h:.1} -{w:.1} 0z\"", y - d, h = 1.9 * d, w = 2.0 * d),
    };
    format!("<{shape} class=\"dot {}\"/>\n", colour(look))
}

fn ring(look: usize, x: f64, y: f64) -> String {
    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" class=\"ring {}\"/>\n", colour(look))
}

fn cross(x: f64, y: f64) -> String {
    format!("<path class=\"cross\" d=\"M{:.1} {:.1}{CROSS}\"/>\n", x - 4.0, y - 4.0)
}
