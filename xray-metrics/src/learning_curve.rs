//! How a score grows with the number of training images: the power law `score = ceiling − scale · images^−exponent`
//! (Hestness et al., Deep Learning Scaling is Predictable, Empirically, arXiv 1712.00409, 2017), fitted by least
//! squares, and the question it is fitted for: how many images does a score take?
//!
//! Uncertainty is that of a wild bootstrap (Wu, Annals of Statistics 14, 1986): each residual gets a random sign, which
//! asks neither for equal noise at all sizes nor for several trials at each. It is the uncertainty of other
//! trainings on other draws of images, seen on the same test records; other patients are not in it.

use crate::bootstrap::interval;
use crate::random::SplitMix64;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A curve has three numbers; fewer sizes than this leave nothing to check it by.
pub const MIN_SIZES: usize = 4;
/// A curve is not read farther than this many times the largest size that was measured.
pub const REACH: f64 = 10.0;

const PARAMETERS: f64 = 3.0;
/// Exponents that learning curves have, with room on both sides.
const EXPONENTS: [f64; 2] = [0.05, 3.0];
const GRID: usize = 48;
const NARROWINGS: usize = 30;

/// `score = ceiling − scale · images^−exponent`, rising or flat.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearningCurve {
    /// What no number of images gets beyond; at most 1.
    pub ceiling: f64,
    /// What is missing at one image; at least 0.
    pub scale: f64,
    /// How fast it fades.
    pub exponent: f64,
}

/// A curve with the curves that other trainings might have given.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedCurve {
    /// The best fit.
    pub curve: LearningCurve,
    /// Fewest and most images that were measured.
    pub measured: [f64; 2],
    draws: Vec<LearningCurve>,
}

/// Why there is no curve.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum NoCurve {
    /// Too few different numbers of images.
    #[error("a learning curve needs at least {MIN_SIZES} different numbers of images, there are {0}")]
    FewSizes(usize),
    /// More images were not surely better.
    #[error("the scores do not surely rise with the number of images")]
    NotRising,
}

/// How many images a score takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum ImagesNeeded {
    /// Not more than the fewest that were measured.
    AtMost {
        /// The fewest.
        images: f64,
    },
    /// So many, with an interval of level [`crate::bootstrap::LEVEL`].
    About {
        /// The best guess.
        images: f64,
        /// Low end.
        low: f64,
        /// High end; null where the trainings allow more than [`REACH`] times what was measured.
        high: Option<f64>,
    },
    /// More than can be told from these trainings: the score may not be reachable at all.
    CannotTell {
        /// Low end; null where even that is more than [`REACH`] times what was measured.
        low: Option<f64>,
        /// The highest ceiling that the trainings allow.
        highest_ceiling: f64,
    },
}

impl LearningCurve {
    /// The score at so many images.
    pub fn score(&self, images: f64) -> f64 {
        self.ceiling - self.scale * images.powf(-self.exponent)
    }

    /// How many images the score takes; infinite at the ceiling and above.
    fn images_for(&self, score: f64) -> f64 {
        let missing = self.ceiling - score;
        if missing <= 0.0 { f64::INFINITY } else { (self.scale / missing).powf(1.0 / self.exponent) }
    }
}

/// Fits `(images, score)` of single trainings; `draws` curves tell how sure it is.
///
/// # Errors
/// If the sizes are too few or the scores do not rise.
pub fn fit_learning_curve(trainings: &[(f64, f64)], draws: u32, seed: u64) -> Result<FittedCurve, NoCurve> {
    let mut sorted = trainings.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let scores: Vec<f64> = sorted.iter().map(|training| training.1).collect();
    let sizes = Sizes::of(&sorted);
    if sizes.images.len() < MIN_SIZES {
        return Err(NoCurve::FewSizes(sizes.images.len()));
    }
    let curve = sizes.fit(&scores);
    let fitted: Vec<f64> = sorted.iter().map(|training| curve.score(training.0)).collect();
    let count = scores.len() as f64;
    // Residuals of a fit are smaller than the noise was, by what the curve took of it.
    let inflation = (count / (count - PARAMETERS)).sqrt();
    let draw = |number| {
        let mut random = SplitMix64::of_task(seed, u64::from(number));
        let noisy = |(score, fitted): (&f64, &f64)| {
            let residual = inflation * (score - fitted);
            fitted + if random.next() >> 63 == 0 { residual } else { -residual }
        };
        sizes.fit(&scores.iter().zip(&fitted).map(noisy).collect::<Vec<_>>())
    };
    let draws: Vec<_> = (0..draws).map(draw).collect();
    let measured = [sizes.images[0], sizes.images[sizes.images.len() - 1]];
    let rise = |curve: &LearningCurve| curve.score(measured[1]) - curve.score(measured[0]);
    let surely = interval(draws.iter().map(rise)).is_none_or(|[low, _]| low > 0.0);
    if rise(&curve) > 0.0 && surely {
        Ok(FittedCurve { curve, measured, draws })
    } else {
        Err(NoCurve::NotRising)
    }
}

