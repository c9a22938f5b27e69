//! The queues of both kinds of pool, asked together. What is done to a job goes to the pool whose number it has.

use super::{condor, slurm};
use crate::queue::Queue;
use crate::sweep_dir::SweepDir;
use std::time::{Duration, Instant};
use xray_artifacts::Failure;

/// What the queues said of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Queues {
    /// HTCondor's.
    pub condor: Queue,
    /// Slurm's.
    pub slurm: Queue,
}

/// Asks both.
pub fn ask(dir: &SweepDir) -> Queues {
    let (condor, slurm) = rayon::join(|| condor::queue(dir), || slurm::queue(dir));
    Queues { condor, slurm }
}

/// Lets held jobs go.
///
/// # Errors
/// When a pool refuses.
pub fn release(jobs: &[String]) -> Result<(), Failure> {
    let (slurm, condor) = split(jobs);
    condor::release(&condor)?;
    slurm::release(&slurm)
}

/// Takes jobs out of their queue.
///
/// # Errors
/// When a pool refuses.
pub fn remove(jobs: &[String]) -> Result<(), Failure> {
    let (slurm, condor) = split(jobs);
    condor::remove(&condor)?;
    slurm::remove(&slurm)
}

fn split(jobs: &[String]) -> (Vec<String>, Vec<String>) {
    jobs.iter().cloned().partition(|job| slurm::is_job(job))
}

/// Queues that are asked now and then: the event log and the cells' own records, which cost a pool nothing, tell what
/// happens meanwhile.
pub struct QueueWatch<'a> {
    dir: &'a SweepDir,
    said: Option<(Instant, Queues)>,
}

impl<'a> QueueWatch<'a> {
    /// The queues for the sweep in `dir`.
    pub fn new(dir: &'a SweepDir) -> Self {
        QueueWatch { dir, said: None }
    }

    /// What the queues said within the last half a minute.
    pub fn queues(&mut self) -> &Queues {
        const AGE: Duration = Duration::from_secs(30);
        let said = self.said.take().filter(|(when, _)| when.elapsed() < AGE);
        &self.said.insert(said.unwrap_or_else(|| (Instant::now(), ask(self.dir)))).1
    }

    /// Makes sure that they are asked anew.
    pub fn forget(&mut self) {
        self.said = None;
    }
}
