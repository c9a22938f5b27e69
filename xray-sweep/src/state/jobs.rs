//! The one rule for who is believed of a job: the event log or the queue.
//!
//! - What has ended by the log has ended.
//! - Of the rest, the younger word counts: that of the log where it tells of something after the queue was asked,
//!   else that of the queue. A job that the queue does not hold is gone.
//! - The queue may hold what no log tells of: jobs of a log that was deleted, rows that a cluster has still to make
//!   jobs of, cells that DAGMan has still to submit.
//! - Where the queue cannot be asked, or is another machine's, whatever was submitted and has not ended by the log
//!   is believed to be there.

use crate::cell::Cell;
use crate::job_log::{Job, JobLog, JobState};
use crate::present;
use crate::queue::{Content, Dag, Factory, Queue, QueuedJob};
use crate::sweep_dir::SweepDir;
use std::collections::{BTreeMap, HashMap, HashSet};
use xray_artifacts::FileError;

/// The jobs of a sweep as they are believed to stand.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// In the order of their submission.
    pub(super) jobs: Vec<Job>,
    /// Those among them that the queue itself named, by `cluster.proc`.
    pub(super) in_queue: HashSet<String>,
    /// Whether DAGMan, or a job of Slurm that decides rungs, is at work.
    pub(super) is_led: bool,
    /// How many are believed open although no queue said so.
    pub(super) unasked: usize,
}

/// Besides the log, what was written down when cells were submitted.
#[derive(Debug, Default)]
pub(super) struct Submissions {
    /// The cells of each cluster that `run` submitted.
    pub(super) rows: BTreeMap<u64, Vec<String>>,
    /// DAGMan, if its own log says that it is at work.
    pub(super) dag: Option<Dag>,
}

impl Submissions {
    /// # Errors
    /// If any of it is there and cannot be read: a job would be forgotten, and its cell submitted twice.
    pub(super) fn read(dir: &SweepDir) -> Result<Submissions, FileError> {
        let mut rows = BTreeMap::new();
        for entry in present::entries(&dir.submissions())? {
            let path = entry.path();
            let number = path.file_stem().and_then(|name| name.to_str()?.parse::<u64>().ok());
            // A file of another name is not ours, and one that is gone by now was forgotten by a `run`.
            let Some(number) = number else { continue };
            let Some(bytes) = present::bytes(&path)? else { continue };
            let text = String::from_utf8_lossy(&bytes);
            let id = |row: &str| row.split(',').next().unwrap_or_default().to_owned();
            rows.insert(number, text.lines().map(id).collect());
        }
        let dag_job = JobLog::read(&dir.dag_log())?.jobs.pop();
        let dag = dag_job.filter(|job| job.state.is_open()).map(|job| Dag {
            held: job.reason.filter(|_| job.state == JobState::Held),
            id: job.id,
            submitted: job.submitted.unwrap_or_default(),
        });
        Ok(Submissions { rows, dag })
    }

    fn have(&self, job: &QueuedJob) -> bool {
        let cluster = job.id.split('.').next().and_then(|cluster| cluster.parse().ok());
        cluster.and_then(|cluster: u64| self.rows.get(&cluster)).is_some_and(|rows| rows.contains(&job.cell))
    }
}

/// Joins both for the planned `cells`. `is_here` says whether the queue of a machine is the one that was asked.
pub(super) fn believed(
    cells: &[Cell],
    log: JobLog,
    queue: &Queue,
    submissions: &Submissions,
    mut is_here: impl FnMut(&str) -> bool,
) -> Jobs {
    let mut found = Jobs { jobs: log.jobs, ..Jobs::default() };
    match queue {
        Queue::Holds(content) => {
            found.take(content, submissions, &mut is_here);
            let is_ours = |factory: &&Factory| {
                let number = factory.cluster.parse().unwrap_or_default();
                factory.is_ours
                    || log.factories.contains_key(&number)
                    || submissions.rows.contains_key(&number)
            };
            for factory in content.factories.iter().filter(is_ours) {
                found.owed_by_factory(factory, cells);
            }
            found.is_led |= !content.dags.is_empty();
            for dag in &content.dags {
                found.owed_by_dag(dag, cells);
            }
        }
        Queue::Silent(_) => {
            found.unasked = found.jobs.iter().filter(|job| job.state.is_open()).count();
            found.unasked += found.owed_by_submissions(&log.factories, submissions, cells);
            if let Some(dag) = &submissions.dag {
                found.is_led = true;
                found.unasked += found.owed_by_dag(dag, cells);
            }
        }
    }
    found
}

