//! Makes a cell as if it had never run. What was there is moved aside, never removed, and what is known of its
//! starts is written down: they say nothing of the next one.

use crate::attempt::Attempt;
use crate::job_log::Job;
use crate::plan::placeholder;
use crate::present;
use crate::sweep_dir::CellDir;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use xray_artifacts::{Failure, FileError, State, Status, Versioned, read_json, write_json};

/// Moves the run directory to `run.1`, `run.2`, ... where it holds anything, and puts a fresh one in its place.
/// `attempts` are the starts so far.
pub fn reset(cell: &CellDir, attempts: &[Attempt]) -> Result<(), Failure> {
    let io = |path: &Path, action| {
        let path = path.to_owned();
        move |source| FileError::Io { path, action, source }
    };
    // First: a result that is still there without its starts is the failure that it was.
    write_json(&cell.retried(), &Spent { attempts: attempts.iter().map(name).collect() })?;
    let run = cell.run();
    if run.exists() {
        if is_fresh(cell) {
            return Ok(());
        }
        let aside =
            (1_u32..).map(|number| aside(cell, number)).find(|path| !path.exists()).expect("numbers go on");
        fs::rename(&run, &aside).map_err(io(&run, "move aside"))?;
    }
    fs::create_dir_all(&run).map_err(io(&run, "create"))?;
    Ok(placeholder(&cell.status()).map_err(io(&cell.status(), "write"))?)
}

fn aside(cell: &CellDir, number: u32) -> PathBuf {
    cell.path().join(format!("run.{number}"))
}

/// Whether nothing has run in it yet.
fn is_fresh(cell: &CellDir) -> bool {
    let files = fs::read_dir(cell.run()).map(|entries| entries.flatten().count());
    let status = read_json::<Status>(&cell.status());
    files.is_ok_and(|count| count == 1) && status.is_ok_and(|status| status.state == State::Planned)
}

/// The starts of a cell from before it was made ready to be run again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    attempts: BTreeSet<String>,
}

impl Versioned for Spent {
    const FORMAT: u32 = 1;
    const KIND: &'static str = "record of a retry";
}

impl Spent {
    /// None where it was never made ready again, or where the record of it is damaged, which the `notes` say.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn read(cell: &CellDir, notes: &mut Vec<String>) -> Result<Spent, FileError> {
        Ok(present::json(&cell.retried())?.or_note(notes).unwrap_or_default())
    }

    /// Whether this start is one of them.
    pub fn has_attempt(&self, attempt: &Attempt) -> bool {
        self.attempts.contains(&name(attempt))
    }

    /// Whether this job has ended, and had no other starts.
    pub fn has_job(&self, job: &Job) -> bool {
        let is_spent = |attempt| self.has_attempt(attempt);
        !job.state.is_open() && !job.attempts.is_empty() && job.attempts.iter().all(is_spent)
    }
}

/// Numbers of jobs and processes return, but not at the same second.
fn name(attempt: &Attempt) -> String {
    let Attempt { launcher, job, started, .. } = attempt;
    format!("{} {job} {}", launcher.name(), started.as_deref().unwrap_or("?"))
}
