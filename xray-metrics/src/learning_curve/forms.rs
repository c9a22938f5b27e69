//! The forms that a curve is told in, each at its best, and how well they fit.

use super::bend::{Bend, Family};
use super::line::Line;
use super::possible::Evidence;
use super::training::{Trials, Unit};
use super::weights::Weights;
use crate::fisher::fisher_p;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The score of a ranking that knows nothing: the AUC's.
pub const CHANCE: f64 = 0.5;

/// How the score depends on the number of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// `a + b · ln(images)`: no ceiling.
    LogLinear,
    /// `ceiling − scale · images^−exponent` (Hestness et al., arXiv 1712.00409, 2017).
    PowerLaw,
    /// `0.5 + rise · x / (1 + x)` with `x = (images / middle)^exponent`.
    SaturationFromChance,
    /// `0.5 + rise · (1 − exp(−x))` with the same `x`.
    StretchedFromChance,
    /// [`Self::SaturationFromChance`] with any floor.
    Saturation,
    /// [`Self::StretchedFromChance`] with any floor.
    Stretched,
}

impl Form {
    /// All, those with fewer numbers first.
    pub const ALL: [Form; 6] = [
        Form::LogLinear,
        Form::PowerLaw,
        Form::SaturationFromChance,
        Form::StretchedFromChance,
        Form::Saturation,
        Form::Stretched,
    ];

    fn family(self) -> Family {
        match self {
            Form::LogLinear => Family::Logarithm,
            Form::PowerLaw => Family::Power,
            Form::SaturationFromChance | Form::Saturation => Family::Saturation,
            Form::StretchedFromChance | Form::Stretched => Family::Stretched,
        }
    }

    fn starts_at_chance(self) -> bool {
        matches!(self, Form::SaturationFromChance | Form::StretchedFromChance)
    }

    /// How many numbers it has.
    fn parameters(self) -> usize {
        match self {
            Form::LogLinear => 2,
            Form::PowerLaw | Form::SaturationFromChance | Form::StretchedFromChance => 3,
            Form::Saturation | Form::Stretched => 4,
        }
    }

    /// Its name in a text.
    pub fn name(self) -> &'static str {
        match self {
            Form::LogLinear => "log-linear",
            Form::PowerLaw => "power law",
            Form::SaturationFromChance => "saturation from chance",
            Form::StretchedFromChance => "stretched exponential from chance",
            Form::Saturation => "saturation from a free floor",
            Form::Stretched => "stretched exponential from a free floor",
        }
    }
}

/// A curve of a form. Displayed it is its formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningCurve {
    /// Which.
    pub form: Form,
    /// Score where the bend is 0: the ceiling, or of a log-linear curve the score at the smallest size.
    level: f64,
    slope: f64,
    bend: Bend,
}

impl LearningCurve {
    /// The score at so many images.
    pub fn score(&self, images: f64) -> f64 {
        self.level + self.slope * self.bend.at(images.ln())
    }

    /// What no number of images gets beyond; a log-linear curve has none.
    pub fn ceiling(&self) -> Option<f64> {
        (self.form != Form::LogLinear).then_some(self.level)
    }

    /// How many images the score takes; infinite at the ceiling and above.
    pub fn images_for(&self, score: f64) -> f64 {
        self.bend.images((score - self.level) / self.slope)
    }
}

impl fmt::Display for LearningCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, exponent) = (self.bend.from, self.bend.exponent);
        let x = || format!("x = (images / {:.0})^{exponent:.2}", self.bend.middle.exp());
        let floor = self.level + self.slope * foot(&self.bend);
        let rise = self.level - floor;
        match self.form {
            Form::LogLinear => {
                write!(f, "{:.3} + {:.4} · ln(images)", self.level - self.slope * from, self.slope)
            }
            Form::PowerLaw => {
                let scale = self.slope * (exponent * from).exp();
                write!(f, "{:.3} − {scale:.3} · images^−{exponent:.2}", self.level)
            }
            Form::SaturationFromChance | Form::Saturation => {
                write!(f, "{floor:.3} + {rise:.3} · x / (1 + x), {}", x())
            }
            Form::StretchedFromChance | Form::Stretched => {
                write!(f, "{floor:.3} + {rise:.3} · (1 − exp(−x)), {}", x())
            }
        }
    }
}

/// The height of a bend without images; minus infinity where it has none.
fn foot(bend: &Bend) -> f64 {
    let first = (bend.exponent * (bend.from - bend.middle)).exp();
    match bend.family {
        Family::Logarithm | Family::Power => f64::NEG_INFINITY,
        Family::Saturation => -(1.0 + first),
        Family::Stretched => -first.exp(),
    }
}

/// A form at its best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedForm {
    /// The curve.
    pub curve: LearningCurve,
    /// Akaike's criterion; lower fits better, after what each further number of a form costs.
    pub akaike: f64,
    /// Whether it misses more than noise.
    pub lack_of_fit: Option<LackOfFit>,
}

