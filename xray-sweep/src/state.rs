//! Where every cell of a sweep stands: what its folder holds, joined with what the event log and the queue say of
//! its jobs.

mod jobs;
mod judge;

use crate::attempt::{Attempt, Ending, Launcher};
use crate::cell::Cell;
use crate::cell_result::{CellResult, Outcome};
use crate::job_log::{Job, JobLog, JobState};
use crate::launchers::queues::{self, Queues};
use crate::launchers::{condor, slurm};
use crate::local_attempts::{self, read_attempts};
use crate::plan::read_cells;
use crate::present;
use crate::queue::Queue;
use crate::reset::Spent;
use crate::rungs::{self, Climb, Decision};
use crate::sweep_dir::{CellDir, SweepDir};
use jobs::{Submissions, believed};
use judge::{Evidence, judge};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::SystemTime;
use xray_artifacts::{Environment, Failure, FileError, Status};
use xray_cli::say;
use xray_display::counted;

/// Where a cell stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellState {
    /// Its result is there, complete and its own.
    Done,
    /// It came to a rung at which others were better, and does not go on.
    Stopped,
    /// A job of it runs.
    Running,
    /// A job of it waits for a machine.
    Queued,
    /// It came to a rung: it waits for the others there, or to be started again.
    Waiting,
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
    pub const ALL: [CellState; 10] = [
        CellState::Done,
        CellState::Stopped,
        CellState::Running,
        CellState::Queued,
        CellState::Waiting,
        CellState::Held,
        CellState::Failed,
        CellState::Lost,
        CellState::Missing,
        CellState::Stale,
    ];

    /// Whether nothing more is to come of it: it is done, or others were better at a rung.
    pub fn is_final(self) -> bool {
        matches!(self, CellState::Done | CellState::Stopped)
    }

    /// In one word: `done`, `running`, ...
    pub fn name(self) -> &'static str {
        match self {
            CellState::Done => "done",
            CellState::Stopped => "stopped",
            CellState::Running => "running",
            CellState::Queued => "queued",
            CellState::Waiting => "waiting",
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
    /// Whether some of them may be missing: the event log tells of a job and not of its submission, so that it has lost its
    /// beginning, or of no start of this cell although there is a result.
    pub lacks_starts: bool,
    /// Where it stands between the rungs of a sweep that has some.
    pub climb: Climb,
}

impl CellReport {
    /// The most memory that it used, in MiB: by its starts, and by what the trainer itself saw.
    pub fn used_memory_mib(&self) -> Option<u64> {
        let by_attempts = self.attempts.iter().filter_map(|attempt| attempt.used_memory_mib).max();
        let bytes = self.outcome.as_ref().and_then(|outcome| outcome.peak_memory_bytes);
        by_attempts.max(bytes.map(|bytes| bytes.div_ceil(1 << 20)))
    }

    /// The most disk that one of its starts used, in MiB.
    pub fn used_disk_mib(&self) -> Option<u64> {
        self.attempts.iter().filter_map(|attempt| attempt.used_disk_mib).max()
    }

    /// Whether it was started and nobody knows when.
    fn has_unknown_start(&self) -> bool {
        self.state != CellState::Running && self.outcome.is_some() && self.attempts.is_empty()
    }

    /// Whether the job of its latest start, which has no end yet, is at work although it does not run any more.
    fn is_ending(&self, jobs: &[&Job]) -> bool {
        let is_open = |attempt: &Attempt| attempt.ended.is_none();
        self.state != CellState::Running
            && self.attempts.last().is_some_and(is_open)
            && jobs.iter().any(|job| job.state == JobState::Running)
    }
}

/// What a look at a sweep found.
#[derive(Debug)]
pub struct Survey {
    /// Every cell, in the order they were planned.
    pub cells: Vec<CellReport>,
    /// Jobs on hold, as `cluster.proc`, by their cells.
    pub held: BTreeMap<String, Vec<String>>,
    /// Jobs in the queue whose cell another start has finished.
    pub surplus: Vec<String>,
    /// Whether somebody is at work who decides rungs and starts who goes on from them: DAGMan, or a job of Slurm.
    pub is_led: bool,
    /// Whether a job is still at work although its cell has come to its end: it has to write down how it ended.
    pub is_ending: bool,
    /// What a person should know of it: who could not be asked, and what is damaged and was left out.
    pub notes: Vec<String>,
}

/// Looks at every cell of a sweep, in the order they were planned, and asks the queue. What a person should know of it is
/// said on stderr.
///
/// # Errors
/// When the list of cells is damaged, and when any file is there and cannot be read: a sweep looks other without it.
pub fn survey(dir: &SweepDir) -> Result<Vec<CellReport>, Failure> {
    let survey = look(dir, &queues::ask(dir))?;
    survey.notes.iter().for_each(|note| say(format_args!("warning: {note}")));
    Ok(survey.cells)
}

