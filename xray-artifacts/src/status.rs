//! `status.json`: how far a run is, renewed while it lives.

use crate::Versioned;
use serde::{Deserialize, Serialize};

/// A sign of life. A run whose `heartbeat` is old and whose state is not final has died.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// When this was written, RFC 3339.
    pub heartbeat: String,
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps planned.
    pub total_steps: u64,
    /// Loss of the latest step.
    pub loss: Option<f32>,
    /// Process number on its host.
    pub pid: u32,
}

impl Versioned for Status {
    const FORMAT: u32 = 2;
    const UNSEALED: Option<u32> = Some(1);
    const KIND: &'static str = "status";
}

/// Where a run stands; in `result.json` also how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waiting to be begun: what a sweep puts into a run directory that no trainer has seen.
    Planned,
    /// Begun; nothing to show yet. What a killed run leaves.
    Started,
    /// Fitting weights.
    Training,
    /// Scoring a split.
    Evaluating,
    /// Ended with scores.
    Finished,
    /// Ended by a signal, a time limit or on purpose, with a checkpoint to continue from.
    Interrupted,
    /// Ended where it was asked to (`--stop-at`), with its score until there and a checkpoint to continue from.
    Stopped,
    /// Ended by a loss that is not finite.
    Diverged,
    /// Ended by any other error.
    Failed,
}
