//! Where every cell of a sweep stands: what its folder holds, joined with what became of its jobs.

mod judge;

use crate::attempt::Attempt;
use crate::cell::Cell;
use crate::cell_result::{CellResult, Outcome};
use crate::job_log::{Job, JobLog};
use crate::local_attempts::{self, read_attempts};
use crate::plan::read_cells;
use crate::sweep_dir::{CellDir, SweepDir};
use judge::{Evidence, judge};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::SystemTime;
use xray_artifacts::{Environment, Failure, Status, read_json};

/// Where a cell stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    #[default]
    Missing,
    /// The result in its folder is of other data, other code or another cell.
    Stale,
}

impl CellState {
    /// Every state, in the order in which they are listed.
    pub const ALL: [CellState; 8] = [
        CellState::Done,
        CellState::Running,
        CellState::Queued,
        CellState::Held,
        CellState::Failed,
        CellState::Lost,
        CellState::Missing,
        CellState::Stale,
    ];

    /// In one word: `done`, `running`, ...
    pub fn name(self) -> &'static str {
        match self {
            CellState::Done => "done",
            CellState::Running => "running",
            CellState::Queued => "queued",
            CellState::Held => "held",
            CellState::Failed => "failed",
            CellState::Lost => "lost",
            CellState::Missing => "missing",
            CellState::Stale => "stale",
        }
    }
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

/// Looks at every cell of a sweep, in the order they were planned.
///
/// # Errors
/// When the cells themselves or the job log cannot be read. What is wrong with one cell stands in its report.
pub fn survey(dir: &SweepDir) -> Result<Vec<CellReport>, Failure> {
    let cells = read_cells(dir)?;
    let log = JobLog::read(&dir.job_log())?;
    let mut jobs: HashMap<&str, Vec<&Job>> = HashMap::new();
    for job in &log.jobs {
        jobs.entry(job.cell.as_deref().unwrap_or_default()).or_default().push(job);
    }
    let now = SystemTime::now();
    let report = |cell: Cell| {
        let jobs = jobs.get(cell.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        report(cell, dir, jobs, now)
    };
    Ok(cells.into_par_iter().map(report).collect())
}

fn report(cell: Cell, dir: &SweepDir, jobs: &[&Job], now: SystemTime) -> CellReport {
    let dir = dir.cell(&cell.id);
    let result = CellResult::read(&cell, &dir);
    // A run that died at its start has none, and a damaged one is no reason to say nothing of the cell.
    let status: Option<Status> = read_json(&dir.status()).ok();
    let environment = read_json(&dir.environment()).ok();
    let local = read_attempts(&dir.attempts());
    let lives = local_attempts::lives(local.last(), status.as_ref(), now);
    let mut attempts: Vec<Attempt> = jobs.iter().flat_map(|job| job.attempts.iter().cloned()).collect();
    attempts.extend(local);
    // RFC 3339 in UTC: the order of the letters is that of the times.
    attempts.sort_by(|a, b| a.started.cmp(&b.started));
    let evidence = Evidence { result: &result, jobs, lives, latest: attempts.last() };
    let (state, reason) = judge(&evidence, || last_line(&dir));
    let outcome = match result {
        CellResult::Done(outcome) | CellResult::Unfinished(outcome) | CellResult::Failed(outcome) => {
            Some(outcome)
        }
        CellResult::Absent | CellResult::Stale(_) | CellResult::Damaged(_) => None,
    };
    CellReport { cell, state, reason, outcome, environment, status, attempts }
}

/// The last thing that the trainer said to stderr, advice left out.
fn last_line(dir: &CellDir) -> Option<String> {
    let tail = crate::logs::tail(&dir.stderr(), 20).ok()?;
    let mut lines = tail.split(['\n', '\r']).map(str::trim).rev();
    let line = lines.find(|line| !line.is_empty() && !line.starts_with("hint:"))?;
    Some(line.chars().filter(|c| !c.is_control()).collect())
}
