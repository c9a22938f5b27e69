//! The bundle `model/`: weights and `model.json`, all that is needed to serve a model as it was tested.

use crate::{Preprocessing, Split, Versioned};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `model.json`. `M` is the network's configuration (`xray-model` owns it), `E` its scores (`xray-metrics`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard<M, E> {
    /// The network.
    pub model: M,
    /// From pixels to its input.
    pub preprocessing: Preprocessing,
    /// The findings, in the order of its outputs.
    pub labels: Vec<String>,
    /// From logits to probabilities, one per label; null while the model is not calibrated.
    pub calibration: Option<Vec<Calibration>>,
    /// Operating points, one per label; empty while none is chosen.
    pub thresholds: Vec<Threshold>,
    /// What it was trained on.
    pub provenance: Provenance,
    /// How it scored.
    pub scores: BTreeMap<Split, E>,
}

impl<M, E> Versioned for ModelCard<M, E> {
    const FORMAT: u32 = 1;
    const KIND: &'static str = "model card";
}

/// Probability = sigmoid(`scale` · logit + `shift`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Multiplies the logit.
    pub scale: f64,
    /// Is added.
    pub shift: f64,
}

/// Where "positive" begins for one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// On the probability.
    pub probability: f64,
    /// How it was chosen.
    pub rule: String,
    /// On which records: never those it is reported on.
    pub fitted_on: Split,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version and commit of the trainer.
    pub trainer: String,
    /// Hash of the training data.
    pub dataset: String,
    /// Share of the training records used.
    pub fraction: f64,
    /// Training records used.
    pub train_images: u64,
    /// Seed.
    pub seed: u64,
    /// Steps whose weights these are.
    pub steps: u64,
}
