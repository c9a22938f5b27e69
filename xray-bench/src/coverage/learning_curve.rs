//! Learning curves of known shapes: how often the answer for a score holds the number of images it takes.

use super::{Promise, Scale, Section, Share};
use xray_metrics::{FittedCurve, ImagesNeeded, Training, fit_learning_curve};
use xray_random::Random;

/// Those of the example sweep.
const SIZES: [f64; 13] =
    [57.0, 115.0, 286.0, 573.0, 1145.0, 1718.0, 2291.0, 2864.0, 3436.0, 4009.0, 4582.0, 5154.0, 5727.0];
const TRIALS: usize = 5;
/// Standard deviation of a score by the luck of the images, and by that of the seed.
const SCATTER: [f64; 2] = [0.010, 0.010];
/// A fit takes some hundred times as long as an interval.
const FEWER: usize = 20;
/// Where images are drawn from, cut this fine: every share is a whole number of pieces, near enough.
const PIECES: usize = 5727;
/// Least share of answers that hold the truth; 0.95 is said.
const PROMISED: [f64; 2] = [0.90, 1.0];
/// Most level curves that are taken for rising ones.
const FALSE_ALARMS: [f64; 2] = [0.0, 0.05];

type Law = fn(f64) -> f64;

const LAWS: [(&str, Law); 5] = [
    ("power law 0.85 − 2 n^−0.35", |n| 0.85 - 2.0 * n.powf(-0.35)),
    ("power law 0.9 − 0.842 n^−0.2", |n| 0.9 - 0.842 * n.powf(-0.2)),
    ("0.5 + 0.33 x / (1 + x), x = (n / 1410)^0.8", |n| {
        let x = (n / 1410.0).powf(0.8);
        0.5 + 0.33 * x / (1.0 + x)
    }),
    ("log-linear 0.3 + 0.052 ln n", |n| 0.3 + 0.052 * n.ln()),
    // None of the forms that are fitted.
    ("0.48 + 0.33 / (1 + e^(7.3 − ln n))^0.7", |n| 0.48 + 0.33 / (1.0 + (7.3 - n.ln()).exp()).powf(0.7)),
];

/// Which images trainings share, and so which luck.
#[derive(Clone, Copy, Debug)]
enum Images {
    /// None: all luck is a training's own.
    Own,
    /// Trials of a size share theirs; those of two sizes have nothing in common.
    Shared,
    /// Trials of a size share theirs, and the smaller size's are a part of the larger's.
    Nested,
    /// Trials begin at different places of a circle, from which each size takes more: parts overlap.
    NestedRotated,
}

impl Images {
    const ALL: [Images; 4] = [Images::Own, Images::Shared, Images::Nested, Images::NestedRotated];

    fn said(self) -> &'static str {
        match self {
            Images::Own => "own",
            Images::Shared => "shared by the trials of a size",
            Images::Nested => "shared, nested",
            Images::NestedRotated => "own, nested, overlapping",
        }
    }

    fn rotated(self) -> bool {
        matches!(self, Images::Own | Images::NestedRotated)
    }
}

/// A sweep whose scores follow a law but for luck.
fn sweep(law: Law, images: Images, random: &mut Random) -> Vec<Training> {
    let circle: Vec<f64> = (0..PIECES).map(|_| random.normal()).collect();
    let last = SIZES[SIZES.len() - 1];
    let mut trainings = Vec::new();
    for size in SIZES {
        let of_size = random.normal();
        for trial in 0..TRIALS {
            let start = if images.rotated() { trial as f64 / TRIALS as f64 } else { 0.0 };
            let luck = match images {
                Images::Own => random.normal(),
                Images::Shared => of_size,
                // The mean over images, of which each has an influence.
                Images::Nested | Images::NestedRotated => {
                    let from = (start * PIECES as f64) as usize;
                    let count = size as usize;
                    circle.iter().cycle().skip(from).take(count).sum::<f64>() / size.sqrt()
                }
            };
            let score = law(size) + SCATTER[0] * luck + SCATTER[1] * random.normal();
            trainings.push(Training { images: size, score, start, share: size / last });
        }
    }
    trainings
}

/// Round scores from the first size's on to two beyond the last's.
fn targets(law: Law) -> Vec<f64> {
    let [low, high] = [law(SIZES[0]), law(SIZES[SIZES.len() - 1])].map(|score| score / 0.05);
    (low.ceil() as i64..=high.ceil() as i64 + 1).map(|step| step as f64 * 0.05).collect()
}

/// How many images a law takes to a score, by bisection; infinite where a trillion do not do.
fn truth(law: Law, score: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e12_f64.ln());
    if law(1e12) < score {
        return f64::INFINITY;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if law(middle.exp()) < score { low = middle } else { high = middle }
    }
    high.exp()
}

