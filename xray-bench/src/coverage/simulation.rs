//! Simulated scores of some findings by two models, whose AUC is known.

use super::Scale;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use xray_random::Random;

/// Who the records are of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Images {
    /// One record a patient.
    One,
    /// One to four, whose scores correlate by 0.5.
    Four,
    /// One to thirty, four in the mean, whose scores correlate by 0.8.
    Many,
}

/// How scores are distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// Both classes normal, equally wide.
    Normal,
    /// Both normal, the positives twice as wide.
    Wide,
    /// Both exponential.
    Exponential,
    /// Both exponential, below zero: the negatives are wider.
    Mirrored,
    /// Some positives far above all negatives, the others like negatives.
    Undetected,
}

/// One simulated data set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    pub(super) patients: usize,
    pub(super) images: Images,
    pub(super) shape: Shape,
    /// How many patients have each finding, one to a column.
    pub(super) positive: &'a [usize],
    /// The true AUCs of either model.
    pub(super) aucs: [f64; 2],
    /// What both models' scores of a record have in common.
    pub(super) alike: f64,
}

/// Row-major `[records, findings]`.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) scores: [Vec<f64>; 2],
    pub(super) truth: Vec<f32>,
    pub(super) patients: Vec<u32>,
}

impl Images {
    pub(super) fn name(self) -> &'static str {
        match self {
            Images::One => "1",
            Images::Four => "1–4",
            Images::Many => "1–30",
        }
    }

    fn of_patient(self, random: &mut Random) -> usize {
        match self {
            Images::One => 1,
            Images::Four => 1 + random.below(4),
            Images::Many => (1..30).find(|_| random.below(4) == 0).unwrap_or(30),
        }
    }

    fn correlation(self) -> f64 {
        match self {
            Images::One => 0.0,
            Images::Four => 0.5,
            Images::Many => 0.8,
        }
    }
}

impl Shape {
    pub(super) fn name(self) -> &'static str {
        match self {
            Shape::Normal => "normal",
            Shape::Wide => "normal, positives twice as wide",
            Shape::Exponential => "exponential",
            Shape::Mirrored => "exponential, mirrored",
            Shape::Undetected => "some positives like negatives",
        }
    }

    /// How far the classes lie apart, so that the AUC is `auc`.
    fn apart(self, auc: f64) -> f64 {
        match self {
            Shape::Normal => 2.0_f64.sqrt() * quantile(auc),
            Shape::Wide => 5.0_f64.sqrt() * quantile(auc),
            Shape::Exponential | Shape::Mirrored => auc / (1.0 - auc),
            // The share of the positives that are like negatives.
            Shape::Undetected => 2.0 * (1.0 - auc),
        }
    }

    /// The score of a standard normal number.
    fn score(self, normal: f64, positive: bool, apart: f64) -> f64 {
        let exponential = |normal: f64| -tail(normal).ln();
        match (self, positive) {
            (Shape::Normal, true) => normal + apart,
            (Shape::Wide, true) => 2.0 * normal + apart,
            (Shape::Normal | Shape::Wide | Shape::Undetected, false) => normal,
            (Shape::Exponential, true) => apart * exponential(normal),
            (Shape::Exponential, false) => exponential(normal),
            (Shape::Mirrored, true) => -exponential(normal),
            (Shape::Mirrored, false) => -apart * exponential(normal),
            (Shape::Undetected, true) => {
                let place = tail(normal) / apart;
                if place < 1.0 { -quantile(place) } else { 10.0 + normal }
            }
        }
    }
}

