//! `result.json`: what a run found and what it cost. A placeholder is written at the start, so that a job
//! that dies still returns one. A result that was edited by hand or cut off is not a result: its hash differs.

use crate::{Split, State, Versioned};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One run's result. `E` is what `xray-metrics` computes on a split; this crate does not know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult<E> {
    /// The sweep's cell that this run is, if it is one.
    pub cell: Option<String>,
    /// Version and commit of the trainer.
    pub code: String,
    /// How it ended.
    pub state: State,
    /// The exit code the process ended with; null in a placeholder.
    pub exit: Option<u8>,
    /// Why it did not finish.
    pub reason: Option<String>,
    /// Share of the training records used.
    pub fraction: f64,
    /// Seed of weights, order and augmentation.
    pub seed: u64,
    /// Training records used.
    pub train_images: u64,
    /// What training data this was.
    pub dataset: String,
    /// Steps, epochs and which weights were kept.
    pub training: TrainingSummary,
    /// Scores by split, of the kept weights.
    pub scores: BTreeMap<Split, E>,
    /// Where the time went.
    pub seconds: Seconds,
    /// Training images per second of training time, evaluation left out.
    pub images_per_second: Option<f64>,
    /// Highest resident memory, in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Records left out because they could not be read, under `--skip-bad`.
    pub bad_records: Vec<String>,
    /// What the reader of the numbers should know.
    pub warnings: Vec<String>,
}

impl<E> RunResult<E> {
    /// The placeholder of a run that begins: nothing is trained, nothing is scored.
    pub fn begin(cell: Option<String>, code: impl Into<String>, fraction: f64, seed: u64) -> Self {
        RunResult {
            cell,
            code: code.into(),
            state: State::Started,
            exit: None,
            reason: Some("the run did not finish".to_owned()),
            fraction,
            seed,
            train_images: 0,
            dataset: String::new(),
            training: TrainingSummary::default(),
            scores: BTreeMap::new(),
            seconds: Seconds::default(),
            images_per_second: None,
            peak_memory_bytes: None,
            bad_records: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl<E> Versioned for RunResult<E> {
    const FORMAT: u32 = 2;
    const KIND: &'static str = "run result";
}

/// How training went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// Optimizer steps done.
    pub steps: u64,
    /// Training images seen, repeats counted.
    pub examples: u64,
    /// Passes over the training records, as a decimal number.
    pub epochs: f64,
    /// Step whose weights were kept.
    pub best_step: Option<u64>,
    /// Their macro-AUC on validation.
    pub best_val_macro_auc: Option<f64>,
    /// What ended training: `duration`, `max-time`, `early-stopping`.
    pub stopped_by: Option<String>,
    /// Mean loss of the last epoch's steps.
    pub last_loss: Option<f32>,
    /// Where it was last asked to stop on its way (`--stop-at`), and how good it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
}

/// A stop on the way to the end of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// The length of training that was asked for, such as `3 epochs`.
    pub at: String,
    /// Highest macro-AUC on validation until there, this place included: what a run that ended there would have kept.
    pub val_macro_auc: Option<f64>,
}

/// Wall-clock seconds by activity, over all restarts of the run. A GPU computes while the loop goes on: `forward` and
/// `optimizer` are then what it took to tell it, and `backward` holds the wait for it as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Training waited for batches.
    pub data: f64,
    /// Forward passes.
    pub forward: f64,
    /// Backward passes.
    pub backward: f64,
    /// Optimizer steps.
    pub optimizer: f64,
    /// Scoring splits.
    pub evaluation: f64,
    /// Writing checkpoints.
    pub checkpoint: f64,
    /// All of it, from the first start.
    pub total: f64,
}

impl Seconds {
    /// What was spent on optimizer steps: fetching, both passes and the update, without scoring and saving.
    pub fn training(&self) -> f64 {
        self.data + self.forward + self.backward + self.optimizer
    }
}
