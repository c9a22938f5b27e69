//! What the smoothed difference says of the rates.
//!
//! The rate at which it is least is suggested: the highest at which the loss still falls, which Smith takes as the upper
//! bound of a cycle. Where the curve is steepest was tried too, and is at far lower rates: the first fall is that of a last
//! layer that unlearns its random weights.

use super::{Ending, Smoothed};
use serde::Serialize;

/// What follows for the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Conclusion {
    /// A rate to train with.
    Suggested {
        /// Where the loss is least; above, it rises.
        rate: f64,
        /// How far it lies there below that of the first weights.
        fall: f64,
    },
    /// The loss changes at once, at the lowest rates: a better one may lie below.
    AtTheLowEnd,
    /// The loss falls to the highest rates: a better one may lie above.
    AtTheHighEnd,
    /// Nothing stands above the scatter of the batches.
    NothingLearnt,
}

/// In the first steps of a range that begins low enough, next to nothing changes.
const FIRST: usize = 10;
/// Factor beyond the rate that must have been tried to see that the loss is not lower there, unless the loss rises
/// before.
const BEYOND: f64 = 3.0;

impl Conclusion {
    /// From the smoothed curve of a test in which something was learnt after so many measurements, or not.
    ///
    /// A network that too high a rate has spoilt may come to constants, and so below its first weights again: nothing
    /// counts after the loss rose above theirs.
    pub(super) fn of(curve: &[Smoothed], ending: Ending, learnt_by: Option<usize>) -> Conclusion {
        let Some(learnt_by) = learnt_by else { return Conclusion::NothingLearnt };
        let (by_then, later) = curve.split_at(learnt_by.min(curve.len()));
        let sound = later.iter().take_while(|point| point.difference <= 0.0).count();
        let end = by_then.len() + sound;
        let lowest = |a: &usize, b: &usize| curve[*a].difference.total_cmp(&curve[*b].difference);
        let Some(least) = (0..end).min_by(lowest) else { return Conclusion::NothingLearnt };
        let (rate, fall) = (curve[least].rate, -curve[least].difference);
        let is_half_lost = |point: &Smoothed| point.difference > -fall / 2.0;
        let rises = ending != Ending::Completed || curve[least..].iter().any(is_half_lost);
        if curve.iter().take(FIRST).any(|point| point.difference.abs() > fall / 2.0) {
            Conclusion::AtTheLowEnd
        } else if !rises && curve[curve.len() - 1].rate < BEYOND * rate {
            Conclusion::AtTheHighEnd
        } else {
            Conclusion::Suggested { rate, fall }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates from `low` to `high`, as powers of ten: the loss falls by 0.1 around 1e-3, and from 1e-2 on rises by `rise` for
    /// each factor of ten.
    fn curve([low, high]: [f64; 2], rise: f64) -> Vec<Smoothed> {
        let difference = |log: f64| -0.1 / (1.0 + (-(log + 3.0) / 0.1).exp()) + rise * (log + 2.0).max(0.0);
        let points = ((high - low) * 40.0).round() as u32;
        let point = |at: u32| {
            let log = low + f64::from(at) / 40.0;
            Smoothed { rate: 10_f64.powf(log), loss: 0.5, difference: difference(log) }
        };
        (0..=points).map(point).collect()
    }

    fn of(curve: &[Smoothed], ending: Ending) -> Conclusion {
        Conclusion::of(curve, ending, Some(30))
    }

    fn check(curve: &[Smoothed], ending: Ending, expected: f64) {
        let found = of(curve, ending);
        let Conclusion::Suggested { rate, fall } = found else { panic!("{found:?}") };
        assert!((rate / expected - 1.0).abs() < 1e-9, "{found:?}");
        assert!((0.099..=0.1).contains(&fall), "{found:?}");
    }

    #[test]
    fn the_rate_at_which_the_loss_is_least_is_suggested() {
        check(&curve([-6.0, 0.0], 0.05), Ending::Completed, 1e-2);
        // It ends where it begins to rise, because it left the finite numbers.
        check(&curve([-6.0, -2.0], 0.0), Ending::NotFinite, 1e-2);
        check(&curve([-6.0, -1.5], 0.01), Ending::Completed, 1e-2);
    }

    #[test]
    fn what_is_least_at_an_end_may_be_less_beyond() {
        assert_eq!(of(&curve([-6.0, -2.0], 0.0), Ending::Completed), Conclusion::AtTheHighEnd);
        assert_eq!(of(&curve([-6.0, -1.6], 0.01), Ending::Completed), Conclusion::AtTheHighEnd);
        assert_eq!(of(&curve([-3.0, 0.0], 0.05), Ending::Completed), Conclusion::AtTheLowEnd);
    }

    #[test]
    fn nothing_follows_from_chance_and_from_nothing() {
        let whole = curve([-6.0, 0.0], 0.05);
        assert_eq!(Conclusion::of(&whole, Ending::Rose, None), Conclusion::NothingLearnt);
        assert_eq!(of(&[], Ending::Rose), Conclusion::NothingLearnt);
    }

    /// The loss rises above that of the first weights from 1e-2 on, and falls below all before when the network is spoilt.
    #[test]
    fn what_comes_after_a_rise_above_the_first_weights_does_not_count() {
        let mut whole = curve([-6.0, 1.0], 0.2);
        for point in whole.iter_mut().filter(|point| point.rate > 1.0) {
            point.difference = -0.3;
        }
        check(&whole, Ending::Completed, 1e-2);
    }
}
