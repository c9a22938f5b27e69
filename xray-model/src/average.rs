//! An exponential moving average of the weights (Polyak & Juditsky 1992; the decay warms up as in
//! TensorFlow's `ExponentialMovingAverage`), which often scores better than the last weights.

use crate::StateDict;

/// The average so far, on the host.
pub(crate) struct Average {
    decay: f32,
    pub(crate) weights: StateDict,
}

impl Average {
    pub(crate) fn new(decay: f32, weights: StateDict) -> Self {
        Average { decay, weights }
    }

    /// Takes in the weights after `steps` steps.
    pub(crate) fn update(&mut self, current: &StateDict, steps: u64) {
        let kept = kept(self.decay, steps);
        for (name, average) in &mut self.weights.tensors {
            let Some(now) = current.tensors.get(name) else { continue };
            for (average, now) in average.values.iter_mut().zip(&now.values) {
                *average = kept * *average + (1.0 - kept) * now;
            }
        }
    }
}

/// What is kept of the average after `steps` steps. Early on it follows quickly: at most (1 + steps) / (10 + steps) is.
pub(crate) fn kept(decay: f32, steps: u64) -> f32 {
    decay.min((1.0 + steps as f32) / (10.0 + steps as f32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HostTensor;

    #[test]
    fn the_average_follows_quickly_at_first_and_slowly_later() {
        let of = |value| {
            let mut dict = StateDict::default();
            dict.tensors.insert("w".into(), HostTensor { shape: vec![1], values: vec![value] });
            dict
        };
        let check = |steps, expected: f32| {
            let mut average = Average::new(0.99, of(0.0));
            average.update(&of(1.0), steps);
            let found = average.weights.tensors["w"].values[0];
            assert!((found - expected).abs() < 1e-6, "after {steps}: {found}");
        };
        check(0, 0.9);
        check(10, 9.0 / 20.0);
        check(100_000, 0.01);
    }
}
