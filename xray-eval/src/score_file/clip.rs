//! Logits of probabilities, of which 0 and 1 have none.

use super::kind::{ScoreKind, brief, probability};
use super::row::Row;
use xray_metrics::probability::logit;

/// The least and the most that a probability of 0 is taken for where a logit is needed.
const CLIP: [f64; 2] = [1e-7, 0.005];

/// What makes logits of one label's probabilities. A probability of 0 or 1 has none. Where a label has such, all its
/// probabilities are kept as far from both as half the smallest step to another score: 0.00 of scores with two digits
/// may be anything up to 0.005.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clip(Option<f64>);

impl Clip {
    pub(super) fn of(probabilities: impl Iterator<Item = f64>) -> Clip {
        let distances = probabilities.map(|p| p.min(1.0 - p));
        let (mut exact, mut nearest) = (false, f64::INFINITY);
        for distance in distances {
            exact |= distance == 0.0;
            nearest = if distance > 0.0 { nearest.min(distance) } else { nearest };
        }
        Clip(exact.then(|| (nearest / 2.0).clamp(CLIP[0], CLIP[1])))
    }

    pub(super) fn logit(self, probability: f64) -> f64 {
        let end = self.0.map_or(f64::INFINITY, |least| -logit(least));
        logit(probability).clamp(-end, end)
    }
}

/// How many probabilities are exactly 0 or 1, and what is made of them.
pub(super) fn exact(kind: ScoreKind, rows: &[Row], clips: &[Clip]) -> Option<String> {
    let least = clips.iter().filter_map(|clip| clip.0);
    let (low, high) = (least.clone().reduce(f64::min)?, least.reduce(f64::max)?);
    let all = || rows.iter().flat_map(|row| &row.scores).filter_map(|&score| probability(kind, score));
    let (exact, count) = (all().filter(|&p| p == 0.0 || p == 1.0).count(), all().count());
    let range = if low == high { brief(low) } else { format!("{} to {}", brief(low), brief(high)) };
    Some(format!(
        "{exact} of {count} scores ({:.1} %) are exactly 0 or 1: calibration takes them for {range} from there (half the \
         smallest step to another score, within {} to {}), log loss for 2.2e-16, as scikit-learn's does",
        100.0 * exact as f64 / count as f64,
        brief(CLIP[0]),
        brief(CLIP[1]),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_ones_are_kept_half_a_step_away() {
        let check = |probabilities: &[f64], expected| {
            assert_eq!(Clip::of(probabilities.iter().copied()), Clip(expected), "{probabilities:?}");
        };
        check(&[0.0, 0.001, 0.5, 0.9], Some(0.0005));
        check(&[0.2, 0.75, 1.0, 0.998046875], Some(0.0009765625));
        check(&[0.0, 0.01, 0.02], Some(0.005));
        check(&[0.0, 0.3, 1.0], Some(0.005));
        check(&[0.0, 1.0, -0.0], Some(0.005));
        check(&[0.0, 1e-300, 0.5], Some(1e-7));
        check(&[1.0, 1.0 - 1e-16], Some(1e-7));
        check(&[1e-300, 0.5, 1.0 - 1e-16], None);
        check(&[], None);
    }

    #[test]
    fn clipped_logits_are_symmetric_and_others_are_left() {
        let clip = Clip(Some(1e-7));
        assert_eq!(clip.logit(0.0), -clip.logit(1.0));
        assert!((clip.logit(1.0) - 16.118_095).abs() < 1e-6, "{}", clip.logit(1.0));
        assert_eq!((clip.logit(1e-300), clip.logit(0.5)), (clip.logit(0.0), 0.0));
        assert!((Clip(None).logit(0.75) - 3_f64.ln()).abs() < 1e-15);
        assert!((Clip(None).logit(1e-300) + 690.775_527_898).abs() < 1e-8);
        assert!(Clip(None).logit(5e-324).is_finite() && Clip(None).logit(1.0 - 1e-16).is_finite());
    }
}
