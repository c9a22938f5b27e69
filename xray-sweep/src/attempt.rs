//! One start of a cell's job, wherever it ran and however it ended.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One start of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The cell.
    pub cell: String,
    /// What started it.
    pub launcher: Launcher,
    /// HTCondor's `cluster.proc`, Slurm's `array_task`, or the local process number.
    pub job: String,
    /// The machine, as HTCondor or the system names it.
    pub host: Option<String>,
    /// HTCondor's slot.
    pub slot: Option<String>,
    /// `x86_64-v1` to `x86_64-v4`.
    pub microarch: Option<String>,
    /// Start, RFC 3339 in UTC.
    pub started: Option<String>,
    /// End, RFC 3339 in UTC; none while it runs.
    pub ended: Option<String>,
    /// How it ended; none while it runs or when nobody knows.
    pub ending: Option<Ending>,
    /// Exit code of the trainer.
    pub exit: Option<u8>,
    /// Signal that killed it.
    pub signal: Option<u8>,
    /// Why, in a sentence, where there is something to say.
    pub reason: Option<String>,
    /// Memory asked for, in MiB.
    pub requested_memory_mib: Option<u64>,
    /// Memory given, in MiB.
    pub allocated_memory_mib: Option<u64>,
    /// Memory used at most, in MiB.
    pub used_memory_mib: Option<u64>,
    /// Whether the pool or the cluster ended it because it used more memory than it had asked for.
    #[serde(default, skip_serializing_if = "is_not")]
    pub out_of_memory: bool,
    /// Disk asked for, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_disk_mib: Option<u64>,
    /// Disk used, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_disk_mib: Option<u64>,
    /// Time asked for, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_seconds: Option<u64>,
}

fn is_not(what: &bool) -> bool {
    !what
}

/// What starts jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Launcher {
    /// This machine.
    #[default]
    Local,
    /// An HTCondor pool.
    Condor,
    /// A cluster with Slurm.
    Slurm,
}

impl Launcher {
    /// `local`, `condor` or `slurm`.
    pub fn name(self) -> &'static str {
        match self {
            Launcher::Local => "local",
            Launcher::Condor => "condor",
            Launcher::Slurm => "slurm",
        }
    }
}

/// How a start of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The process came to its end with exit code 0.
    Finished,
    /// It ended with another exit code or by a signal.
    Failed,
    /// It saved a checkpoint on purpose ([`Exit::Checkpointed`](xray_artifacts::Exit)) and was started again.
    Checkpointed,
    /// The machine was taken away.
    Evicted,
    /// HTCondor put the job on hold.
    Held,
    /// HTCondor put the job on hold because its files did not reach the machine, or did not come back.
    Undelivered,
    /// Somebody removed the job, or stopped the launcher.
    Removed,
    /// The connection to the machine broke, or the launcher died.
    Lost,
}
