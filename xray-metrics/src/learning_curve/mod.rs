//! How a score grows with the number of training images, and the question it is fitted for: how many images does a score
//! take?
//!
//! **Which curve.** Nobody knows the form of a learning curve, and forms that fit alike differ beyond the data. Several
//! are fitted by least squares and compared ([`Form`], [`FittedForm`]). The best by Akaike's criterion is shown, and
//! intervals are of all curves that the scores do not reject: of any exponent, floor and ceiling, saturating, stretched
//! or neither. That no form fits is tested where it can be ([`LackOfFit`]); if so, what the best one misses is counted
//! as noise of sizes.
//!
//! **What the uncertainty is of.** Other trainings on other draws of images, seen on the same test records; other
//! patients are not in it. Trainings on the very same images are one draw ([`Trials::ShareImages`]). A smaller part of
//! the images lies within a larger one, so their luck is partly the same and a whole curve lies too high or too low
//! together. How far is not known: a curve counts as possible if it is under one of several covariances, from
//! independent units to luck that is shared as images are.
//!
//! **Whether there is a curve.** The scores must rise more surely than chance lets level ones.

mod bend;
mod forms;
mod line;
mod needed;
mod possible;
mod search;
mod training;
mod weights;

pub use forms::{CHANCE, FittedForm, Form, LackOfFit, LearningCurve};
pub use needed::{ImagesNeeded, REACH};
pub use training::{Training, Trials};

use possible::{Evidence, PossibleCurves};
use thiserror::Error;
use training::{sizes, units};
use weights::Weights;

/// Fewer sizes than this leave nothing to check a curve by.
pub const MIN_SIZES: usize = 4;
/// The curves have up to four numbers; of fewer independent scores than this no noise can be read.
pub const MIN_INDEPENDENT: usize = 6;
/// A form whose lack of fit is less likely than this does not fit.
pub const MISFIT: f64 = 0.05;
/// Forms whose Akaike criterion differs by no more fit as well as each other (Burnham and Anderson, Model Selection and
/// Multimodel Inference, 2002, section 2.6).
const AS_GOOD: f64 = 2.0;

/// The forms at their best, and all curves that other trainings might have given.
pub struct FittedCurve {
    /// Fewest and most images that were measured.
    pub measured: [f64; 2],
    /// What trainings of a size have in common.
    pub trials: Trials,
    /// Every form at its best, the best first.
    pub forms: Vec<FittedForm>,
    /// Low and high end of the score that no number of images gets beyond; infinite where curves without one are possible.
    pub ceiling: [f64; 2],
    possible: PossibleCurves,
}

/// Why there is no curve.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum NoCurve {
    /// Too few different numbers of images.
    #[error("a learning curve needs at least {MIN_SIZES} different numbers of images, there are {0}")]
    FewSizes(usize),
    /// Too little that varies independently: sizes where trials share their images, trainings where they do not.
    #[error(
        "a learning curve needs at least {MIN_INDEPENDENT} {what} that vary independently, there are {found}"
    )]
    LittleFreedom {
        /// `numbers of images` or `trainings`.
        what: &'static str,
        /// How many.
        found: usize,
    },
    /// More images were not surely better.
    #[error("the scores do not clearly rise with the number of images")]
    NotRising,
}

