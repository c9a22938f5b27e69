//! Cells that may wait in a queue of Slurm which cannot be asked: the lists of what `run` submitted tell, and the starts
//! since.

use super::queue::read_list;
use crate::attempt::{Attempt, Launcher};
use crate::job_log::{Job, JobState};
use crate::present;
use crate::queue::{Queue, stamp};
use crate::state::CellReport;
use crate::sweep_dir::SweepDir;
use std::collections::HashMap;
use std::fs;
use xray_artifacts::FileError;
use xray_display::counted;

/// Time of the last submission by cell; empty where the queue has answered.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    submitted: HashMap<String, String>,
    /// Why the queue said nothing.
    silent: Option<String>,
}

impl Waiting {
    /// # Errors
    /// When the lists cannot be read: a cell would be submitted twice.
    pub(crate) fn read(dir: &SweepDir, queue: &Queue) -> Result<Waiting, FileError> {
        let Queue::Silent(why) = queue else { return Ok(Waiting::default()) };
        let mut submitted: HashMap<String, String> = HashMap::new();
        for entry in present::entries(&dir.slurm())? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let written = entry.metadata().and_then(|found| found.modified());
            let Some(written) = written.ok().filter(|_| name.starts_with("run-")).map(stamp) else {
                continue;
            };
            for cell in read_list(dir, &format!("slurm/{name}")) {
                let latest = submitted.entry(cell).or_default();
                *latest = written.clone().max(std::mem::take(latest));
            }
        }
        Ok(Waiting { submitted, silent: Some(why.clone()) })
    }

    /// Whether the queue has answered.
    pub(crate) fn is_asked(&self) -> bool {
        self.silent.is_none()
    }

    /// A job that is believed to wait, because none of the cell was started since it was submitted.
    pub(crate) fn job_of(&self, cell: &str, attempts: &[Attempt]) -> Option<Job> {
        let submitted = self.submitted.get(cell)?;
        let is_since = |attempt: &Attempt| {
            attempt.launcher == Launcher::Slurm && attempt.started.as_ref().is_some_and(|s| s >= submitted)
        };
        let job =
            Job { cell: Some(cell.to_owned()), state: JobState::Queued, ..Job::new("slurm".to_owned()) };
        (!attempts.iter().any(is_since)).then_some(job)
    }

    /// What a person should know, where something is believed.
    pub(crate) fn note(&self, cells: &[CellReport]) -> Option<String> {
        let why = self.silent.as_ref()?;
        let is_open = |attempt: &Attempt| attempt.launcher == Launcher::Slurm && attempt.ended.is_none();
        let is_believed = |report: &&CellReport| {
            self.job_of(&report.cell.id, &report.attempts).is_some()
                || report.attempts.last().is_some_and(is_open)
        };
        let count = cells.iter().filter(is_believed).count();
        (count > 0).then(|| {
            format!(
                "Slurm does not answer ({why}): {} assumed to wait or run, as recorded at submission",
                counted(count, "cell")
            )
        })
    }
}

/// Removes lists of which the queue holds no job any more.
pub(crate) fn forget(dir: &SweepDir, queue: &Queue) {
    let Queue::Holds(content) = queue else { return };
    if !content.jobs.is_empty() {
        return;
    }
    for entry in fs::read_dir(dir.slurm()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("run-") {
            // One that stays is forgotten next time.
            let _ = fs::remove_file(entry.path());
        }
    }
}