/// Looks at every cell of a sweep, with what the queue said just now.
///
/// # Errors
/// Errors as of [`survey`].
pub fn look(dir: &SweepDir, queues: &Queues) -> Result<Survey, Failure> {
    let cells = read_cells(dir)?;
    // After the queue and before the results: what ends meanwhile is seen to have ended.
    let log = JobLog::read(&dir.job_log())?;
    let mut here: Option<Vec<String>> = None;
    let is_here = |machine: &str| is_one_of(machine, here.get_or_insert_with(condor::schedds));
    let mut damaged = Vec::new();
    if log.damaged > 0 {
        damaged.push(format!(
            "{}: left out, as damaged: {}",
            dir.job_log().display(),
            counted(log.damaged, "event")
        ));
    }
    let mut believed = believed(&cells, log, &queues.condor, &Submissions::read(dir)?, is_here);
    believed.of_slurm(&queues.slurm);
    let waiting = slurm::Waiting::read(dir, &queues.slurm)?;
    let mut jobs: HashMap<&str, Vec<&Job>> = HashMap::new();
    for job in &believed.jobs {
        jobs.entry(job.cell.as_deref().unwrap_or_default()).or_default().push(job);
    }
    let is_led = believed.is_led;
    let decisions = match cells.iter().any(|cell| !cell.rungs.is_empty()) {
        true => rungs::decisions(dir)?,
        false => Vec::new(),
    };
    let now = SystemTime::now();
    let jobs_of = |id: &str| jobs.get(id).map(Vec::as_slice).unwrap_or_default();
    let begins_later = believed.jobs.iter().any(|job| job.submitted.is_none() && job.latest.is_some());
    let report = |cell: Cell| {
        let jobs = jobs_of(&cell.id);
        let (report, notes) = report(cell, dir, jobs, &waiting, &decisions, now)?;
        let lacks_starts = begins_later || report.has_unknown_start();
        Ok::<_, FileError>((CellReport { lacks_starts, ..report }, notes))
    };
    let found: Vec<_> = cells.into_par_iter().map(report).collect();
    let mut cells = Vec::with_capacity(found.len());
    for found in found {
        let (report, notes) = found?;
        damaged.extend(notes.iter().map(|note| format!("cell {}: {note}", report.cell.id)));
        cells.push(report);
    }
    let (mut held, mut surplus, mut is_ending) = (BTreeMap::new(), Vec::new(), false);
    for report in &cells {
        let jobs = jobs_of(&report.cell.id);
        is_ending |= report.is_ending(jobs);
        let mut on_hold: Vec<String> =
            jobs.iter().filter(|job| job.state == JobState::Held).map(|job| job.id.clone()).collect();
        on_hold.dedup();
        if report.state == CellState::Held {
            held.insert(report.cell.id.clone(), on_hold);
        } else if report.state == CellState::Done {
            surplus.extend(surplus_of(report, jobs, &believed.in_queue));
        }
    }
    surplus.extend(surplus_clusters(&cells, &believed.jobs, &surplus));
    let mut notes = notes(&queues.condor, believed.unasked);
    notes.extend(waiting.note(&cells));
    notes.extend(note_of_starts(&cells));
    notes.extend(damaged);
    Ok(Survey { cells, held, surplus, is_led, is_ending, notes })
}

/// The jobs in the queue beside the start that finished the cell.
fn surplus_of(report: &CellReport, jobs: &[&Job], in_queue: &HashSet<String>) -> Vec<String> {
    let is_in_queue = |job: &&&Job| job.state.is_open() && in_queue.contains(&job.id);
    let open: Vec<String> = jobs.iter().filter(is_in_queue).map(|job| job.id.clone()).collect();
    let finished =
        |attempt: &Attempt| attempt.ending == Some(Ending::Finished) && !open.contains(&attempt.job);
    // One alone may be about to leave the queue with its result.
    if report.attempts.iter().any(finished) { open } else { Vec::new() }
}

/// The clusters that have nothing left to make but jobs of cells that are done.
fn surplus_clusters(cells: &[CellReport], jobs: &[Job], surplus: &[String]) -> Vec<String> {
    let is_cluster = |job: &&Job| job.state.is_open() && job.id.bytes().all(|byte| byte.is_ascii_digit());
    let clusters: BTreeSet<&str> = jobs.iter().filter(is_cluster).map(|job| job.id.as_str()).collect();
    if clusters.is_empty() {
        return Vec::new();
    }
    let done: HashSet<&str> = cells
        .iter()
        .filter(|report| report.state == CellState::Done)
        .map(|report| report.cell.id.as_str())
        .collect();
    let is_done = |job: &Job| job.cell.as_deref().is_some_and(|cell| done.contains(cell));
    let is_of = |job: &&Job, cluster: &str| job.id.split('.').next() == Some(cluster) && job.state.is_open();
    let is_surplus = |job: &Job| if job.id.contains('.') { surplus.contains(&job.id) } else { is_done(job) };
    let all = |cluster: &&str| jobs.iter().filter(|job| is_of(job, cluster)).all(is_surplus);
    clusters.into_iter().filter(all).map(str::to_owned).collect()
}

