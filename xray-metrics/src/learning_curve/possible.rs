//! All curves that the scores do not reject: whatever is read off a curve lies within what these say.
//!
//! A curve is possible if its likelihood, under the covariance that suits it best, is no further below that of the best
//! curve than Student's quantile allows: for one bend and one covariance that is the usual F test of a curve that is
//! forced through one point. So the interval holds what is not known of the bend and of the shared luck as well.

use super::bend::{Bend, Family};
use super::line::Line;
use super::search::Search;
use super::weights::Weights;
use crate::student;

/// Every bend that a curve may have; the third kind, saturation from chance, is saturation with one floor of all.
pub(super) const FAMILIES: [Family; 4] =
    [Family::Logarithm, Family::Power, Family::Saturation, Family::Stretched];
/// A line of two numbers over a bend of two.
const PARAMETERS: usize = 4;

/// The scores, and how costs of curves are counted.
pub(super) struct Evidence {
    /// One for each covariance.
    pub(super) weights: Vec<Weights>,
    /// Logarithms of the numbers of images.
    pub(super) sizes: Vec<f64>,
    /// Fewest and most images.
    pub(super) measured: [f64; 2],
    /// How many numbers vary independently.
    pub(super) units: usize,
}

/// A bend with its line, and how many further squares a curve over the same bend may cost.
struct Possible {
    bend: Bend,
    line: Line,
    slack: f64,
}

/// The curves that are possible.
pub(super) struct PossibleCurves(Vec<Possible>);

impl Evidence {
    fn freedom(&self) -> f64 {
        self.units.saturating_sub(PARAMETERS).max(1) as f64
    }

    pub(super) fn search<'a>(&self, family: Family, cost: &'a dyn Fn(&Bend) -> f64) -> Search<'a> {
        Search { family, sizes: self.measured, cost }
    }

    /// The line over a bend, and what it costs before any squares: that of restricted maximum likelihood (Patterson and
    /// Thompson, Biometrika 58, 1971), minus the part that only sets the scale of the bend.
    fn line(&self, weights: &Weights, bend: &Bend) -> Option<(Line, f64)> {
        let heights = bend.heights(&self.sizes);
        let line = Line::fit(weights, &heights)?;
        let alone = &self.weights[0];
        let scale = alone.total * alone.about_mean_of(&heights).1;
        Some((line, weights.log_determinant + (weights.total * line.heights / scale).ln()))
    }

    fn cost(&self, weights: &Weights, bend: &Bend) -> f64 {
        let cost = |(line, constant): (Line, f64)| self.freedom() * line.squares.ln() + constant;
        self.line(weights, bend).map_or(f64::INFINITY, cost)
    }

    /// Fewest squares that a curve of any family leaves, with its weights.
    fn best(&self) -> Vec<(&Weights, Family, Bend, f64)> {
        let each = |weights| {
            FAMILIES.map(|family| {
                let (bend, cost) = self.search(family, &|bend| self.cost(weights, bend)).best();
                (weights, family, bend, cost)
            })
        };
        self.weights.iter().flat_map(each).collect()
    }

    /// The curves that are possible. `misfit` is by how much the scatter of sizes about the best curve exceeds the
    /// noise, if it surely does, and of how many degrees of freedom that is: no curve follows these scores, so what
    /// it misses counts as noise of sizes.
    pub(super) fn possible(&self, misfit: Option<(f64, f64)>) -> PossibleCurves {
        let best = self.best();
        let least = best.iter().map(|found| found.3).fold(f64::INFINITY, f64::min);
        let (ratio, freedom) = misfit.unwrap_or((1.0, self.freedom()));
        let allowed = ratio * student::quantile(freedom).powi(2) / self.freedom();
        let most = least + self.freedom() * allowed.ln_1p();
        let near = best.iter().filter(|found| found.3 <= most);
        let curves = near.flat_map(|(weights, family, bend, _)| {
            let bends = self.search(*family, &|bend| self.cost(weights, bend)).up_to(most, bend);
            bends.into_iter().filter_map(|bend| {
                let (line, constant) = self.line(weights, &bend)?;
                let most = ((most - constant) / self.freedom()).exp();
                (line.squares <= most * (1.0 + 1e-9)).then(|| Possible {
                    bend,
                    line,
                    slack: (most - line.squares).max(0.0),
                })
            })
        });
        PossibleCurves(curves.collect())
    }

    /// Whether the scores surely rise: whether a straight line over the logarithm of the images, which any rising curve
    /// looks like from afar, is surely not level, whichever the covariance. Luck that sizes share looks like a rise, so
    /// the most of it decides.
    pub(super) fn rises(&self) -> bool {
        let freedom = self.units as f64 - 2.0;
        let sure = 1.0 + student::quantile(freedom).powi(2) / freedom;
        let rises = |weights: &Weights| {
            Line::fit(weights, &self.sizes).is_some_and(|line| weights.about_mean > sure * line.squares)
        };
        self.weights.iter().all(rises)
    }
}

impl PossibleCurves {
    fn span(&self, of_curve: impl Fn(&Possible) -> [f64; 2]) -> [f64; 2] {
        let ends = self.0.iter().map(of_curve);
        ends.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], [from, to]| [low.min(from), high.max(to)])
    }

    /// Lowest and highest score at so many images.
    pub(super) fn scores(&self, images: f64) -> [f64; 2] {
        self.span(|curve| curve.line.scores(curve.bend.at(images.ln()), curve.slack))
    }

    /// Fewest and most images to a score.
    pub(super) fn images(&self, score: f64) -> [f64; 2] {
        self.span(|curve| curve.line.heights(score, curve.slack).map(|height| curve.bend.images(height)))
    }

    /// Lowest and highest score that no number of images gets beyond; infinite where there is no such score.
    pub(super) fn ceilings(&self) -> [f64; 2] {
        self.span(|curve| match curve.bend.end() {
            end if end.is_finite() => curve.line.scores(end, curve.slack),
            end => [end, end],
        })
    }
}