/// The chance of a standard normal number above `z`.
fn tail(z: f64) -> f64 {
    // Abramowitz and Stegun 26.2.17, good to 1e-7.
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let terms = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let beyond = sum * (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z < 0.0 { 1.0 - beyond } else { beyond }
}

/// The standard normal number that a share of `share` lies below.
fn quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if 1.0 - tail(middle) < share { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

impl Plan<'_> {
    /// The simulations of row `at` of a table.
    pub(super) fn draws(&self, scale: Scale, at: usize) -> impl Iterator<Item = Records> {
        (0..scale.simulations)
            .map(move |simulation| self.draw(&mut Random::keyed(&[scale.seed, at as u64, simulation as u64])))
    }

    fn draw(&self, random: &mut Random) -> Records {
        let (findings, correlation) = (self.positive.len(), self.images.correlation());
        let images: Vec<usize> = (0..self.patients).map(|_| self.images.of_patient(random)).collect();
        let count = images.iter().sum::<usize>();
        let apart = self.aucs.map(|auc| self.shape.apart(auc));
        let mut records = Records {
            scores: [vec![0.0; count * findings], vec![0.0; count * findings]],
            truth: vec![0.0; count * findings],
            patients: Vec::with_capacity(count),
        };
        for (patient, &images) in images.iter().enumerate() {
            records.patients.extend(std::iter::repeat_n(patient as u32, images));
        }
        for (at, &positive) in self.positive.iter().enumerate() {
            let chosen = choose(positive, self.patients, random);
            let mut record = 0;
            for (patient, &images) in images.iter().enumerate() {
                // In three of ten patients with a finding only one image shows it.
                let all = random.unit() < 0.7;
                let noise = |shares: &mut Random| [shares.normal(), shares.normal(), shares.normal()];
                let of_patient = noise(random);
                for image in 0..images {
                    let of_image = noise(random);
                    let [common, a, b] = [0, 1, 2].map(|part: usize| {
                        correlation.sqrt() * of_patient[part] + (1.0 - correlation).sqrt() * of_image[part]
                    });
                    let truth = chosen[patient] && (all || image == 0);
                    let place = record * findings + at;
                    records.truth[place] = f32::from(u8::from(truth));
                    for (model, own) in [a, b].into_iter().enumerate() {
                        let normal = self.alike.sqrt() * common + (1.0 - self.alike).sqrt() * own;
                        records.scores[model][place] = self.shape.score(normal, truth, apart[model]);
                    }
                    record += 1;
                }
            }
        }
        records
    }
}

/// `count` of `all`, each as likely as any other.
fn choose(count: usize, all: usize, random: &mut Random) -> Vec<bool> {
    let mut order: Vec<usize> = (0..all).collect();
    let mut chosen = vec![false; all];
    for at in 0..count {
        order.swap(at, at + random.below(all - at));
        chosen[order[at]] = true;
    }
    chosen
}

/// One result for each row, whoever makes it: threads take rows as they come.
pub(super) fn in_parallel<Row: Sync, Found: Send>(
    rows: &[Row],
    of_row: impl Fn(usize, &Row) -> Found + Sync,
) -> Vec<Found> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(row) = rows.get(at) else { return done };
            done.push((at, of_row(at, row)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut found: Vec<(usize, Found)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no row panics")).collect()
    });
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, found)| found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_metrics::{Scores, auc};

    /// The truth that every table is held against, from many patients.
    #[test]
    fn simulated_scores_have_the_auc_that_is_asked_for() {
        for shape in [Shape::Normal, Shape::Wide, Shape::Exponential, Shape::Mirrored, Shape::Undetected] {
            for images in [Images::One, Images::Four] {
                let plan = Plan {
                    patients: 20_000,
                    images,
                    shape,
                    positive: &[8_000],
                    aucs: [0.75, 0.9],
                    alike: 0.6,
                };
                let records = plan.draw(&mut Random::keyed(&[7]));
                for (scores, expected) in records.scores.iter().zip(plan.aucs) {
                    let scores = Scores::new(scores, &records.truth, 1).expect("finite scores");
                    let found = auc(&scores.column(0)).expect("both classes");
                    assert!(
                        (found - expected).abs() < 0.012,
                        "{shape:?}, {images:?}: {found} is not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn quantiles_and_tails_are_the_tabled_ones() {
        assert!((quantile(0.975) - 1.959_964).abs() < 1e-5 && (tail(1.0) - 0.158_655).abs() < 1e-6);
        assert!((tail(-1.0) - 0.841_345).abs() < 1e-6);
    }
}
