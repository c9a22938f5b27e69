//! The bundle `model/`: weights and `model.json`, all that is needed to serve a model as it was tested.

use crate::{Preprocessing, Split, Versioned};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `model.json`. `M` is the network's configuration (`xray-model` owns it), `E` its scores and `C` a label's way from
/// logits to probabilities (`xray-metrics`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard<M, E, C> {
    /// The network.
    pub model: M,
    /// From pixels to its input.
    pub preprocessing: Preprocessing,
    /// The findings, in the order of its outputs.
    pub labels: Vec<String>,
    /// From logits to probabilities, one per label; empty while the model is not calibrated.
    pub calibration: Vec<Calibration<C>>,
    /// Operating points, one per label; empty while none is chosen.
    pub thresholds: Vec<Threshold>,
    /// What it was trained on.
    pub provenance: Provenance,
    /// The checksum of the weights beside it: the one that a safetensors file bears, or that of an ONNX file's bytes. Empty
    /// for weights of an older version, which bear none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub weights: String,
    /// How its activations become integers, where the CPU computes in those; none where it computes in float32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integers: Option<Integers>,
    /// Of a model that is several networks, whose calibrated probabilities are averaged: each of them, in the order in which
    /// they are added up. What stands above of a single network is then the first one's, and `calibration` is empty.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member<M, C>>,
    /// How it scored.
    pub scores: BTreeMap<Split, E>,
}

/// One of several networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member<M, C> {
    /// The network. Its weights are in the file of all, each tensor's name behind `members.N.`, from 0.
    pub model: M,
    /// From its logits to probabilities, one per label.
    pub calibration: Vec<Calibration<C>>,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The checksum of the file that its weights were taken from.
    pub weights: String,
    /// How its activations become integers, where the CPU computes in those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integers: Option<Integers>,
}

impl<M, E, C> Versioned for ModelCard<M, E, C> {
    const FORMAT: u32 = 3;
    const UNSEALED: Option<u32> = Some(2);
    const KIND: &'static str = "model card";
}

/// Inference in 8 bits. The ranges of activations lie with the weights, where readers that do not know them refuse them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integers {
    /// On which records activations were watched.
    pub calibrated_on: Split,
    /// How many.
    pub images: u64,
}

/// One label's way from logits to probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration<C> {
    /// Null where none fits; the probability is then the sigmoid of the logit.
    pub calibrator: Option<C>,
    /// Why none fits.
    pub left_as_it_is: Option<String>,
    /// On which records it was fitted: never those it is reported on.
    pub fitted_on: Split,
    /// Who taught it; null in cards of an older version, whose calibrations may rest on one or two positives.
    #[serde(default)]
    pub support: Option<Support>,
    /// Why it is not of the method that was asked for: too few positives or negatives for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How many taught a calibration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Support {
    /// `patient`, or `record` where nobody names patients.
    pub unit: String,
    /// Patients, or records, with the finding.
    pub positives: u64,
    /// Patients, or records, without it.
    pub negatives: u64,
}

/// Where "positive" begins for one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Logits of this or more are positive; null where the rule gives none. Calls are made on logits, so that no
    /// rounding of probabilities moves a record to the other side.
    pub logit: Option<f32>,
    /// The same as a calibrated probability, for people.
    pub probability: Option<f64>,
    /// Why there is none.
    pub undefined: Option<String>,
    /// How it was chosen.
    pub rule: String,
    /// On which records: never those it is reported on. Null where it was published with the model: on records of its
    /// authors.
    pub fitted_on: Option<Split>,
    /// Share of the positive test records that it calls positive; null where there is none or nobody measured.
    #[serde(default)]
    pub test_sensitivity: Option<f64>,
    /// Share of the negative test records that it calls negative.
    #[serde(default)]
    pub test_specificity: Option<f64>,
    /// Why its calls say little: it calls nearly everybody the same, or is no better than chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
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
    /// The file that training began with, and which network of it; none for weights that were drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_weights: Option<String>,
    /// Where a model comes from that was not trained here: what stands above of data, seed and steps is then empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

/// A published model's file, and what was made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The file's name.
    pub file: String,
    /// BLAKE3 of its bytes.
    pub checksum: String,
    /// Which network of the file; empty for the only one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// Whose preprocessing the card has, such as `torchxrayvision`.
    pub preprocessing: String,
    /// What was not simply taken over: layers of other names, outputs that were left out, how the preprocessing differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