impl Jobs {
    fn take(&mut self, content: &Content, submissions: &Submissions, is_here: &mut impl FnMut(&str) -> bool) {
        let is_ours = |queued: &QueuedJob| queued.is_ours || submissions.have(queued);
        let mut held: HashMap<&str, _> = content.jobs.iter().map(|job| (job.id.as_str(), job)).collect();
        for job in self.jobs.iter_mut().rev() {
            let cell = job.cell.clone();
            let queued = held.get(job.id.as_str()).copied();
            let queued = queued.filter(|queued| match &cell {
                Some(cell) => *cell == queued.cell,
                None => is_ours(queued),
            });
            if let Some(queued) = queued {
                // The latest of its number: an earlier one was of a queue that was set up anew.
                held.remove(job.id.as_str());
                if cell.is_none() {
                    job.cell = Some(queued.cell.clone());
                    job.attempts.iter_mut().for_each(|attempt| attempt.cell.clone_from(&queued.cell));
                }
            }
            if !job.state.is_open() {
                continue;
            }
            if queued.is_some_and(|queued| queued.state.is_open()) {
                self.in_queue.insert(job.id.clone());
            }
            if job.latest.as_ref().is_some_and(|latest| *latest >= content.asked) {
                continue;
            }
            match queued {
                Some(queued) => (job.state, job.reason) = (queued.state, queued.reason.clone()),
                None if job.schedd.as_deref().is_none_or(&mut *is_here) => job.vanish(),
                None => self.unasked += 1,
            }
        }
        for queued in content.jobs.iter().filter(|queued| held.contains_key(queued.id.as_str())) {
            if is_ours(queued) {
                self.in_queue.insert(queued.id.clone());
                let (cell, reason) = (Some(queued.cell.clone()), queued.reason.clone());
                self.jobs.push(Job { cell, state: queued.state, reason, ..Job::new(queued.id.clone()) });
            }
        }
    }

    /// Adds what Slurm's queue holds. It tells of what waits and runs only; how a job ended, its cell's folder says.
    pub(super) fn of_slurm(&mut self, queue: &Queue) {
        let Queue::Holds(content) = queue else { return };
        self.is_led |= !content.dags.is_empty();
        for queued in &content.jobs {
            self.in_queue.insert(queued.id.clone());
            let (cell, reason) = (Some(queued.cell.clone()), queued.reason.clone());
            self.jobs.push(Job { cell, state: queued.state, reason, ..Job::new(queued.id.clone()) });
        }
    }

    fn owed_by_factory(&mut self, factory: &Factory, cells: &[Cell]) {
        let made = self.cells_of(&factory.cluster);
        // Which are left cannot be told: rather one too many is believed to wait than one run twice.
        let unknown = || ids(cells).filter(|cell| !made.contains(cell)).collect();
        let owed: Vec<String> = factory.owed.clone().unwrap_or_else(unknown);
        self.wait_for(owed, &factory.cluster, factory.paused.as_ref());
    }

    /// Every cell that it has not submitted since it began.
    fn owed_by_dag(&mut self, dag: &Dag, cells: &[Cell]) -> usize {
        let is_since =
            |job: &&Job| job.submitted.as_ref().is_none_or(|submitted| *submitted >= dag.submitted);
        let since: HashSet<&str> =
            self.jobs.iter().filter(is_since).filter_map(|job| job.cell.as_deref()).collect();
        let owed = ids(cells).filter(|cell| !since.contains(cell.as_str())).collect();
        self.wait_for(owed, &dag.id, dag.held.as_ref())
    }

    /// Cells that wait by the record of the submissions.
    fn owed_by_submissions(
        &mut self,
        factories: &BTreeMap<u64, bool>,
        submissions: &Submissions,
        cells: &[Cell],
    ) -> usize {
        let at_work = factories.iter().filter(|(_, at_work)| **at_work).map(|(cluster, _)| cluster);
        let unended = submissions.rows.keys().filter(|cluster| !factories.contains_key(cluster));
        let clusters: Vec<u64> = at_work.chain(unended).copied().collect();
        let mut count = 0;
        for cluster in clusters {
            let name = cluster.to_string();
            let made = self.cells_of(&name);
            // One that was submitted by hand has the rows of all cells.
            let rows = submissions.rows.get(&cluster).cloned().unwrap_or_else(|| ids(cells).collect());
            let owed = rows.into_iter().filter(|cell| !made.contains(cell)).collect();
            count += self.wait_for(owed, &name, None);
        }
        count
    }

    fn cells_of(&self, cluster: &str) -> HashSet<String> {
        let is_of = |job: &&Job| job.id.split('.').next() == Some(cluster);
        self.jobs.iter().filter(is_of).filter_map(|job| job.cell.clone()).collect()
    }

    /// Cells whose jobs are still to come.
    fn wait_for(&mut self, cells: Vec<String>, id: &str, held: Option<&String>) -> usize {
        let state = if held.is_some() { JobState::Held } else { JobState::Queued };
        let job = |cell| Job { cell: Some(cell), state, reason: held.cloned(), ..Job::new(id.to_owned()) };
        let before = self.jobs.len();
        self.jobs.extend(cells.into_iter().map(job));
        self.jobs.len() - before
    }
}

fn ids(cells: &[Cell]) -> impl Iterator<Item = String> {
    cells.iter().map(|cell| cell.id.clone())
}