fn holds(needed: ImagesNeeded, truth: f64, fitted: &FittedCurve) -> bool {
    match needed {
        ImagesNeeded::AtMost { images } => truth <= images,
        ImagesNeeded::About { low, high, .. } => low <= truth && high.is_none_or(|high| truth <= high),
        ImagesNeeded::CannotTell { low, .. } => {
            low.unwrap_or(xray_metrics::learning_curve::REACH * fitted.measured[1]) <= truth
        }
    }
}

/// What became of the answers of many sweeps.
#[derive(Default)]
struct Found {
    all: Share,
    by_target: Vec<Share>,
    about: Share,
    /// Of those.
    open: Share,
    /// High over low end of those that are not.
    widths: Vec<f64>,
    lack_of_fit: Share,
    ceiling: Share,
}

fn simulate(law: Law, images: Images, simulations: usize, seed: u64) -> Found {
    let targets: Vec<(f64, f64)> = targets(law).into_iter().map(|score| (score, truth(law, score))).collect();
    let mut found = Found { by_target: vec![Share::default(); targets.len()], ..Found::default() };
    for simulation in 0..simulations {
        let mut random = Random::of_task(seed, simulation as u64);
        let Ok(fitted) = fit_learning_curve(&sweep(law, images, &mut random)) else { continue };
        found.lack_of_fit.count(fitted.best().lack_of_fit.is_some_and(|lack| lack.p < 0.05));
        let [low, high] = fitted.ceiling;
        let end = law(1e15);
        found.ceiling.count(!fitted.ceiling_identified() || (low <= end && end <= high));
        for (&(score, truth), of_target) in targets.iter().zip(&mut found.by_target) {
            let needed = fitted.images_for(score);
            let held = holds(needed, truth, &fitted);
            found.all.count(held);
            of_target.count(held);
            let ImagesNeeded::About { low, high, .. } = needed else {
                found.about.count(false);
                continue;
            };
            found.about.count(true);
            found.open.count(high.is_none());
            found.widths.extend(high.map(|high| high / low.max(1.0)));
        }
    }
    found
}

fn curves(scale: Scale) -> Section {
    let simulations = (scale.simulations / FEWER).max(1);
    let mut section = Section {
        title: "Images that a score takes",
        text: format!(
            "{simulations} sweeps a row of {} sizes and {TRIALS} trials; scores scatter by {} for the luck of the \
             images and by {} for that of the seed. Held: answers that hold the true number of images, of all round \
             scores from the smallest size's to two beyond the largest's, and of the score that fares worst. About: \
             answers with a number (the others are at most the fewest measured, or cannot be told); open: of those, \
             without a high end; width: median of high over low end of the others. Ceiling: not identified, or \
             within its interval. Lack of fit: said at p < 0.05; where trials share images their scatter is not a \
             yardstick, which the report says.",
            SIZES.len(),
            SCATTER[0],
            SCATTER[1],
        ),
        head: vec![
            "truth",
            "images",
            "held",
            "worst score",
            "about",
            "open",
            "width",
            "ceiling",
            "lack of fit",
        ],
        rows: Vec::new(),
        promises: Vec::new(),
    };
    for (name, law) in LAWS {
        for images in Images::ALL {
            let mut found = simulate(law, images, simulations, scale.seed);
            found.widths.sort_by(f64::total_cmp);
            let worst = found.by_target.iter().min_by(|a, b| a.value().total_cmp(&b.value()));
            let worst = worst.copied().unwrap_or_default();
            let width = found.widths.get(found.widths.len() / 2);
            section.rows.push(vec![
                name.to_owned(),
                images.said().to_owned(),
                found.all.to_string(),
                worst.to_string(),
                found.about.to_string(),
                found.open.to_string(),
                width.map_or_else(|| "–".to_owned(), |width| format!("{width:.1}")),
                found.ceiling.to_string(),
                found.lack_of_fit.to_string(),
            ]);
            section.promises.push(Promise {
                what: format!("{name}, images {}", images.said()),
                found: found.all,
                bounds: PROMISED,
            });
        }
    }
    section
}

fn level(scale: Scale) -> Section {
    let mut section = Section {
        title: "Level scores taken for a learning curve",
        text: format!("{} sweeps a row whose scores do not depend on the images.", scale.simulations),
        head: vec!["images", "a curve is told"],
        rows: Vec::new(),
        promises: Vec::new(),
    };
    for images in Images::ALL {
        let mut told = Share::default();
        for simulation in 0..scale.simulations {
            let mut random = Random::of_task(scale.seed, simulation as u64);
            told.count(fit_learning_curve(&sweep(|_| 0.7, images, &mut random)).is_ok());
        }
        section.rows.push(vec![images.said().to_owned(), told.to_string()]);
        let what = format!("level scores, images {}", images.said());
        section.promises.push(Promise { what, found: told, bounds: FALSE_ALARMS });
    }
    section
}

pub(super) fn sections(scale: Scale) -> Vec<Section> {
    vec![curves(scale), level(scale)]
}
