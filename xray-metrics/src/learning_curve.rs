//! How a score grows with the number of training images: the power law `score = ceiling − scale · images^−exponent`
//! (Hestness et al., Deep Learning Scaling is Predictable, Empirically, arXiv 1712.00409, 2017), fitted by least
//! squares, and the question it is fitted for: how many images does a score take?
//!
//! **What the uncertainty is of.** Other trainings on other draws of images, seen on the same test records; other
//! patients are not in it. It is that of a wild bootstrap (Wu, Annals of Statistics 14, 1986): residuals get random
//! factors, which asks neither for equal noise at all sizes nor for several trials at each. Where the trials of a size
//! share their images ([`Trials::ShareImages`]), they share the luck of that draw as well, so all residuals of a size
//! get one factor (wild cluster bootstrap: Cameron, Gelbach and Miller, Review of Economics and Statistics 90, 2008),
//! and five trials of a size are no five draws of images. What two sizes share, because the smaller is a part of the
//! larger, is not in it.
//!
//! **Whether there is a curve.** The scores must rise more surely than chance lets flat ones: the share of the squares
//! that a curve explains is compared with what it explains when the residuals of a flat line get random factors.

use crate::bootstrap::percentiles;
use crate::mean_interval::student_quantile;
use crate::wilson::Z;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use xray_random::Random;

/// A curve has three numbers; fewer sizes than this leave nothing to check it by.
pub const MIN_SIZES: usize = 4;
/// So many numbers beyond those that a curve has must vary independently: of fewer residuals no noise can be read.
pub const MIN_FREEDOM: usize = 3;
/// A curve is not read farther than this many times the largest size that was measured.
pub const REACH: f64 = 10.0;

const PARAMETERS: usize = 3;
/// A residual is not blown up beyond this: one that has all the leverage is 0, whatever the noise was.
const MOST_LEVERAGE: f64 = 0.9;
/// Flat scores are taken for rising ones this often.
const FALSE_ALARMS: f64 = 0.025;
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

/// What trainings with the same number of images have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trials {
    /// Their images: they differ by their seeds only, as the trials of a sweep do.
    ShareImages,
    /// Nothing: each drew images of its own.
    DrawTheirOwn,
}

/// A curve with the curves that other trainings might have given.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedCurve {
    /// The best fit.
    pub curve: LearningCurve,
    /// Fewest and most images that were measured.
    pub measured: [f64; 2],
    /// Whether the trainings tell the ceiling. Where the exponent ran into an end of its range they do not: curves with
    /// very different ceilings fit them alike, and this one's is that of the range.
    pub ceiling_identified: bool,
    draws: Vec<LearningCurve>,
}

/// Why there is no curve.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum NoCurve {
    /// Too few different numbers of images.
    #[error("a learning curve needs at least {MIN_SIZES} different numbers of images, there are {0}")]
    FewSizes(usize),
    /// Too little that varies independently: sizes where trials share their images, trainings where they do not.
    #[error("a learning curve needs at least {needed} {what} that vary independently, there are {found}", needed = PARAMETERS + MIN_FREEDOM)]
    LittleFreedom {
        /// `numbers of images` or `trainings`.
        what: &'static str,
        /// How many.
        found: usize,
    },
    /// More images were not surely better.
    #[error("the scores do not surely rise with the number of images")]
    NotRising,
}

