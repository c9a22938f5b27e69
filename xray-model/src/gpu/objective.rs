//! What training minimises, on a device.

use crate::{LearnerConfig, Loss};
use xray_gpu::{Buffer, Error, Gpu, LossKind, Part};

/// The loss, and what it knows of labels.
#[derive(Debug)]
pub(super) struct Objective {
    loss: Loss,
    positive_weights: Buffer,
    smoothing: f32,
}

impl Objective {
    pub(super) fn new(gpu: &Gpu, config: &LearnerConfig) -> Result<Self, Error> {
        let positive_weights = Buffer::of(gpu, &config.positive_weights())?;
        Ok(Objective { loss: config.loss.clone(), positive_weights, smoothing: config.label_smoothing })
    }

    /// Writes the loss of logits and labels, which counts so much, and its gradient.
    pub(super) fn write(
        &self,
        gpu: &Gpu,
        [logits, labels]: [Part<'_>; 2],
        share: f32,
        loss: Part<'_>,
        grad_logits: Part<'_>,
    ) {
        let kind = match self.loss {
            Loss::Bce => LossKind::Bce,
            Loss::WeightedBce { .. } => LossKind::WeightedBce,
            Loss::Focal { gamma, alpha } => LossKind::Focal { gamma, alpha },
            Loss::Asymmetric { gamma_positive, gamma_negative, margin } => {
                LossKind::Asymmetric { gamma_positive, gamma_negative, margin }
            }
        };
        let (weights, smoothing) = (self.positive_weights.whole(), self.smoothing);
        xray_gpu::loss(gpu, &kind, logits, labels, weights, smoothing, share, loss, grad_logits);
    }
}
