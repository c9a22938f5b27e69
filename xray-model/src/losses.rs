//! What training minimises: the mean over known labels of a per-label loss on logits. Unknown labels (NaN)
//! count nothing.

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// A multi-label loss.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// Binary cross-entropy.
    #[default]
    Bce,
    /// Binary cross-entropy with each label's positives weighted by negatives ÷ positives of the training
    /// records, at most `max_weight`: rare findings weigh as much as common ones, and the outputs are then no
    /// longer probabilities.
    WeightedBce {
        /// Upper bound of the weight.
        #[serde(default = "default_max_weight")]
        max_weight: f32,
    },
    /// Lin et al. 2017, equation 5: easy examples fade by (1 − p)^γ.
    Focal {
        /// Focusing exponent γ.
        #[serde(default = "default_gamma")]
        gamma: f32,
        /// Weight α of positives; 1 − α of negatives.
        #[serde(default = "default_alpha")]
        alpha: f32,
    },
    /// Ridnik et al. 2021, equation 7: separate exponents for positives and negatives, and negatives below
    /// the margin count nothing.
    Asymmetric {
        /// Exponent γ₊ of positives.
        #[serde(default)]
        gamma_positive: f32,
        /// Exponent γ₋ of negatives.
        #[serde(default = "default_gamma_negative")]
        gamma_negative: f32,
        /// Probability margin m.
        #[serde(default = "default_margin")]
        margin: f32,
    },
}

fn default_max_weight() -> f32 {
    100.0
}
fn default_gamma() -> f32 {
    2.0
}
fn default_alpha() -> f32 {
    0.25
}
fn default_gamma_negative() -> f32 {
    4.0
}
fn default_margin() -> f32 {
    0.05
}

impl Loss {
    /// As written on the command line.
    pub const NAMES: [&'static str; 4] = ["bce", "weighted-bce", "focal", "asymmetric"];

    /// The loss of that name with its default settings.
    pub fn from_name(name: &str) -> Option<Loss> {
        Some(match name {
            "bce" => Loss::Bce,
            "weighted-bce" => Loss::WeightedBce { max_weight: default_max_weight() },
            "focal" => Loss::Focal { gamma: default_gamma(), alpha: default_alpha() },
            "asymmetric" => Loss::Asymmetric {
                gamma_positive: 0.0,
                gamma_negative: default_gamma_negative(),
                margin: default_margin(),
            },
            _ => return None,
        })
    }

    /// As written on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Loss::Bce => Loss::NAMES[0],
            Loss::WeightedBce { .. } => Loss::NAMES[1],
            Loss::Focal { .. } => Loss::NAMES[2],
            Loss::Asymmetric { .. } => Loss::NAMES[3],
        }
    }

    /// What a positive of a label with that share of positives weighs.
    pub(crate) fn positive_weight(&self, prevalence: f64) -> f32 {
        match self {
            Loss::WeightedBce { max_weight } => (((1.0 - prevalence) / prevalence) as f32).min(*max_weight),
            _ => 1.0,
        }
    }

    /// Mean over the known labels of a batch; 0 where none is known. `logits_nc` is `[n, classes]`.
    pub(crate) fn mean(&self, logits_nc: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let positive = targets.positive_nc.clone();
        let negative = targets.known_nc.clone() - positive.clone();
        let losses_nc = match *self {
            Loss::Bce => positive * -log_sigmoid(logits_nc.clone()) + negative * -log_sigmoid(-logits_nc),
            Loss::WeightedBce { .. } => {
                let weights_1c = targets.positive_weights_1c.clone();
                positive * weights_1c * -log_sigmoid(logits_nc.clone()) + negative * -log_sigmoid(-logits_nc)
            }
            Loss::Focal { gamma, alpha } => {
                let miss = to_the(sigmoid(-logits_nc.clone()), gamma) * -log_sigmoid(logits_nc.clone());
                let alarm = to_the(sigmoid(logits_nc.clone()), gamma) * -log_sigmoid(-logits_nc);
                positive * miss * alpha + negative * alarm * (1.0 - alpha)
            }
            Loss::Asymmetric { gamma_positive, gamma_negative, margin } => {
                let miss =
                    to_the(sigmoid(-logits_nc.clone()), gamma_positive) * -log_sigmoid(logits_nc.clone());
                let shifted = (sigmoid(logits_nc) - margin).clamp_min(0.0);
                // Never zero: shifted is at most 1 − m, or 1 − the rounding of a sigmoid where m is 0.
                let rest = (-shifted.clone() + 1.0).clamp_min(1e-7);
                positive * miss + negative * to_the(shifted, gamma_negative) * -rest.log()
            }
        };
        losses_nc.sum() / targets.known_count.max(1.0)
    }
}

