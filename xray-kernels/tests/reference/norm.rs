//! Batch norm, ReLU and pooling as their formulas say, in double precision.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of it")]

use super::Images;
use xray_kernels::Activation;

/// Mean and biased variance per channel.
pub(crate) fn moments(z: &Images) -> Vec<[f64; 2]> {
    let [images, channels, height, width] = z.size;
    let count = (images * height * width) as f64;
    let mut moments = vec![[0.0; 2]; channels];
    for [n, c, y, x] in z.places() {
        moments[c][0] += z.at(n, c, y, x) / count;
    }
    for [n, c, y, x] in z.places() {
        moments[c][1] += (z.at(n, c, y, x) - moments[c][0]).powi(2) / count;
    }
    moments
}

pub(crate) struct Norm<'a> {
    pub(crate) moments: &'a [[f64; 2]],
    pub(crate) gamma: &'a [f64],
    pub(crate) beta: &'a [f64],
    pub(crate) epsilon: f64,
    pub(crate) activation: Activation,
}

impl Norm<'_> {
    fn standard(&self, z: &Images) -> Images {
        let mut standard = z.clone();
        for [n, c, y, x] in z.places() {
            let [mean, variance] = self.moments[c];
            standard.data[z.index(n, c, y, x)] = (z.at(n, c, y, x) - mean) / (variance + self.epsilon).sqrt();
        }
        standard
    }

    fn affine(&self, z: &Images) -> Images {
        let mut value = self.standard(z);
        for [n, c, y, x] in z.places() {
            let index = z.index(n, c, y, x);
            value.data[index] = value.data[index] * self.gamma[c] + self.beta[c];
        }
        value
    }

    pub(crate) fn forward(&self, z: &Images) -> Images {
        self.activate(&self.affine(z)).0
    }

    /// The output, and the place of `z` that each output value comes from; none where ReLU cut it.
    fn activate(&self, value: &Images) -> (Images, Vec<Option<usize>>) {
        let step = if self.activation.pool { 2 } else { 1 };
        let [images, channels, height, width] = value.size;
        let mut output = Images::zeros([images, channels, height / step, width / step]);
        let mut sources = vec![None; output.data.len()];
        for [n, c, y, x] in output.places() {
            let mut best = value.index(n, c, y * step, x * step);
            for dy in 0..step {
                for dx in 0..step {
                    let index = value.index(n, c, y * step + dy, x * step + dx);
                    if value.data[index] > value.data[best] {
                        best = index;
                    }
                }
            }
            let to = output.index(n, c, y, x);
            let cut = self.activation.relu && value.data[best] <= 0.0;
            output.data[to] = if cut { 0.0 } else { value.data[best] };
            sources[to] = (!cut).then_some(best);
        }
        (output, sources)
    }

    /// `dz`, `dgamma`, `dbeta`.
    pub(crate) fn backward(&self, z: &Images, gradient: &Images) -> (Images, Vec<f64>, Vec<f64>) {
        let (_, sources) = self.activate(&self.affine(z));
        let mut reached = Images::zeros(z.size);
        for (source, &gradient) in sources.iter().zip(&gradient.data) {
            if let Some(source) = source {
                reached.data[*source] += gradient;
            }
        }
        let standard = self.standard(z);
        let channels = z.size[1];
        let count = (z.data.len() / channels) as f64;
        let (mut grad_gamma, mut grad_beta) = (vec![0.0; channels], vec![0.0; channels]);
        for [n, c, y, x] in z.places() {
            grad_gamma[c] += reached.at(n, c, y, x) * standard.at(n, c, y, x);
            grad_beta[c] += reached.at(n, c, y, x);
        }
        let mut dz = reached.clone();
        for [n, c, y, x] in z.places() {
            let index = z.index(n, c, y, x);
            let scale = self.gamma[c] / (self.moments[c][1] + self.epsilon).sqrt();
            dz.data[index] -= (grad_beta[c] + standard.data[index] * grad_gamma[c]) / count;
            dz.data[index] *= scale;
        }
        (dz, grad_gamma, grad_beta)
    }
}