/// The scatter of sizes about a curve against the scatter of the trials of a size about their mean (the F test of lack of
/// fit: Draper and Smith, Applied Regression Analysis, 1998, chapter 2).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LackOfFit {
    /// The chance of so much scatter of sizes if the form were the truth. Where trials share images
    /// ([`Trials::ShareImages`]) their scatter lacks the luck of those images, so a low one may be that.
    pub p: f64,
    /// Scatter of sizes over scatter of trials, mean squares.
    pub ratio: f64,
    /// Degrees of freedom of the sizes.
    pub freedom: f64,
}

/// Every form at its best.
pub(super) fn fitted(evidence: &Evidence, units: &[Unit], trials: Trials) -> Vec<FittedForm> {
    let fit = |form: Form| {
        let cost = |weights: &Weights, bend: &Bend| {
            curve(evidence, weights, bend, form).map_or(f64::INFINITY, |(_, squares)| {
                evidence.units as f64 * (squares / evidence.units as f64).ln() + weights.log_determinant
            })
        };
        let best = |weights| {
            let (bend, cost) = evidence.search(form.family(), &|bend| cost(weights, bend)).best();
            (weights, bend, cost)
        };
        let all = evidence.weights.iter().map(best);
        let (weights, bend, cost) = all.min_by(|a, b| a.2.total_cmp(&b.2)).expect("a covariance");
        let (curve, squares) = curve(evidence, weights, &bend, form)?;
        // The numbers of the form and the noise.
        let akaike = cost + 2.0 * (form.parameters() + 1) as f64;
        let lack_of_fit = match trials {
            Trials::DrawTheirOwn => against_units(evidence, weights, squares, form),
            Trials::ShareImages => against_trials(evidence, units, curve),
        };
        Some(FittedForm { curve, akaike, lack_of_fit })
    };
    Form::ALL.into_iter().filter_map(fit).collect()
}

/// The best curve of a form over a bend, and the squares it leaves.
fn curve(evidence: &Evidence, weights: &Weights, bend: &Bend, form: Form) -> Option<(LearningCurve, f64)> {
    if !form.starts_at_chance() {
        let line = Line::fit(weights, &bend.heights(&evidence.sizes))?;
        let level = if form == Form::LogLinear { line.at(0.0) } else { line.at(bend.end()) };
        return Some((LearningCurve { form, level, slope: line.slope, bend: *bend }, line.squares));
    }
    let foot = foot(bend);
    let above: Vec<f64> = bend.heights(&evidence.sizes).iter().map(|height| height - foot).collect();
    let (product, heights) = (weights.products_with(&above, CHANCE), weights.squares_of(&above));
    let slope = product / heights;
    let about_chance = weights.about_mean + weights.total * (weights.mean - CHANCE).powi(2);
    let squares = (about_chance - slope * product).max(f64::EPSILON * about_chance);
    let rises = slope > 0.0 && slope.is_finite() && squares.is_finite();
    rises.then_some((LearningCurve { form, level: CHANCE - slope * foot, slope, bend: *bend }, squares))
}

fn test(sizes: f64, of_sizes: usize, trials: f64, of_trials: usize) -> Option<LackOfFit> {
    let (above, below) = (of_sizes as f64, of_trials as f64);
    let ratio = (sizes.max(0.0) / above) / (trials / below);
    (of_sizes > 0 && of_trials > 0 && ratio.is_finite()).then(|| LackOfFit {
        p: fisher_p(ratio, above, below),
        ratio,
        freedom: above,
    })
}

fn against_units(evidence: &Evidence, weights: &Weights, squares: f64, form: Form) -> Option<LackOfFit> {
    let within = weights.within_sizes();
    let of_sizes = weights.sizes.saturating_sub(form.parameters());
    test(squares - within, of_sizes, within, evidence.units - weights.sizes)
}

fn against_trials(evidence: &Evidence, units: &[Unit], curve: LearningCurve) -> Option<LackOfFit> {
    let within: f64 = units.iter().map(|unit| unit.squares).sum();
    let trainings: usize = units.iter().map(|unit| unit.trainings).sum();
    let missed = |unit: &Unit| unit.trainings as f64 * (unit.score - curve.score(unit.images)).powi(2);
    let of_sizes = evidence.sizes.len().saturating_sub(curve.form.parameters());
    test(units.iter().map(missed).sum(), of_sizes, within, trainings - units.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_told_by_their_formula() {
        let check = |form: Form, level: f64, slope: f64, middle: f64, exponent: f64, expected: &str| {
            let bend = Bend { family: form.family(), from: 100_f64.ln(), middle, exponent };
            assert_eq!(LearningCurve { form, level, slope, bend }.to_string(), expected);
        };
        check(Form::LogLinear, 0.6, 0.05, 0.0, 1.0, "0.370 + 0.0500 · ln(images)");
        check(Form::PowerLaw, 0.8, 0.2, 0.0, 0.5, "0.800 − 2.000 · images^−0.50");
        let middle = 1000_f64.ln();
        check(
            Form::SaturationFromChance,
            0.83,
            0.3,
            middle,
            1.0,
            "0.500 + 0.330 · x / (1 + x), x = (images / 1000)^1.00",
        );
        check(
            Form::Stretched,
            0.83,
            0.3,
            middle,
            1.0,
            "0.498 + 0.332 · (1 − exp(−x)), x = (images / 1000)^1.00",
        );
    }
}
