//! Whether a cell has its result: read from the result itself, never from a folder's existence.

use crate::cell::Cell;
use crate::sweep_dir::CellDir;
use xray_artifacts::{FileError, RunResult, State, read_json};
use xray_metrics::Evaluation;

/// What a trainer leaves.
pub type Outcome = RunResult<Evaluation>;

/// What a cell's `result.json` is.
#[derive(Clone, Debug, PartialEq)]
pub enum CellResult {
    /// There is none.
    Absent,
    /// The complete result of this cell.
    Done(Box<Outcome>),
    /// A run of this cell that has not come to its end: begun, or interrupted with a checkpoint.
    Unfinished(Box<Outcome>),
    /// A run of this cell that ended without scores.
    Failed(Box<Outcome>),
    /// A result of other data, other code or another cell: left as it is and not counted.
    Stale(String),
    /// Cut off, edited by hand, or not a result at all.
    Damaged(String),
}

impl CellResult {
    /// Reads the cell's result.
    pub fn read(cell: &Cell, dir: &CellDir) -> CellResult {
        match read_json::<Outcome>(&dir.result()) {
            Ok(outcome) => judge(cell, outcome),
            Err(FileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                CellResult::Absent
            }
            Err(error) => CellResult::Damaged(xray_artifacts::one_line(&error)),
        }
    }
}

fn judge(cell: &Cell, outcome: Outcome) -> CellResult {
    if let Some(why) = difference(cell, &outcome) {
        return CellResult::Stale(why);
    }
    match outcome.state {
        State::Finished => CellResult::Done(Box::new(outcome)),
        State::Diverged | State::Failed => CellResult::Failed(Box::new(outcome)),
        State::Planned => CellResult::Absent,
        State::Started | State::Training | State::Evaluating | State::Interrupted => {
            CellResult::Unfinished(Box::new(outcome))
        }
    }
}

/// How a result differs from what was planned.
fn difference(cell: &Cell, outcome: &Outcome) -> Option<String> {
    let found = outcome.cell.as_deref().unwrap_or("no sweep");
    if found != cell.id {
        return Some(format!("it is the result of another run, of cell {found}"));
    }
    if outcome.code != cell.code {
        return Some(format!("it was computed by {}, planned was {}", outcome.code, cell.code));
    }
    // A run that ended before it opened its data names none.
    if !outcome.dataset.is_empty() && outcome.dataset != cell.dataset {
        return Some(format!(
            "it was computed on data {}, planned was {}",
            short(&outcome.dataset),
            short(&cell.dataset)
        ));
    }
    None
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
