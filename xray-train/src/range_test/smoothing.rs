//! Single batches scatter; their exponentially weighted mean less so.

use super::Measurement;
use serde::Serialize;

/// Weighted means over a measurement and those before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Smoothed {
    /// The learning rate, the mean being that of logarithms: with the same weights, so that the means below stand where
    /// what they are made of stood, and not later.
    pub rate: f64,
    /// The loss.
    pub loss: f64,
    /// The loss minus the loss of the first weights on the same batches.
    pub difference: f64,
}

impl Smoothed {
    /// Whether no higher rate need be tried: the loss is twice that of the first weights.
    pub(super) fn is_far_above_first(&self) -> bool {
        self.loss > 2.0 * (self.loss - self.difference)
    }
}

/// What a measurement still weighs when the next comes.
const DECAY: f64 = 0.9;

/// Takes measurements one after the other. The weights are those of an exponential decay, divided by their sum.
#[derive(Default)]
pub(super) struct Smoothing {
    /// Sums of weights, and of weighted values.
    sums: [f64; 4],
}

impl Smoothing {
    /// The means over the measurement and those before it.
    pub(super) fn add(&mut self, measurement: &Measurement) -> Smoothed {
        let new = [1.0, measurement.rate.ln(), f64::from(measurement.loss), measurement.difference()];
        self.sums = std::array::from_fn(|at| DECAY * self.sums[at] + new[at]);
        let [weight, rate, loss, difference] = self.sums;
        Smoothed { rate: (rate / weight).exp(), loss: loss / weight, difference: difference / weight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smoothed(measurements: &[Measurement]) -> Vec<Smoothed> {
        let mut smoothing = Smoothing::default();
        measurements.iter().map(|measurement| smoothing.add(measurement)).collect()
    }

    /// By the formula: the mean with weights 0.9^0, 0.9^1, ... of the latest and those before.
    #[test]
    fn means_are_weighted_by_their_age() {
        let measurements: Vec<_> = (1..=40_u8)
            .map(|step| {
                let (rate, loss) = (10_f64.powf(f64::from(step) / 10.0), 1.0 / f32::from(step));
                Measurement { rate, loss, first: 0.25 * f32::from(step % 3) }
            })
            .collect();
        let found = smoothed(&measurements);
        assert_eq!(found.len(), 40);
        for (at, found) in found.iter().enumerate() {
            let weights: Vec<f64> =
                (0..=at).map(|age| 0.9_f64.powi(i32::try_from(age).expect("small"))).collect();
            let mean = |of: fn(&Measurement) -> f64| {
                let sum: f64 =
                    weights.iter().enumerate().map(|(age, w)| w * of(&measurements[at - age])).sum();
                sum / weights.iter().sum::<f64>()
            };
            let close = |found: f64, expected: f64| {
                assert!((found - expected).abs() < 1e-12, "{at}: {found} {expected}")
            };
            close(found.rate.ln(), mean(|m| m.rate.ln()));
            close(found.loss, mean(|m| f64::from(m.loss)));
            close(found.difference, mean(|m| f64::from(m.loss) - f64::from(m.first)));
        }
    }

    /// A line over the logarithm of the rate stays that line, however far a mean reaches back.
    #[test]
    fn smoothing_moves_nothing_to_higher_rates() {
        let line = |rate: f64| 2.0 - 0.125 * rate.log10();
        let measurements: Vec<_> = (0..60_u8)
            .map(|step| 10_f64.powf(f64::from(step) / 20.0))
            .map(|rate| Measurement { rate, loss: line(rate) as f32, first: 0.0 })
            .collect();
        for found in smoothed(&measurements) {
            assert!((found.difference - line(found.rate)).abs() < 1e-6, "{found:?}");
        }
    }
}