/// x^γ with a gradient that is defined at x = 0 for γ = 0.
fn to_the(tensor: Tensor<2>, gamma: f32) -> Tensor<2> {
    if gamma == 0.0 { tensor.ones_like() } else { tensor.powf_scalar(gamma) }
}

/// A batch's labels on the device.
pub(crate) struct Targets {
    /// 1 where positive, or less with smoothing, `[n, classes]`.
    positive_nc: Tensor<2>,
    /// 1 where positive or negative.
    known_nc: Tensor<2>,
    known_count: f32,
    /// Weight of positives per label, `[1, classes]`.
    positive_weights_1c: Tensor<2>,
}

impl Targets {
    /// From labels 0, 1 or NaN, row-major `[n, classes]`. With `smoothing` s a label y counts as `y (1 - s) + s / 2`
    /// (Szegedy et al. 2016, section 7, for two classes).
    pub(crate) fn new(labels: &[f32], positive_weights: &[f32], smoothing: f32, device: &Device) -> Self {
        let classes = positive_weights.len();
        let rows = labels.len() / classes;
        let smoothed = |label: f32| label * (1.0 - smoothing) + smoothing / 2.0;
        let positive =
            labels.iter().map(|&label| if label.is_nan() { 0.0 } else { smoothed(label) }).collect();
        let known: Vec<f32> = labels.iter().map(|label| if label.is_nan() { 0.0 } else { 1.0 }).collect();
        let known_count = known.iter().sum();
        let tensor =
            |values: Vec<f32>, rows| Tensor::from_data(TensorData::new(values, [rows, classes]), device);
        Targets {
            positive_nc: tensor(positive, rows),
            known_nc: tensor(known, rows),
            known_count,
            positive_weights_1c: tensor(positive_weights.to_vec(), 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StateDict;
    use std::path::Path;

    /// Each loss and its gradient by the logits, against `tests/golden/make_golden.py`.
    #[test]
    fn losses_and_gradients_are_pytorchs() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/losses.safetensors");
        let golden = StateDict::load(&path).expect("a committed file");
        let of = |name: &str| golden.tensors[name].values.as_slice();
        let device = Device::flex().autodiff();
        let prevalence = of("prevalence");
        for name in Loss::NAMES {
            let loss = Loss::from_name(name).expect("a listed name");
            let weights: Vec<_> = prevalence.iter().map(|&p| loss.positive_weight(f64::from(p))).collect();
            let logits = Tensor::<2>::from_data(TensorData::new(of("logits").to_vec(), [5, 6]), &device)
                .require_grad();
            let mean = loss.mean(logits.clone(), &Targets::new(of("labels"), &weights, 0.0, &device));
            let gradient = logits.grad(&mean.backward()).expect("the logits have a gradient");
            let found = gradient.into_data_as::<f32>().try_to_vec::<f32>().expect("read as float32");
            let value = mean.into_scalar::<f32>();
            assert!(
                (value - of(name)[0]).abs() < 1e-5 * value,
                "{name}: {value}, PyTorch says {}",
                of(name)[0]
            );
            for (f, e) in found.iter().zip(of(&format!("{name}.gradient"))) {
                assert!((f - e).abs() < 1e-5, "{name}: {f}, PyTorch says {e}");
            }
        }
    }

    #[test]
    fn smoothed_labels_pull_towards_even_odds() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[2.0, -1.0, 0.5]], &device);
        let targets = Targets::new(&[1.0, 0.0, f32::NAN], &[1.0; 3], 0.2, &device);
        let found = Loss::Bce.mean(logits, &targets).into_scalar::<f32>();
        // 0.9 and 0.1 as targets: log(1 + exp(z)) - t z.
        let entropy = |z: f32, t: f32| z.exp().ln_1p() - t * z;
        let expected = (entropy(2.0, 0.9) + entropy(-1.0, 0.1)) / 2.0;
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn a_batch_without_known_labels_costs_nothing_and_moves_nothing() {
        let device = Device::flex().autodiff();
        for name in Loss::NAMES {
            let loss = Loss::from_name(name).expect("a listed name");
            let logits = Tensor::<2>::from_data([[50.0, -50.0]], &device).require_grad();
            let unknown = Targets::new(&[f32::NAN, f32::NAN], &[1.0, 1.0], 0.1, &device);
            let mean = loss.mean(logits.clone(), &unknown);
            let gradient = logits.grad(&mean.backward()).expect("the logits have a gradient");
            assert_eq!(mean.into_scalar::<f32>(), 0.0, "{name}");
            assert_eq!(gradient.abs().sum().into_scalar::<f32>(), 0.0, "{name}");
        }
    }
}
