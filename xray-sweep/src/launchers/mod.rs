//! Places to run cells: this machine, an HTCondor pool, a cluster with Slurm.

pub mod condor;
pub mod local;
mod process;
pub mod queues;
pub mod slurm;
mod stop;

/// What was given to a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// What the pool calls it.
    pub name: String,
    /// How many jobs it has.
    pub jobs: usize,
}