fn notes(queue: &Queue, unasked: usize) -> Vec<String> {
    let jobs = format!("{} {}", counted(unasked, "job"), if unasked == 1 { "is" } else { "are" });
    match queue {
        _ if unasked == 0 => Vec::new(),
        Queue::Silent(why) => {
            vec![format!("the queue does not answer ({why}): {jobs} assumed to be in it, by the event log")]
        }
        Queue::Holds(_) => {
            vec![format!("{jobs} in the queue of another machine, by the event log; ask there")]
        }
    }
}

fn note_of_starts(cells: &[CellReport]) -> Option<String> {
    let count = cells.iter().filter(|report| report.has_unknown_start()).count();
    cells.iter().any(|report| report.lacks_starts).then(|| {
        format!(
            "the event log was deleted or lost its beginning: it records no start of {} with a run, so tables lack \
             those starts",
            counted(count, "cell")
        )
    })
}

/// Compares the first part of the name: one of both may lack the domain.
fn is_one_of(machine: &str, names: &[String]) -> bool {
    let first = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    machine.eq_ignore_ascii_case("localhost") || names.iter().any(|name| first(name) == first(machine))
}

/// A cell, and what is damaged in its folder.
fn report(
    cell: Cell,
    dir: &SweepDir,
    jobs: &[&Job],
    waiting: &slurm::Waiting,
    decisions: &[Decision],
    now: SystemTime,
) -> Result<(CellReport, Vec<String>), FileError> {
    let (sweep, dir) = (dir, dir.cell(&cell.id));
    let mut notes = Vec::new();
    let result = CellResult::read(&cell, &dir)?;
    if let CellResult::Damaged(why) = &result {
        notes.push(why.clone());
    }
    let status: Option<Status> = present::json(&dir.status())?.or_note(&mut notes);
    let environment: Option<Environment> = present::json(&dir.environment())?.or_note(&mut notes);
    let mut local = read_attempts(&dir.attempts(), &mut notes)?;
    if !jobs.iter().any(|job| job.state.is_open()) {
        slurm::explain(sweep, &mut local);
    }
    let mut attempts: Vec<Attempt> = jobs.iter().flat_map(|job| job.attempts.iter().cloned()).collect();
    let ended = attempts.iter().filter_map(|attempt| attempt.ended.as_deref()).max();
    let lives = match local.last() {
        // The queue has said whether its job runs.
        Some(attempt) if attempt.launcher == Launcher::Slurm && waiting.is_asked() => false,
        latest => local_attempts::lives(latest, status.as_ref(), ended, now),
    };
    attempts.extend(local);
    // RFC 3339 in UTC: the order of the letters is that of the times. A log may begin after a start.
    let when = |attempt: &Attempt| attempt.started.clone().or_else(|| attempt.ended.clone());
    attempts.sort_by_cached_key(when);
    let spent = match result {
        CellResult::Done(_) => Spent::default(),
        _ => Spent::read(&dir, &mut notes)?,
    };
    let latest = attempts.iter().rev().find(|attempt| !spent.has_attempt(attempt));
    let may_wait = waiting.job_of(&cell.id, &attempts);
    let jobs: Vec<&Job> = jobs.iter().copied().chain(&may_wait).filter(|job| !spent.has_job(job)).collect();
    let climb = Climb::of(&cell, decisions, &result);
    let evidence = Evidence { result: &result, climb: &climb, jobs: &jobs, lives, latest };
    let (state, reason) = judge(&evidence, || last_line(&dir))?;
    let outcome = match result {
        CellResult::Done(outcome)
        | CellResult::Unfinished(outcome)
        | CellResult::Stopped(outcome)
        | CellResult::Failed(outcome) => Some(outcome),
        CellResult::Absent | CellResult::Stale(_) | CellResult::Damaged(_) => None,
    };
    let lacks_starts = false;
    let report =
        CellReport { cell, state, reason, outcome, environment, status, attempts, lacks_starts, climb };
    Ok((report, notes))
}

/// The last thing that the trainer said to stderr, advice left out.
fn last_line(dir: &CellDir) -> Result<Option<String>, FileError> {
    let Some(tail) = crate::logs::tail(&dir.stderr(), 20)? else { return Ok(None) };
    let mut lines = tail.split(['\n', '\r']).map(str::trim).rev();
    let line = lines.find(|line| !line.is_empty() && !line.starts_with("hint:"));
    Ok(line.map(|line| line.chars().filter(|c| !c.is_control()).collect()))
}

#[cfg(test)]
mod tests;