/// How many images a score takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum ImagesNeeded {
    /// Surely not more than the fewest that were measured.
    AtMost {
        /// The fewest.
        images: f64,
    },
    /// So many, with an interval of level [`crate::units::LEVEL`].
    About {
        /// The best guess; it may lie below the fewest that were measured.
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

/// Fits `(images, score)` of single trainings; `draws` curves tell how sure it is, best a thousand.
///
/// # Errors
/// If the sizes or what varies independently are too few, or the scores do not surely rise.
pub fn fit_learning_curve(
    trainings: &[(f64, f64)],
    trials: Trials,
    draws: u32,
    seed: u64,
) -> Result<FittedCurve, NoCurve> {
    let mut sorted = trainings.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let scores: Vec<f64> = sorted.iter().map(|training| training.1).collect();
    let sizes = Sizes::of(&sorted);
    if sizes.images.len() < MIN_SIZES {
        return Err(NoCurve::FewSizes(sizes.images.len()));
    }
    let (independent, what) = match trials {
        Trials::ShareImages => (sizes.images.len(), "numbers of images"),
        Trials::DrawTheirOwn => (scores.len(), "trainings"),
    };
    if independent < PARAMETERS + MIN_FREEDOM {
        return Err(NoCurve::LittleFreedom { what, found: independent });
    }
    let curve = sizes.fit(&scores);
    let noise = Noise { sizes: &sizes, trials, independent, draws, seed };
    if !noise.rises_surely(&scores, curve) {
        return Err(NoCurve::NotRising);
    }
    let fitted: Vec<f64> = sorted.iter().map(|training| curve.score(training.0)).collect();
    let factors = noise.inflation(&sizes.leverages(curve));
    let draws = noise.draws(&scores, &fitted, &factors).map(|drawn| sizes.fit(&drawn)).collect();
    let measured = [sizes.images[0], sizes.images[sizes.images.len() - 1]];
    let at_an_end = EXPONENTS.iter().any(|end| (curve.exponent / end).ln().abs() < 1e-3);
    Ok(FittedCurve { curve, measured, ceiling_identified: !at_an_end, draws })
}

/// Other scores that the trainings might have had.
struct Noise<'a> {
    sizes: &'a Sizes,
    trials: Trials,
    /// How many residuals get a factor of their own.
    independent: usize,
    draws: u32,
    seed: u64,
}

impl Noise<'_> {
    /// `fitted` with the residuals of `scores` times random factors, and times what is given of each size.
    fn draws(&self, scores: &[f64], fitted: &[f64], inflation: &[f64]) -> impl Iterator<Item = Vec<f64>> {
        (0..self.draws).map(move |number| {
            let mut random = Random::of_task(self.seed, u64::from(number));
            let mut factors = Vec::with_capacity(scores.len());
            for (&count, inflation) in self.sizes.counts.iter().zip(inflation) {
                match self.trials {
                    Trials::ShareImages => {
                        factors.extend(std::iter::repeat_n(inflation * factor(&mut random), count));
                    }
                    Trials::DrawTheirOwn => {
                        factors.extend((0..count).map(|_| inflation * factor(&mut random)))
                    }
                }
            }
            let noisy = |at: usize| fitted[at] + factors[at] * (scores[at] - fitted[at]);
            (0..scores.len()).map(noisy).collect()
        })
    }

    /// Residuals of a fit are smaller than the noise was, by what the fit took of it: by the share `leverage` at each
    /// size (the jackknife's correction, HC3 of MacKinnon and White, Journal of Econometrics 29, 1985). That few of
    /// them tell the noise only roughly widens the draws as Student's t is wider than the normal distribution.
    fn inflation(&self, leverages: &[f64]) -> Vec<f64> {
        let roughness = student_quantile((self.independent - PARAMETERS) as f64) / Z;
        let of_size = |(leverage, &count): (&f64, &usize)| {
            let own = match self.trials {
                Trials::ShareImages => *leverage,
                Trials::DrawTheirOwn => leverage / count as f64,
            };
            roughness / (1.0 - own).max(1.0 - MOST_LEVERAGE)
        };
        leverages.iter().zip(&self.sizes.counts).map(of_size).collect()
    }

    /// Whether the curve explains more of the squares about the mean than it does in all but [`FALSE_ALARMS`] of the
    /// draws about a flat line.
    fn rises_surely(&self, scores: &[f64], curve: LearningCurve) -> bool {
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        let unexplained = |scores: &[f64], curve: LearningCurve| {
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            let flat: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
            self.sizes.squares(scores, curve) / flat
        };
        let found = unexplained(scores, curve);
        let flat = vec![mean; scores.len()];
        let of_a_mean: Vec<f64> =
            self.sizes.counts.iter().map(|&count| count as f64 / scores.len() as f64).collect();
        let as_good = self
            .draws(scores, &flat, &self.inflation(&of_a_mean))
            .filter(|drawn| unexplained(drawn, self.sizes.fit(drawn)) <= found)
            .count();
        curve.scale > 0.0 && found < 1.0 && (as_good as f64) <= FALSE_ALARMS * f64::from(self.draws)
    }
}

/// Mean 0, variance 1, symmetric, and of six values, so that a few sizes have many draws (Webb, Canadian Journal of
/// Economics 56, 2023).
fn factor(random: &mut Random) -> f64 {
    let size = [0.5_f64, 1.0, 1.5][random.below(3)].sqrt();
    if random.bits() >> 63 == 0 { size } else { -size }
}