/// Fits single trainings.
///
/// # Errors
/// If the sizes or what varies independently are too few, or the scores do not surely rise.
pub fn fit_learning_curve(trainings: &[Training]) -> Result<FittedCurve, NoCurve> {
    let units = units(trainings);
    let sizes = sizes(&units);
    if sizes.len() < MIN_SIZES {
        return Err(NoCurve::FewSizes(sizes.len()));
    }
    let (trials, what) = match units.len() == sizes.len() {
        true => (Trials::ShareImages, "numbers of images"),
        false => (Trials::DrawTheirOwn, "trainings"),
    };
    if units.len() < MIN_INDEPENDENT {
        return Err(NoCurve::LittleFreedom { what, found: units.len() });
    }
    let evidence = Evidence {
        weights: Weights::all(&units, sizes.len()),
        measured: [sizes[0], sizes[sizes.len() - 1]],
        sizes: sizes.iter().map(|images| images.ln()).collect(),
        units: units.len(),
    };
    if !evidence.rises() {
        return Err(NoCurve::NotRising);
    }
    let mut forms = forms::fitted(&evidence, &units, trials);
    forms.sort_by(|a, b| a.akaike.total_cmp(&b.akaike));
    let least = forms.iter().filter_map(|form| form.lack_of_fit).min_by(|a, b| a.ratio.total_cmp(&b.ratio));
    let misfit = least.filter(|_| no_form_fits(&forms, trials)).map(|it| (it.ratio, it.freedom));
    let possible = evidence.possible(misfit);
    let ceiling = possible.ceilings();
    Ok(FittedCurve { measured: evidence.measured, trials, forms, ceiling, possible })
}

/// Trials that share their images are not a yardstick: sizes may scatter more by the luck of the images.
fn no_form_fits(forms: &[FittedForm], trials: Trials) -> bool {
    let misses = |form: &FittedForm| form.lack_of_fit.is_some_and(|it| it.p < MISFIT);
    trials == Trials::DrawTheirOwn && forms.iter().all(misses)
}

impl FittedCurve {
    /// Whether every form misses more than noise, as far as that can be told.
    pub fn no_form_fits(&self) -> bool {
        no_form_fits(&self.forms, self.trials)
    }

    /// The best form.
    pub fn best(&self) -> &FittedForm {
        &self.forms[0]
    }

    /// The forms that fit as well as the best, which is among them.
    pub fn as_good(&self) -> impl Iterator<Item = &FittedForm> {
        self.forms.iter().filter(|form| form.akaike <= self.best().akaike + AS_GOOD)
    }

    /// The best curve.
    pub fn curve(&self) -> &LearningCurve {
        &self.best().curve
    }

    /// Low and high end of the score at so many images.
    pub fn interval(&self, images: f64) -> [f64; 2] {
        self.possible.scores(images).map(|score| score.clamp(0.0, 1.0))
    }

