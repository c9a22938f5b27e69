//! What is known of single trainings, and which of them saw the same images.

use serde::{Deserialize, Serialize};

/// One training: how many images it saw, which part of all of them, and the score it reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// How many.
    pub images: f64,
    /// What it reached on the test records, from 0 to 1.
    pub score: f64,
    /// Where its part begins, from 0 up to 1, in an order that starts again at its end.
    pub start: f64,
    /// How large a part it is, above 0 and at most 1.
    pub share: f64,
}

/// What trainings with the same number of images have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trials {
    /// Their images: they differ by their seeds only, as the trials of a sweep do.
    ShareImages,
    /// Not all of them: their parts begin at different places.
    DrawTheirOwn,
}

/// Trainings on the very same images, which say no more of the luck of these images than their mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unit {
    /// Which of the sizes.
    pub(super) size: usize,
    pub(super) images: f64,
    /// Mean of its trainings.
    pub(super) score: f64,
    pub(super) trainings: usize,
    /// Squares of its trainings about their mean.
    pub(super) squares: f64,
    start: f64,
    share: f64,
}

/// Units by the number of images, then by where they begin; trainings without images or score are left out.
pub(super) fn units(trainings: &[Training]) -> Vec<Unit> {
    let usable = |it: &&Training| {
        it.images >= 1.0 && [it.images, it.score, it.start, it.share].iter().all(|x| x.is_finite())
    };
    let mut sorted: Vec<Training> = trainings.iter().filter(usable).copied().collect();
    sorted.sort_by(|a, b| a.images.total_cmp(&b.images).then(a.start.total_cmp(&b.start)));
    let mut units: Vec<Unit> = Vec::new();
    for group in sorted.chunk_by(|a, b| a.images == b.images && a.start == b.start) {
        let count = group.len() as f64;
        let score = group.iter().map(|it| it.score).sum::<f64>() / count;
        let images = group[0].images;
        let size = units.last().map_or(0, |last| last.size + usize::from(last.images != images));
        units.push(Unit {
            size,
            images,
            score,
            trainings: group.len(),
            squares: group.iter().map(|it| (it.score - score).powi(2)).sum(),
            start: group[0].start.rem_euclid(1.0),
            share: group[0].share.clamp(f64::MIN_POSITIVE, 1.0),
        });
    }
    units
}

/// The different numbers of images, ascending.
pub(super) fn sizes(units: &[Unit]) -> Vec<f64> {
    units.chunk_by(|a, b| a.size == b.size).map(|units| units[0].images).collect()
}

impl Unit {
    /// How much the luck of its images is that of another's, from 0 to 1: the images that both saw over the geometric
    /// mean of how many each saw. That is the correlation of any two means over images, and to first order a score is
    /// such a mean (Hájek's projection, Annals of Mathematical Statistics 39, 1968).
    pub(super) fn shared_luck(&self, other: &Unit) -> f64 {
        (self.overlap(other) / (self.share * other.share).sqrt()).min(1.0)
    }

    /// Of two arcs of a circle of length 1.
    fn overlap(&self, other: &Unit) -> f64 {
        let both = |turn: f64| {
            let from = self.start.max(other.start + turn);
            (self.start + self.share).min(other.start + other.share + turn) - from
        };
        [-1.0, 0.0, 1.0].into_iter().map(|turn| both(turn).max(0.0)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(images: f64, start: f64, score: f64) -> Training {
        Training { images, score, start, share: images / 100.0 }
    }

    #[test]
    fn trainings_on_the_same_images_are_one_unit() {
        let found = units(&[
            training(50.0, 0.0, 0.7),
            training(10.0, 0.5, 0.6),
            training(10.0, 0.0, 0.4),
            training(10.0, 0.5, 0.8),
            training(0.0, 0.0, 0.5),
            training(20.0, 0.0, f64::NAN),
        ]);
        let said: Vec<_> = found.iter().map(|unit| (unit.size, unit.images, unit.trainings)).collect();
        assert_eq!(said, [(0, 10.0, 1), (0, 10.0, 2), (1, 50.0, 1)]);
        assert!((found[1].score - 0.7).abs() < 1e-12 && (found[1].squares - 0.02).abs() < 1e-12, "{found:?}");
        assert_eq!(sizes(&found), [10.0, 50.0]);
    }

    #[test]
    fn luck_is_shared_as_far_as_images_are() {
        let check = |a: (f64, f64), b: (f64, f64), expected: f64| {
            let unit = |(images, start)| units(&[training(images, start, 0.5)]).remove(0);
            let (a, b) = (unit(a), unit(b));
            for found in [a.shared_luck(&b), b.shared_luck(&a)] {
                assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
            }
        };
        // The smaller is a part of the larger.
        check((25.0, 0.0), (100.0, 0.0), 0.5);
        check((20.0, 0.3), (20.0, 0.3), 1.0);
        check((20.0, 0.0), (20.0, 0.2), 0.0);
        // 0.9 to 1.3 and 0.2 to 0.6 share 0.2 to 0.3.
        check((40.0, 0.9), (40.0, 0.2), 0.25);
        check((100.0, 0.4), (100.0, 0.0), 1.0);
        // Both ends of one lie in the other.
        check((80.0, 0.0), (80.0, 0.5), 0.75);
    }
}