impl FittedCurve {
    /// Low and high end of the score at so many images; none without draws.
    pub fn interval(&self, images: f64) -> Option<[f64; 2]> {
        percentiles(self.draws.iter().map(|curve| curve.score(images)))
    }

    /// How many images a score takes.
    pub fn images_for(&self, score: f64) -> ImagesNeeded {
        let limit = REACH * self.measured[1];
        let images = self.curve.images_for(score);
        // Infinite ends would make the interpolation of quantiles undefined.
        let reached = |curve: &LearningCurve| curve.images_for(score).min(2.0 * limit);
        let [low, high] = percentiles(self.draws.iter().map(reached)).unwrap_or([images, images]);
        if high <= self.measured[0] {
            ImagesNeeded::AtMost { images: self.measured[0] }
        } else if images <= limit {
            ImagesNeeded::About { images, low, high: (high <= limit).then_some(high) }
        } else {
            let ceilings = percentiles(self.draws.iter().map(|curve| curve.ceiling));
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

    /// How far each size pulls the curve towards its own mean, from 0 to 1; they add up to the curve's numbers.
    fn leverages(&self, curve: LearningCurve) -> Vec<f64> {
        let largest = self.images[self.images.len() - 1];
        // What the curve does when its ceiling, its scale and its exponent move.
        let slopes: [fn(f64, f64) -> f64; PARAMETERS] = [|_, _| 1.0, |_, x| x, |images, x| x * images.ln()];
        let mut leverages = vec![0.0; self.images.len()];
        let mut basis: Vec<Vec<f64>> = Vec::new();
        for slope in slopes {
            let of_size = |(&images, &count): (&f64, &usize)| {
                let relative = images / largest;
                (count as f64).sqrt() * slope(relative, relative.powf(-curve.exponent))
            };
            let mut column: Vec<f64> = self.images.iter().zip(&self.counts).map(of_size).collect();
            for earlier in &basis {
                let inner: f64 = column.iter().zip(earlier).map(|(a, b)| a * b).sum();
                column.iter_mut().zip(earlier).for_each(|(value, part)| *value -= inner * part);
            }
            let length = column.iter().map(|value| value * value).sum::<f64>().sqrt();
            column.iter_mut().for_each(|value| *value /= length);
            leverages.iter_mut().zip(&column).for_each(|(sum, value)| *sum += value * value);
            basis.push(column);
        }
        leverages
    }

    /// What a curve leaves of the squares of `scores`, in the order of the sorted trainings.
    fn squares(&self, scores: &[f64], curve: LearningCurve) -> f64 {
        let images =
            self.images.iter().zip(&self.counts).flat_map(|(&n, &count)| std::iter::repeat_n(n, count));
        images.zip(scores).map(|(images, score)| (curve.score(images) - score).powi(2)).sum()
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
    const TRIALS: usize = 5;

    /// Normal noise, near enough, by its standard deviation.
    #[derive(Clone, Copy)]
    struct Scatter {
        /// One draw for all trials of a size: the luck of their images.
        of_sizes: f64,
        /// One draw for each trial.
        of_trials: f64,
    }

    fn trainings(law: impl Fn(f64) -> f64, scatter: Scatter, seed: u64) -> Vec<(f64, f64)> {
        let mut random = Random::of_task(seed, u64::MAX);
        let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        let mut found = Vec::new();
        for images in SIZES {
            let shared = scatter.of_sizes * normal();
            found.extend((0..TRIALS).map(|_| (images, law(images) + shared + scatter.of_trials * normal())));
        }
        found
    }

    const BY_TRIAL: Scatter = Scatter { of_sizes: 0.0, of_trials: 0.012 };
    const BY_SIZE: Scatter = Scatter { of_sizes: 0.01, of_trials: 0.01 };

    fn rising(scatter: Scatter, seed: u64) -> Vec<(f64, f64)> {
        trainings(|images| TRUE.score(images), scatter, seed)
    }

    #[test]
    fn an_exact_curve_is_found_again() {
        let exact = rising(Scatter { of_sizes: 0.0, of_trials: 0.0 }, 0);
        let fitted = fit_learning_curve(&exact, Trials::ShareImages, 10, 0).expect("rising");
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-3, "{a} {b}");
        close(fitted.curve.ceiling, TRUE.ceiling);
        close(fitted.curve.scale, TRUE.scale);
        close(fitted.curve.exponent, TRUE.exponent);
        let ImagesNeeded::About { images, .. } = fitted.images_for(0.75) else { panic!("within reach") };
        close(images, (2.0_f64 / 0.1).powf(1.0 / 0.35));
    }

    /// Of 200 simulated sweeps, how many intervals hold the true score at the size.
    fn covered(scatter: Scatter, trials: Trials, images: f64) -> usize {
        let covers = |seed: u64| {
            let fitted = fit_learning_curve(&rising(scatter, seed), trials, 200, seed).expect("rising");
            let [low, high] = fitted.interval(images).expect("draws");
            low <= TRUE.score(images) && TRUE.score(images) <= high
        };
        (0..200).filter(|&seed| covers(seed)).count()
    }

    /// 95 % of 200 is 190; standard deviation 3.
    #[test]
    fn the_interval_holds_the_truth_about_as_often_as_it_says() {
        let own = covered(BY_TRIAL, Trials::DrawTheirOwn, 11_454.0);
        assert!((180..=199).contains(&own), "{own} of 200");
    }

    #[test]
    fn trials_that_share_their_images_are_no_draws_of_images() {
        let shared = covered(BY_SIZE, Trials::ShareImages, 11_454.0);
        assert!((180..=199).contains(&shared), "{shared} of 200");
        let as_if_their_own = covered(BY_SIZE, Trials::DrawTheirOwn, 11_454.0);
        assert!(as_if_their_own < 165, "the simulation tells the two apart: {as_if_their_own} of 200");
    }

    /// Trials that share their images say no more than their mean.
    #[test]
    fn more_trials_of_the_same_images_are_no_new_evidence() {
        let trials = rising(BY_SIZE, 5);
        let mean = |group: &[(f64, f64)]| {
            (group[0].0, group.iter().map(|training| training.1).sum::<f64>() / group.len() as f64)
        };
        let means: Vec<_> = trials.chunks(TRIALS).map(mean).collect();
        let interval = |trainings: &[(f64, f64)]| {
            let fitted = fit_learning_curve(trainings, Trials::ShareImages, 100, 0).expect("rising");
            fitted.interval(1145.0).expect("draws")
        };
        let (of_means, of_trials) = (interval(&means), interval(&trials));
        for (mean, trial) in of_means.into_iter().zip(of_trials) {
            assert!((mean - trial).abs() < 1e-6, "{of_means:?} {of_trials:?}");
        }
    }

    #[test]
    fn flat_scores_are_seldom_taken_for_rising_ones() {
        let check = |scatter: Scatter, trials: Trials| {
            let flat = |seed| trainings(|_| 0.7, scatter, seed);
            let false_alarms =
                (0..200).filter(|&seed| fit_learning_curve(&flat(seed), trials, 200, seed).is_ok()).count();
            assert!(false_alarms <= 10, "{false_alarms} of 200");
        };
        check(BY_TRIAL, Trials::DrawTheirOwn);
        check(BY_SIZE, Trials::ShareImages);
    }

    #[test]
    fn what_the_trainings_do_not_tell_is_not_told() {
        let fitted = fit_learning_curve(&rising(BY_SIZE, 3), Trials::ShareImages, 400, 0).expect("rising");
        let ImagesNeeded::CannotTell { highest_ceiling, .. } = fitted.images_for(0.97) else {
            panic!("{:?}", fitted.images_for(0.97))
        };
        assert!(highest_ceiling > 0.8, "{highest_ceiling}");
        assert_eq!(fitted.images_for(0.1), ImagesNeeded::AtMost { images: 57.0 });
        let ImagesNeeded::About { images, low, high } = fitted.images_for(0.7) else { panic!("measured") };
        assert!(low < images && high.is_some_and(|high| images < high), "{low} {images} {high:?}");
        // The curve is a little above this at the fewest images, but some of the draws are below.
        let at_fewest = fitted.curve.score(57.0) - 0.001;
        let ImagesNeeded::About { images, high, .. } = fitted.images_for(at_fewest) else {
            panic!("{:?}", fitted.images_for(at_fewest))
        };
        assert!(images < 57.0 && high.is_some_and(|high| high > 57.0), "{images} {high:?}");
    }

    #[test]
    fn what_has_no_curve_says_why() {
        let fit = |trainings: &[(f64, f64)], trials| {
            fit_learning_curve(trainings, trials, 200, 0).map(|fit| fit.curve)
        };
        let falling: Vec<_> = SIZES.iter().map(|&images| (images, 0.9 - images / 1e5)).collect();
        assert_eq!(fit(&falling, Trials::ShareImages), Err(NoCurve::NotRising));
        let level: Vec<_> = SIZES.iter().map(|&images| (images, 0.7)).collect();
        assert_eq!(fit(&level, Trials::ShareImages), Err(NoCurve::NotRising));
        let three: Vec<_> = [1.0, 2.0, 3.0, 3.0].map(|images| (images, images / 10.0)).to_vec();
        assert_eq!(fit(&three, Trials::ShareImages), Err(NoCurve::FewSizes(3)));
        // Twenty-five trainings, but of five sizes.
        let exact = rising(Scatter { of_sizes: 0.0, of_trials: 0.0 }, 0);
        let five = &exact[..5 * TRIALS];
        let why = fit(five, Trials::ShareImages).expect_err("two residuals tell no noise");
        let expected =
            "a learning curve needs at least 6 numbers of images that vary independently, there are 5";
        assert_eq!(why.to_string(), expected);
        fit(five, Trials::DrawTheirOwn).expect("twenty-two residuals");
        fit(&exact[..6 * TRIALS], Trials::ShareImages).expect("three residuals");
        let singles: Vec<_> = five.iter().step_by(TRIALS).copied().collect();
        let why = fit(&singles, Trials::DrawTheirOwn);
        assert_eq!(why, Err(NoCurve::LittleFreedom { what: "trainings", found: 5 }));
    }

    #[test]
    fn a_ceiling_is_at_most_one() {
        let steep = [10.0, 20.0, 40.0, 80.0, 160.0, 320.0];
        let steep: Vec<_> = steep.iter().map(|&n: &f64| (n, 0.3 + 0.1 * (n / 10.0).log2())).collect();
        let steep = fit_learning_curve(&steep, Trials::ShareImages, 50, 0).expect("rising");
        assert!(steep.curve.ceiling <= 1.0 && steep.curve.scale > 0.0, "{:?}", steep.curve);
    }

    #[test]
    fn an_exponent_at_the_end_of_its_range_identifies_no_ceiling() {
        let check = |law: &dyn Fn(f64) -> f64, expected| {
            let exact = trainings(law, Scatter { of_sizes: 0.0, of_trials: 0.0 }, 0);
            let fitted = fit_learning_curve(&exact, Trials::ShareImages, 50, 0).expect("rising");
            assert_eq!(fitted.ceiling_identified, expected, "{:?}", fitted.curve);
        };
        check(&|images| TRUE.score(images), true);
        // A straight line over the logarithm, which no power follows, and a step.
        check(&|images: f64| 0.3 + 0.02 * images.ln(), false);
        check(&|images| if images < 100.0 { 0.6 } else { 0.7 }, false);
    }

    /// The slopes of the curve with respect to its numbers, by differences, and the hat matrix by solving.
    #[test]
    fn leverages_are_those_of_the_normal_equations() {
        let sizes = Sizes { images: SIZES.to_vec(), counts: vec![1, 5, 2, 1, 3, 4, 2] };
        let found = sizes.leverages(TRUE);
        assert!((found.iter().sum::<f64>() - 3.0).abs() < 1e-9, "{found:?}");
        // Moving one size's mean by a little moves the curve there by the leverage.
        for at in 0..SIZES.len() {
            let moved = |by: f64| -> Vec<f64> {
                let scores =
                    (0..SIZES.len()).map(|size| TRUE.score(SIZES[size]) + if size == at { by } else { 0.0 });
                scores
                    .zip(&sizes.counts)
                    .flat_map(|(score, &count)| std::iter::repeat_n(score, count))
                    .collect()
            };
            let at_size = |by: f64| sizes.fit(&moved(by)).score(SIZES[at]);
            let expected = (at_size(1e-4) - at_size(-1e-4)) / 2e-4;
            assert!((found[at] - expected).abs() < 0.01, "{at}: {} is not {expected}", found[at]);
        }
    }
}
