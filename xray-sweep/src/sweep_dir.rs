//! The sweep directory: where everything lies, and what its files are called.

use std::path::{Path, PathBuf};
use xray_artifacts::ContentName;

/// A sweep directory.
#[derive(Clone, Debug)]
pub struct SweepDir(PathBuf);

impl SweepDir {
    /// Names a folder; nothing is looked at.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        SweepDir(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What was asked for.
    pub fn spec(&self) -> PathBuf {
        self.0.join("sweep.toml")
    }

    /// What the plan was made of: data, code, binaries.
    pub fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    /// Every planned cell, one JSON object a line.
    pub fn cells(&self) -> PathBuf {
        self.0.join("cells.jsonl")
    }

    /// The list that takes the place of [`cells`](Self::cells) once `plan.json` vouches for it.
    pub fn next_cells(&self) -> PathBuf {
        self.0.join("cells.next.jsonl")
    }

    /// The rows of the submit file's `queue`.
    pub fn cells_csv(&self) -> PathBuf {
        self.0.join("cells.csv")
    }

    /// The event log that HTCondor writes for all jobs of the sweep.
    pub fn job_log(&self) -> PathBuf {
        self.0.join("sweep.log")
    }

    /// Whether DAGMan has had `sweep.dag`: it leaves a submit file of its own, and will not have the DAG anew beside it.
    pub fn dag_was_submitted(&self) -> bool {
        self.0.join("sweep.dag.condor.sub").exists()
    }

    /// The rows of each submission, by the number of its cluster.
    pub fn submissions(&self) -> PathBuf {
        self.0.join("submitted")
    }

    /// The rows that one cluster was submitted with.
    pub fn submitted(&self, cluster: &str) -> PathBuf {
        self.submissions().join(format!("{cluster}.csv"))
    }

    /// What was decided at rungs, a file each.
    pub fn rungs(&self) -> PathBuf {
        self.0.join("rungs")
    }

    /// What was decided at one of them, counted from 1.
    pub fn rung(&self, number: usize) -> PathBuf {
        self.rungs().join(format!("{number}.json"))
    }

    /// Slurm's side: lists of the cells that arrays run, and what jobs say beside the trainer.
    pub fn slurm(&self) -> PathBuf {
        self.0.join("slurm")
    }

    /// The event log of DAGMan itself.
    pub fn dag_log(&self) -> PathBuf {
        self.0.join("sweep.dag.dagman.log")
    }

    /// The programs that jobs run, and the files that their settings name.
    pub fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// The copy of a file that settings name.
    pub fn file(&self, content: &ContentName) -> PathBuf {
        self.bin().join(content.as_str())
    }

    /// Held by the one process that plans or runs.
    pub fn lock(&self) -> PathBuf {
        self.0.join(".lock")
    }

    /// The tables.
    pub fn collected(&self) -> PathBuf {
        self.0.join("collected")
    }

    /// All that belongs to one cell.
    pub fn cell(&self, id: &str) -> CellDir {
        CellDir(self.0.join("cells").join(id))
    }
}

/// A cell's folder.
#[derive(Clone, Debug)]
pub struct CellDir(PathBuf);

impl CellDir {
    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether a job can start there.
    pub fn is_whole(&self) -> bool {
        self.config().is_file() && self.run().is_dir()
    }

    /// The configuration of its run.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The run directory that the trainer fills. It travels to the job and back, with its checkpoint.
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// What the run found.
    pub fn result(&self) -> PathBuf {
        self.0.join("run/result.json")
    }

    /// What a finished run keeps apart in its run directory, where no other job of the cell overwrites it.
    pub fn finished(&self) -> PathBuf {
        self.0.join("run/finished")
    }

    /// What was known of the cell when it was made ready to be run again.
    pub fn retried(&self) -> PathBuf {
        self.0.join("retried.json")
    }

    /// Which program ran where.
    pub fn environment(&self) -> PathBuf {
        self.0.join("run/env.json")
    }

    /// The heartbeat.
    pub fn status(&self) -> PathBuf {
        self.0.join("run/status.json")
    }

    /// Curves over steps.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("run/metrics.jsonl")
    }

    /// What the trainer said to stdout.
    pub fn stdout(&self) -> PathBuf {
        self.0.join("stdout.txt")
    }

    /// What the trainer said to stderr.
    pub fn stderr(&self) -> PathBuf {
        self.0.join("stderr.txt")
    }

    /// Attempts on this machine, one JSON object a line. Those on a pool stand in the job log.
    pub fn attempts(&self) -> PathBuf {
        self.0.join("attempts.jsonl")
    }
}
