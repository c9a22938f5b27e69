//! Batch norm, ReLU and pooling as their formulas say, in double precision.

use super::Images;
use proptest::prelude::*;
use xray_kernels::{Activation, Nonlinearity};

/// Any of them.
pub(crate) fn nonlinearities() -> impl Strategy<Value = Nonlinearity> {
    use Nonlinearity::{Identity, Relu, Relu6, Silu};
    prop::sample::select(vec![Identity, Relu, Relu6, Silu])
}

/// Value and slope.
pub(crate) fn curve(function: Nonlinearity, x: f64) -> [f64; 2] {
    match function {
        Nonlinearity::Identity => [x, 1.0],
        Nonlinearity::Relu => [x.max(0.0), f64::from(u8::from(x > 0.0))],
        Nonlinearity::Relu6 => [x.clamp(0.0, 6.0), f64::from(u8::from(x > 0.0 && x < 6.0))],
        Nonlinearity::Silu => {
            let sigmoid = 1.0 / (1.0 + (-x).exp());
            [x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid))]
        }
    }
}

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

    /// The output, and for each output value the place of `z` that it comes from and the slope there.
    fn activate(&self, value: &Images) -> (Images, Vec<(usize, f64)>) {
        let step = if self.activation.pool { 2 } else { 1 };
        let [images, channels, height, width] = value.size;
        let mut output = Images::zeros([images, channels, height / step, width / step]);
        let mut sources = vec![(0, 0.0); output.data.len()];
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
            let [activated, slope] = curve(self.activation.function, value.data[best]);
            output.data[to] = activated;
            sources[to] = (best, slope);
        }
        (output, sources)
    }

    /// `dz`, `dgamma`, `dbeta`.
    pub(crate) fn backward(&self, z: &Images, gradient: &Images) -> (Images, Vec<f64>, Vec<f64>) {
        let (_, sources) = self.activate(&self.affine(z));
        let mut reached = Images::zeros(z.size);
        for (source, &gradient) in sources.iter().zip(&gradient.data) {
            let (place, slope) = *source;
            reached.data[place] += gradient * slope;
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
