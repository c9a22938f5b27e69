//! Where a bend begins and how far it rises: the least squares line of scores over its heights.

use super::weights::Weights;

/// `score = level + slope · (height − centre)`, rising.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// Weighted mean height of the units.
    centre: f64,
    /// Weighted mean score.
    level: f64,
    pub(super) slope: f64,
    /// Weight of all units.
    total: f64,
    /// Weighted squares of the heights about their mean.
    pub(super) heights: f64,
    /// Weighted squares of the scores about the line.
    pub(super) squares: f64,
}

impl Line {
    /// Over the heights of a bend at each size; none where the scores do not rise along it, or it is level there.
    pub(super) fn fit(weights: &Weights, heights: &[f64]) -> Option<Line> {
        let (centre, about, heights) = weights.about_mean_of(heights);
        let product = weights.products_with(&heights, weights.mean);
        let squares = weights.about_mean - product * product / about;
        let rises = product > 0.0 && about > f64::MIN_POSITIVE && squares.is_finite();
        // What rounding leaves of an exact fit is no less than this.
        let squares = squares.max(f64::EPSILON * weights.about_mean);
        rises.then(|| Line {
            centre,
            level: weights.mean,
            slope: product / about,
            total: weights.total,
            heights: about,
            squares,
        })
    }

    /// The score at a height.
    pub(super) fn at(&self, height: f64) -> f64 {
        self.level + self.slope * (height - self.centre)
    }

    /// The variance of the score at a height, in units of the noise's.
    fn variance(&self, height: f64) -> f64 {
        1.0 / self.total + (height - self.centre).powi(2) / self.heights
    }

    /// The scores at a height that cost at most `slack` further squares.
    pub(super) fn scores(&self, height: f64, slack: f64) -> [f64; 2] {
        let half = (slack * self.variance(height)).sqrt();
        [self.at(height) - half, self.at(height) + half]
    }

    /// The heights at which a score costs at most `slack` further squares (Fieller, Quarterly Journal of Pharmacy and
    /// Pharmacology 17, 1944).
    pub(super) fn heights(&self, score: f64, slack: f64) -> [f64; 2] {
        let missing = score - self.level;
        // (missing − slope · u)² ≤ slack · (1 / total + u² / heights) for u, the height less the centre.
        let squared = self.slope * self.slope - slack / self.heights;
        let rest = missing * missing - slack / self.total;
        let middle = self.slope * missing;
        let root = (middle * middle - squared * rest).max(0.0).sqrt();
        let [low, high] = if squared > 0.0 {
            [(middle - root) / squared, (middle + root) / squared]
        } else if rest <= 0.0 {
            // Nothing is known of the slope, and the score is that of the centre.
            [f64::NEG_INFINITY, f64::INFINITY]
        } else if missing > 0.0 {
            [rest / (middle + root), f64::INFINITY]
        } else {
            [f64::NEG_INFINITY, rest / (middle - root)]
        };
        [self.centre + low, self.centre + high]
    }
}

#[cfg(test)]
mod tests {
    use super::super::training::{Training, units};
    use super::*;

    fn line(scores: &[f64]) -> (Line, f64) {
        let training = |(at, &score): (usize, &f64)| Training {
            images: (at as f64).exp(),
            score,
            start: 0.0,
            share: 0.5,
        };
        let trainings: Vec<_> = scores.iter().enumerate().map(training).collect();
        let sizes: Vec<f64> = (0..scores.len()).map(|at| at as f64).collect();
        let weights = Weights::all(&units(&trainings), sizes.len());
        let line = Line::fit(&weights[0], &sizes).expect("rising");
        let fitted = scores.iter().zip(&sizes).map(|(score, &height)| (score - line.at(height)).powi(2));
        (line, fitted.sum())
    }

    /// By `scipy.stats.linregress`.
    #[test]
    fn the_line_is_scipys() {
        let (line, squares) = line(&[0.50, 0.58, 0.61, 0.70]);
        assert!((line.slope - 0.063).abs() < 1e-12 && (line.at(0.0) - 0.503).abs() < 1e-12, "{line:?}");
        assert!((line.squares - squares).abs() < 1e-12, "{} is not {squares}", line.squares);
    }

    /// A score is possible at a height just where the height is possible for the score.
    #[test]
    fn heights_are_those_at_which_the_score_is_possible() {
        let (line, _) = line(&[0.50, 0.58, 0.61, 0.70]);
        for slack in [1e-4, 1e-3, 1e-2, 0.2] {
            for score in [0.3, 0.55, 0.6, 0.65, 0.9] {
                let [low, high] = line.heights(score, slack);
                for step in -400..=400 {
                    let height = f64::from(step) / 10.0 + 0.05;
                    let [from, to] = line.scores(height, slack);
                    let possible = from <= score && score <= to;
                    // Where the slope may be below 0, what only falling lines reach is left out.
                    let falling = slack / line.heights >= line.slope.powi(2)
                        && (height - line.centre) * (score - line.level) < 0.0;
                    let held = low <= height && height <= high;
                    let nothing_known = low == f64::NEG_INFINITY && high == f64::INFINITY;
                    let right = held == possible || falling || nothing_known;
                    assert!(right, "{slack} {score} {height}: {low} to {high}");
                }
            }
        }
    }
}
