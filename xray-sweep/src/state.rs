//! Where every cell of a sweep stands: what its folder holds, joined with what became of its jobs.

use crate::attempt::Attempt;
use crate::cell::Cell;
use crate::verdict::Outcome;
use serde::Serialize;
use xray_artifacts::{Environment, Status};

/// Where a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CellState {
    /// Its result is there, complete and its own.
    Done,
    /// A job of it runs.
    Running,
    /// A job of it waits for a machine.
    Queued,
    /// HTCondor holds a job of it.
    Held,
    /// It ended without scores, and starting it again as it is would end the same way.
    Failed,
    /// It was started and nothing runs any more, and it left no final word.
    Lost,
    /// It was never started.
    Missing,
    /// The result in its folder is of other data, other code or another cell.
    Stale,
}

/// All that is known of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellReport {
    /// What was planned.
    pub cell: Cell,
    /// Where it stands.
    pub state: CellState,
    /// Why it is not done, in a sentence, where there is something to say.
    pub reason: Option<String>,
    /// The result in its folder: complete if `Done`, else as far as it got.
    pub outcome: Option<Box<Outcome>>,
    /// Which program ran where, at its latest start.
    pub environment: Option<Environment>,
    /// The latest sign of life that reached this machine.
    pub status: Option<Status>,
    /// Its jobs' starts, oldest first.
    pub attempts: Vec<Attempt>,
}