impl FittedCurve {
    /// Low and high end of the score at so many images; none without draws.
    pub fn interval(&self, images: f64) -> Option<[f64; 2]> {
        interval(self.draws.iter().map(|curve| curve.score(images)))
    }

    /// How many images a score takes.
    pub fn images_for(&self, score: f64) -> ImagesNeeded {
        let limit = REACH * self.measured[1];
        let images = self.curve.images_for(score);
        // Infinite ends would make the interpolation of quantiles undefined.
        let reached = |curve: &LearningCurve| curve.images_for(score).min(2.0 * limit);
        let [low, high] = interval(self.draws.iter().map(reached)).unwrap_or([images, images]);
        if images <= self.measured[0] {
            ImagesNeeded::AtMost { images: self.measured[0] }
        } else if images <= limit {
            ImagesNeeded::About { images, low, high: (high <= limit).then_some(high) }
        } else {
            let ceilings = interval(self.draws.iter().map(|curve| curve.ceiling));
            let highest_ceiling = ceilings.map_or(self.curve.ceiling, |[_, high]| high);
            ImagesNeeded::CannotTell { low: (low <= limit).then_some(low), highest_ceiling }
        }
    }
}

/// The different numbers of images, ascending, and how many trainings each has. The best curve for the mean of
/// the trainings at each size is the best one for the trainings.
struct Sizes {
    images: Vec<f64>,
    counts: Vec<usize>,
}

impl Sizes {
    fn of(sorted: &[(f64, f64)]) -> Sizes {
        let groups = || sorted.chunk_by(|a, b| a.0 == b.0);
        Sizes {
            images: groups().map(|group| group[0].0).collect(),
            counts: groups().map(<[_]>::len).collect(),
        }
    }

    /// `scores` in the order of the sorted trainings. The best ceiling and scale for an exponent have a closed
    /// form; the exponent is searched, first on a grid, then by golden sections between its best neighbours.
    fn fit(&self, scores: &[f64]) -> LearningCurve {
        let mut rest = scores;
        let means: Vec<f64> = self
            .counts
            .iter()
            .map(|&count| {
                let (group, others) = rest.split_at(count);
                rest = others;
                group.iter().sum::<f64>() / count as f64
            })
            .collect();
        let [low, high] = EXPONENTS.map(f64::ln);
        let at = |place: f64| low + (high - low) * place / (GRID - 1) as f64;
        let cost = |log_exponent: f64| self.line(&means, log_exponent.exp()).1;
        let best = (0..GRID).min_by(|&a, &b| cost(at(a as f64)).total_cmp(&cost(at(b as f64))));
        let best = best.expect("a grid") as f64;
        let (mut from, mut to) = (at((best - 1.0).max(0.0)), at((best + 1.0).min((GRID - 1) as f64)));
        let golden = (5_f64.sqrt() - 1.0) / 2.0;
        for _ in 0..NARROWINGS {
            let (a, b) = (to - golden * (to - from), from + golden * (to - from));
            if cost(a) <= cost(b) { to = b } else { from = a }
        }
        self.line(&means, f64::midpoint(from, to).exp()).0
    }

