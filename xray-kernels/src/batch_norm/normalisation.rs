//! Mean and variance of a batch, and the affine map they make of gamma and beta.

use super::Totals;
use crate::lanes::LANES;
use crate::shape::MapShape;

/// A batch's statistics per channel, and `y = scale * z + shift` per lane.
#[derive(Clone, Debug)]
pub struct Normalisation {
    /// `[channels]`.
    pub mean: Vec<f32>,
    /// Biased: the mean squared deviation, `[channels]`.
    pub variance: Vec<f32>,
    /// `1 / sqrt(variance + epsilon)`, `[blocks * 16]`, zero in surplus lanes, as all that follow.
    pub(super) inverse_deviation: Vec<f32>,
    pub(super) lane_mean: Vec<f32>,
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

impl Normalisation {
    /// Of a batch, from the sums over its pixels.
    ///
    /// # Panics
    /// If the totals are not those of so many channels, or gamma or beta has another length.
    pub fn of_batch(totals: &Totals, shape: &MapShape, gamma: &[f32], beta: &[f32], epsilon: f32) -> Self {
        assert_eq!(totals.of_channels().len(), shape.channels, "totals of other channels than {shape:?}");
        let count = shape.pixels() as f64;
        let moments = totals.of_channels().iter().map(|&[sum, squares]| {
            let mean = sum / count;
            // A rounding error must not make it negative; NaN stays NaN.
            let variance = squares / count - mean * mean;
            (mean, if variance < 0.0 { 0.0 } else { variance })
        });
        Self::new(moments.collect(), gamma, beta, epsilon)
    }

    /// Of given statistics, as in evaluation.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn of_statistics(mean: &[f32], variance: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Self {
        assert_eq!(mean.len(), variance.len(), "means and variances");
        let moments = mean.iter().zip(variance).map(|(&mean, &variance)| (mean.into(), variance.into()));
        Self::new(moments.collect(), gamma, beta, epsilon)
    }

    fn new(moments: Vec<(f64, f64)>, gamma: &[f32], beta: &[f32], epsilon: f32) -> Self {
        let channels = moments.len();
        assert!(gamma.len() == channels && beta.len() == channels, "not a gamma and a beta for each channel");
        let lanes = || vec![0.0; channels.next_multiple_of(LANES)];
        let [mut inverse_deviation, mut lane_mean, mut scale, mut shift] =
            [lanes(), lanes(), lanes(), lanes()];
        for (channel, &(mean, variance)) in moments.iter().enumerate() {
            let inverse = 1.0 / (variance + f64::from(epsilon)).sqrt();
            let factor = f64::from(gamma[channel]) * inverse;
            inverse_deviation[channel] = inverse as f32;
            lane_mean[channel] = mean as f32;
            scale[channel] = factor as f32;
            shift[channel] = (f64::from(beta[channel]) - mean * factor) as f32;
        }
        let mean = moments.iter().map(|moment| moment.0 as f32).collect();
        let variance = moments.iter().map(|moment| moment.1 as f32).collect();
        Self { mean, variance, inverse_deviation, lane_mean, scale, shift }
    }

    /// The factor of each channel and what is added: `[channels]` each.
    pub fn affine(&self) -> (&[f32], &[f32]) {
        (&self.scale[..self.mean.len()], &self.shift[..self.mean.len()])
    }

    /// Scale and shift, `[blocks * 16]` each.
    pub(crate) fn lanes(&self) -> [&[f32]; 2] {
        [&self.scale, &self.shift]
    }

    pub(crate) fn check(&self, shape: &MapShape) {
        assert_eq!(self.mean.len(), shape.channels, "a normalisation of other channels than {shape:?}");
    }
}
