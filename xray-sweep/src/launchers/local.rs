//! Cells as processes of this machine: so many at a time, each with its share of the cores, as the memory
//! allows.

use super::process::Process;
use super::stop::Stop;
use crate::attempt::{Attempt, Ending, Launcher};
use crate::cell::Cell;
use crate::local_attempts::append_attempt;
use crate::plan::{Plan, runnable_here};
use crate::sweep_dir::SweepDir;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xray_artifacts::{Exit, Failure};

/// How cells are run here.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Processes at a time.
    pub jobs: usize,
    /// Threads of each; results do not depend on it.
    pub threads: usize,
    /// Memory for all of them, in MiB.
    pub memory_mib: u64,
}

impl LocalOptions {
    /// For `jobs` processes on this machine: the cores divided, nine tenths of the memory that is free.
    pub fn for_jobs(jobs: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory_mib = available_mib().map_or(u64::MAX, |free| free / 10 * 9);
        LocalOptions { jobs, threads: (cores / jobs).max(1), memory_mib }
    }
}

/// What happened, for whoever shows it.
#[derive(Debug)]
pub enum Event<'a> {
    /// A process was started.
    Started(&'a Cell),
    /// It came to an end of its own.
    Ended(&'a Cell, &'a Attempt),
    /// A moment passed; these run.
    Tick(&'a [&'a Cell]),
    /// A stop was asked for; processes save and end.
    Stopping,
}

/// Runs all of `cells`; returns whether a signal ended it early.
pub fn run(
    dir: &SweepDir,
    plan: &Plan,
    cells: &[&Cell],
    options: &LocalOptions,
    mut observe: impl FnMut(Event<'_>),
) -> Result<Option<Exit>, Failure> {
    let programs = Programs::find(dir, plan, cells)?;
    let mut stop = Stop::install()?;
    let mut waiting: VecDeque<&Cell> = cells.iter().copied().collect();
    let mut running: Vec<Job<'_>> = Vec::new();
    let mut told = false;
    loop {
        let stopping = stop.requested().is_some();
        if running.is_empty() && (waiting.is_empty() || stopping) {
            return Ok(stop.requested());
        }
        while let Some(cell) = waiting.front().filter(|cell| !stopping && fits(&running, cell, options)) {
            let launched = Attempt { launcher: Launcher::Local, ..Attempt::default() };
            let process = Process::start(dir, plan, programs.of(cell), cell, options.threads, launched)?;
            running.push(Job { cell, process });
            observe(Event::Started(cell));
            waiting.pop_front();
        }
        if stopping {
            if !told {
                observe(Event::Stopping);
            }
            told = true;
            stop.pass_on(running.iter_mut().map(|job| &mut job.process));
        }
        std::thread::sleep(PAUSE);
        let mut still = Vec::new();
        for mut job in running {
            match job.process.ended()? {
                None => still.push(job),
                Some(status) => {
                    let Job { cell, process } = job;
                    let attempt = process.attempt(status);
                    append_attempt(&dir.cell(&cell.id).attempts(), &attempt)?;
                    observe(Event::Ended(cell, &attempt));
                    // Saved on purpose: the same command goes on.
                    if attempt.ending == Some(Ending::Checkpointed) {
                        waiting.push_front(cell);
                    }
                }
            }
        }
        running = still;
        let cells: Vec<_> = running.iter().map(|job| job.cell).collect();
        observe(Event::Tick(&cells));
    }
}

/// What runs cells here.
struct Programs {
    cpu: Option<PathBuf>,
    gpu: Option<PathBuf>,
}

impl Programs {
    fn find(dir: &SweepDir, plan: &Plan, cells: &[&Cell]) -> Result<Programs, Failure> {
        let found = |gpu: bool| {
            let is_needed = cells.iter().any(|cell| (cell.request.gpus > 0) == gpu);
            is_needed.then(|| runnable_here(dir, plan, |binary| binary.gpu == gpu)).transpose()
        };
        Ok(Programs { cpu: found(false)?, gpu: found(true)? })
    }

    fn of(&self, cell: &Cell) -> &Path {
        let program = if cell.request.gpus > 0 { &self.gpu } else { &self.cpu };
        program.as_deref().expect("found for every cell that is run")
    }
}

const PAUSE: Duration = Duration::from_millis(50);

/// One process always fits: too little memory is then its own failure, not a sweep that never ends.
fn fits(running: &[Job<'_>], cell: &Cell, options: &LocalOptions) -> bool {
    let used: u64 = running.iter().map(|job| job.cell.request.memory_mib).sum();
    running.is_empty()
        || (running.len() < options.jobs && used + cell.request.memory_mib <= options.memory_mib)
}

struct Job<'a> {
    cell: &'a Cell,
    process: Process,
}

/// Memory that processes could have without swapping, where the system tells.
fn available_mib() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024)
}