    /// The best curve of an exponent, and its sum of squares about the means.
    fn line(&self, means: &[f64], exponent: f64) -> (LearningCurve, f64) {
        let largest = self.images[self.images.len() - 1];
        // Relative to the largest size, so that no power overflows or vanishes.
        let x: Vec<f64> = self.images.iter().map(|images| (images / largest).powf(-exponent)).collect();
        let weighted = |value: &dyn Fn(usize) -> f64| {
            self.counts.iter().enumerate().map(|(at, &count)| count as f64 * value(at)).sum::<f64>()
        };
        let total = weighted(&|_| 1.0);
        let (mean_x, mean_y) = (weighted(&|at| x[at]) / total, weighted(&|at| means[at]) / total);
        let covariance = weighted(&|at| (x[at] - mean_x) * (means[at] - mean_y));
        let variance = weighted(&|at| (x[at] - mean_x).powi(2));
        let mut drop = (-covariance / variance).max(0.0);
        let mut ceiling = mean_y + drop * mean_x;
        if ceiling > 1.0 {
            ceiling = 1.0;
            drop = (weighted(&|at| x[at] * (1.0 - means[at])) / weighted(&|at| x[at] * x[at])).max(0.0);
        }
        let cost = weighted(&|at| (ceiling - drop * x[at] - means[at]).powi(2));
        (LearningCurve { ceiling, scale: drop * largest.powf(exponent), exponent }, cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUE: LearningCurve = LearningCurve { ceiling: 0.85, scale: 2.0, exponent: 0.35 };
    const SIZES: [f64; 7] = [57.0, 115.0, 286.0, 573.0, 1145.0, 2864.0, 5727.0];

    /// Trainings of [`TRUE`] with even noise of this half-width.
    fn trainings(noise: f64, trials: usize, seed: u64) -> Vec<(f64, f64)> {
        let mut random = SplitMix64::of_task(seed, 0);
        let mut even = || (random.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
        let sizes = SIZES.iter().flat_map(|&images| std::iter::repeat_n(images, trials));
        sizes.map(|images| (images, TRUE.score(images) + noise * even())).collect()
    }

    #[test]
    fn an_exact_curve_is_found_again() {
        let fitted = fit_learning_curve(&trainings(0.0, 1, 0), 10, 0).expect("rising");
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-3, "{a} {b}");
        close(fitted.curve.ceiling, TRUE.ceiling);
        close(fitted.curve.scale, TRUE.scale);
        close(fitted.curve.exponent, TRUE.exponent);
        let ImagesNeeded::About { images, .. } = fitted.images_for(0.75) else { panic!("within reach") };
        close(images, (2.0_f64 / 0.1).powf(1.0 / 0.35));
    }

    #[test]
    fn the_interval_holds_the_truth_about_as_often_as_it_says() {
        let covers = |seed: u64| {
            let fitted = fit_learning_curve(&trainings(0.02, 5, seed), 200, seed).expect("rising");
            let [low, high] = fitted.interval(11_454.0).expect("draws");
            low <= TRUE.score(11_454.0) && TRUE.score(11_454.0) <= high
        };
        let covered = (0..200).filter(|&seed| covers(seed)).count();
        // 95 % of 200 is 190; standard deviation 3.
        assert!((176..=199).contains(&covered), "{covered} of 200");
    }

    #[test]
    fn what_the_trainings_do_not_tell_is_not_told() {
        let fitted = fit_learning_curve(&trainings(0.02, 5, 3), 400, 0).expect("rising");
        let ImagesNeeded::CannotTell { highest_ceiling, .. } = fitted.images_for(0.97) else {
            panic!("{:?}", fitted.images_for(0.97))
        };
        assert!(highest_ceiling > 0.8, "{highest_ceiling}");
        assert_eq!(fitted.images_for(0.1), ImagesNeeded::AtMost { images: 57.0 });
        let ImagesNeeded::About { images, low, high } = fitted.images_for(0.7) else { panic!("measured") };
        assert!(low < images && high.is_some_and(|high| images < high), "{low} {images} {high:?}");
    }

    #[test]
    fn scores_that_do_not_rise_have_no_curve() {
        let flat: Vec<_> =
            trainings(0.02, 3, 1).iter().map(|&(n, score)| (n, score - TRUE.score(n))).collect();
        assert_eq!(fit_learning_curve(&flat, 200, 0), Err(NoCurve::NotRising));
        let falling: Vec<_> = SIZES.iter().map(|&images| (images, 0.9 - images / 1e5)).collect();
        assert_eq!(fit_learning_curve(&falling, 200, 0), Err(NoCurve::NotRising));
        let three: Vec<_> = [1.0, 2.0, 3.0, 3.0].map(|images| (images, images / 10.0)).to_vec();
        assert_eq!(fit_learning_curve(&three, 200, 0), Err(NoCurve::FewSizes(3)));
    }

    #[test]
    fn a_ceiling_is_at_most_one() {
        let steep: Vec<_> =
            [10.0, 20.0, 40.0, 80.0].iter().map(|&n: &f64| (n, 0.3 + 0.3 * (n / 10.0).log2())).collect();
        let steep = fit_learning_curve(&steep, 50, 0).expect("rising");
        assert!(steep.curve.ceiling <= 1.0 && steep.curve.scale > 0.0, "{:?}", steep.curve);
    }
}
