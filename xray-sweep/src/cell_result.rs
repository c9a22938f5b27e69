//! Whether a cell has its result: read from the result itself, never from a folder's existence.

use crate::cell::Cell;
use crate::present::{self, Content};
use crate::sweep_dir::CellDir;
use std::path::Path;
use xray_artifacts::{FileError, RunResult, State, write_bytes};
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
    /// A run of this cell that came to a place where it was to stop on its way.
    Stopped(Box<Outcome>),
    /// A run of this cell that ended without scores.
    Failed(Box<Outcome>),
    /// A result of other data, other code or another cell: left as it is and not counted.
    Stale(String),
    /// Cut off, edited by hand, or not a result at all.
    Damaged(String),
}

impl CellResult {
    /// Reads the cell's result. A finished one is never replaced by less: where the files of another job of this cell
    /// came to lie over it, it is put back from what it kept apart.
    ///
    /// # Errors
    /// If it is there and cannot be read: the cell may be done, so it must not pass for one that is not.
    pub fn read(cell: &Cell, dir: &CellDir) -> Result<CellResult, FileError> {
        let found = CellResult::read_file(cell, &dir.result())?;
        if let CellResult::Unfinished(_) | CellResult::Stopped(_) | CellResult::Failed(_) = found {
            let kept = CellResult::read_file(cell, &dir.finished().join(RESULT))?;
            match kept {
                CellResult::Done(_) => restore(dir)?,
                CellResult::Damaged(_) => {}
                _ => return Ok(found),
            }
            return Ok(kept);
        }
        Ok(found)
    }

    fn read_file(cell: &Cell, path: &Path) -> Result<CellResult, FileError> {
        Ok(match present::json::<Outcome>(path)? {
            Content::Whole(outcome) => judge(cell, outcome),
            Content::Absent => CellResult::Absent,
            Content::Damaged(why) => CellResult::Damaged(why),
        })
    }
}

const RESULT: &str = "result.json";
const EVENTS: &str = "events.out.tfevents.run";

/// The result last: until it is there, all of it is put back again next time.
fn restore(dir: &CellDir) -> Result<(), FileError> {
    // Only under its own name is a file of events one for TensorBoard, which would show the copy as another run.
    let kept = |name| if name == EVENTS { "events" } else { name };
    for name in ["metrics.jsonl", EVENTS, "env.json", "status.json", RESULT] {
        let Some(bytes) = present::bytes(&dir.finished().join(kept(name)))? else {
            // Not every run writes events.
            if name == EVENTS { continue } else { return Ok(()) }
        };
        if write_bytes(&dir.run().join(name), &bytes).is_err() {
            // Where this user may not write, it counts all the same.
            return Ok(());
        }
    }
    Ok(())
}

fn judge(cell: &Cell, outcome: Outcome) -> CellResult {
    if let Some(why) = difference(cell, &outcome) {
        return CellResult::Stale(why);
    }
    match outcome.state {
        State::Finished => CellResult::Done(Box::new(outcome)),
        State::Stopped => CellResult::Stopped(Box::new(outcome)),
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
        return Some(format!("it was computed by {}, but planned for {}", outcome.code, cell.code));
    }
    // A run that ended before it opened its data names none.
    if !outcome.dataset.is_empty() && outcome.dataset != cell.dataset {
        return Some(format!(
            "it was computed on data {}, but planned for {}",
            short(&outcome.dataset),
            short(&cell.dataset)
        ));
    }
    None
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