    /// Whether the trainings tell that the curve ends below a perfect score, and so where.
    pub fn ceiling_identified(&self) -> bool {
        self.ceiling[1] < 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_random::Random;

    const SIZES: [f64; 7] = [57.0, 115.0, 286.0, 573.0, 1145.0, 2864.0, 5727.0];
    const TRIALS: usize = 5;

    fn power_law(images: f64) -> f64 {
        0.85 - 2.0 * images.powf(-0.35)
    }

    fn saturation(images: f64) -> f64 {
        let x = (images / 1410.0).powf(0.8);
        0.5 + 0.33 * x / (1.0 + x)
    }

    /// Which images the trials have, and so which luck.
    #[derive(Clone, Copy, PartialEq)]
    enum Images {
        Own,
        /// The same at a size; those of sizes are independent.
        Shared,
        /// The same at a size, and a part of those of the next.
        Nested,
    }

    fn sweep(law: impl Fn(f64) -> f64, images: Images, scatter: f64, seed: u64) -> Vec<Training> {
        let mut random = Random::of_task(seed, u64::MAX);
        let last = SIZES[SIZES.len() - 1];
        let mut found = Vec::new();
        let (mut seen, mut luck_of_seen) = (0.0, 0.0);
        for size in SIZES {
            // The mean over images, of which the first are those of the smaller size.
            luck_of_seen += f64::sqrt(size - seen) * random.normal();
            seen = size;
            let luck = match images {
                Images::Own => 0.0,
                Images::Shared => random.normal(),
                Images::Nested => luck_of_seen / size.sqrt(),
            };
            for trial in 0..TRIALS {
                let start = if images == Images::Own { trial as f64 / TRIALS as f64 } else { 0.0 };
                let score = law(size) + scatter * (luck + random.normal());
                found.push(Training { images: size, score, start, share: size / last });
            }
        }
        found
    }

    fn fit(trainings: &[Training]) -> FittedCurve {
        fit_learning_curve(trainings).expect("rising")
    }

    #[test]
    fn exact_curves_are_found_again() {
        // Without noise nothing speaks against a free floor.
        let check = |law: &dyn Fn(f64) -> f64, forms: &[Form], ceiling: Option<f64>| {
            for images in [Images::Own, Images::Shared] {
                let fitted = fit(&sweep(law, images, 0.0, 0));
                assert!(forms.contains(&fitted.curve().form), "{}", fitted.curve());
                for images in [57.0, 1000.0, 10_000.0] {
                    let found = fitted.curve().score(images);
                    assert!((found - law(images)).abs() < 2e-3, "{}: {found} at {images}", fitted.curve());
                    let needed = fitted.curve().images_for(law(images));
                    assert!(
                        (needed / images).ln().abs() < 0.1,
                        "{}: {needed} is not {images}",
                        fitted.curve()
                    );
                }
                let found = fitted.curve().ceiling();
                assert!(found.zip(ceiling).is_none_or(|(a, b)| (a - b).abs() < 5e-3), "{}", fitted.curve());
                assert_eq!(found.is_some(), ceiling.is_some());
            }
        };
        check(&|images| 0.3 + 0.05 * images.ln(), &[Form::LogLinear], None);
        check(&power_law, &[Form::PowerLaw], Some(0.85));
        check(&saturation, &[Form::SaturationFromChance, Form::Saturation], Some(0.83));
        let stretched = |images: f64| 0.5 + 0.3 * (1.0 - (-(images / 1800.0).powf(0.7)).exp());
        check(&stretched, &[Form::StretchedFromChance, Form::Stretched], Some(0.8));
    }

    /// How many of the answers for scores hold the true number of images.
    fn covered(law: fn(f64) -> f64, images: Images, sweeps: u64) -> (usize, usize) {
        let (mut held, mut asked) = (0, 0);
        for seed in 0..sweeps {
            let fitted = fit(&sweep(law, images, 0.012, seed));
            for truth in [100.0, 800.0, 3000.0, 12_000.0] {
                asked += 1;
                held += usize::from(match fitted.images_for(law(truth)) {
                    ImagesNeeded::AtMost { images } => truth <= images,
                    ImagesNeeded::About { low, high, .. } => {
                        low <= truth && high.is_none_or(|high| truth <= high)
                    }
                    ImagesNeeded::CannotTell { low, .. } => low.is_none_or(|low| low <= truth),
                });
            }
        }
        (held, asked)
    }

    /// The short form of `cargo xtask bench coverage`; 95 % is said.
    #[test]
    fn answers_hold_the_truth_whatever_its_form_and_whoever_shares_images() {
        for law in [power_law, saturation] {
            for images in [Images::Own, Images::Shared, Images::Nested] {
                let (held, asked) = covered(law, images, 12);
                assert!(held as f64 >= 0.8 * asked as f64, "{held} of {asked}");
            }
        }
    }

    /// Trials that share their images say no more than their mean.
    #[test]
    fn more_trials_of_the_same_images_are_no_new_evidence() {
        let trials = sweep(power_law, Images::Nested, 0.01, 5);
        let mean = |group: &[Training]| Training {
            score: group.iter().map(|training| training.score).sum::<f64>() / group.len() as f64,
            ..group[0]
        };
        let means: Vec<_> = trials.chunks(TRIALS).map(mean).collect();
        let (of_means, of_trials) = (fit(&means), fit(&trials));
        assert_eq!(of_means.best().lack_of_fit, None);
        for images in [57.0, 1145.0, 20_000.0] {
            for (mean, trial) in of_means.interval(images).into_iter().zip(of_trials.interval(images)) {
                assert!((mean - trial).abs() < 1e-6, "{mean} {trial}");
            }
        }
    }

    #[test]
    fn level_scores_are_seldom_taken_for_rising_ones() {
        for images in [Images::Own, Images::Shared, Images::Nested] {
            let level = |seed| sweep(|_| 0.7, images, 0.012, seed);
            let false_alarms = (0..200).filter(|&seed| fit_learning_curve(&level(seed)).is_ok()).count();
            assert!(false_alarms <= 10, "{false_alarms} of 200");
        }
    }

    #[test]
    fn a_ceiling_is_told_only_where_it_is_known() {
        let check = |law: fn(f64) -> f64, scatter: f64, identified: bool| {
            let fitted = fit(&sweep(law, Images::Own, scatter, 1));
            assert_eq!(fitted.ceiling_identified(), identified, "{:?}", fitted.ceiling);
            assert!(fitted.ceiling[0] <= law(1e12) && law(1e12) <= fitted.ceiling[1], "{:?}", fitted.ceiling);
        };
        check(power_law, 0.005, true);
        check(saturation, 0.03, false);
        check(|images| (0.3 + 0.05 * images.ln()).min(1.0), 0.01, false);
    }

    #[test]
    fn what_the_trainings_do_not_tell_is_not_told() {
        let fitted = fit(&sweep(power_law, Images::Own, 0.01, 3));
        let told = fitted.images_for(0.97);
        assert!(matches!(told, ImagesNeeded::CannotTell { .. }), "{told:?}");
        assert_eq!(fitted.images_for(0.2), ImagesNeeded::AtMost { images: 57.0 });
        let ImagesNeeded::About { images, low, high } = fitted.images_for(0.7) else { panic!("measured") };
        assert!(low < images && high.is_some_and(|high| images < high), "{low} {images} {high:?}");
        // A little above the curve at the fewest images, but not above all that are possible there.
        let told = fitted.images_for(fitted.curve().score(57.0) - 0.001);
        let ImagesNeeded::About { images, high, .. } = told else { panic!("{told:?}") };
        assert!(images < 57.0 && high.is_some_and(|high| high > 57.0), "{images} {high:?}");
    }

    /// Scores that swing with the size, which no form does: the trials say so, and what is missed widens the intervals.
    #[test]
    fn what_no_form_follows_is_said_and_counts_as_noise() {
        let swing = |images: f64| power_law(images) + 0.02 * (2.5 * images.ln()).sin();
        let own = fit(&sweep(swing, Images::Own, 0.002, 0));
        assert!(
            own.forms.iter().all(|form| form.lack_of_fit.is_some_and(|it| it.p < 1e-6)),
            "{:?}",
            own.forms
        );
        let straight = fit(&sweep(power_law, Images::Own, 0.002, 0));
        assert!(straight.best().lack_of_fit.is_some_and(|it| it.p > MISFIT), "{:?}", straight.best());
        let width = |fitted: &FittedCurve| fitted.interval(1000.0)[1] - fitted.interval(1000.0)[0];
        assert!(width(&own) > 4.0 * width(&straight), "{} {}", width(&own), width(&straight));
    }

    #[test]
    fn what_has_no_curve_says_why() {
        let why = |trainings: &[Training]| fit_learning_curve(trainings).err();
        let exact = sweep(power_law, Images::Shared, 0.0, 0);
        let scored = |score: &dyn Fn(f64) -> f64| -> Vec<Training> {
            exact.iter().map(|&it| Training { score: score(it.images), ..it }).collect()
        };
        assert_eq!(why(&scored(&|images| 0.9 - images / 1e5)), Some(NoCurve::NotRising));
        assert_eq!(why(&scored(&|_| 0.7)), Some(NoCurve::NotRising));
        assert_eq!(why(&exact[..3 * TRIALS]), Some(NoCurve::FewSizes(3)));
        assert_eq!(why(&[]), Some(NoCurve::FewSizes(0)));
        // Twenty-five trainings, but of five sizes.
        let few = why(&exact[..5 * TRIALS]).expect("one residual tells no noise");
        let expected =
            "a learning curve needs at least 6 numbers of images that vary independently, there are 5";
        assert_eq!(few.to_string(), expected);
        assert_eq!(why(&sweep(power_law, Images::Own, 0.0, 0)[..5 * TRIALS]), None);
        assert_eq!(why(&exact[..6 * TRIALS]), None);
    }
}
