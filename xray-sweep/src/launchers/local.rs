//! Cells as processes of this machine: so many at a time, each with its share of the cores, as the memory
//! allows.

use crate::attempt::{Attempt, Ending, Launcher};
use crate::cell::Cell;
use crate::local_attempts::append_attempt;
use crate::plan::{Plan, runnable_here};
use crate::sweep_dir::SweepDir;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use xray_artifacts::{Exit, Failure, FileError, time_of_day};

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
            running.push(start(dir, plan, programs.of(cell), cell, options.threads)?);
            observe(Event::Started(cell));
            waiting.pop_front();
        }
        if stopping {
            if !told {
                observe(Event::Stopping);
            }
            told = true;
            stop.pass_on(&mut running);
        }
        std::thread::sleep(PAUSE);
        let mut still = Vec::new();
        for mut job in running {
            let waited = job.child.try_wait();
            match waited.map_err(|error| failure(programs.of(job.cell), "be waited for", error))? {
                None => still.push(job),
                Some(status) => {
                    let cell = job.cell;
                    let attempt = job.end(dir, status)?;
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
    child: Child,
    attempt: Attempt,
}

fn start<'a>(
    dir: &SweepDir,
    plan: &Plan,
    program: &Path,
    cell: &'a Cell,
    threads: usize,
) -> Result<Job<'a>, Failure> {
    let folder = dir.cell(&cell.id);
    let open = |path: PathBuf| {
        File::options().append(true).create(true).open(&path).map_err(|source| FileError::Io {
            path,
            action: "write",
            source,
        })
    };
    let mut command = Command::new(program);
    command.arg("--config").arg(folder.config()).arg("--data").arg(&plan.data).arg("--run").arg(folder.run());
    command.args(["--cell", &cell.id, "--threads", &threads.to_string()]);
    if !cell.files.is_empty() {
        command.arg("--files").arg(dir.bin());
    }
    command.stdin(Stdio::null()).stdout(open(folder.stdout())?).stderr(open(folder.stderr())?);
    // A group of its own: Ctrl-C reaches this process alone, which then stops its jobs in good order.
    command.process_group(0);
    let child = command.spawn().map_err(|error| failure(program, "be started", error))?;
    let attempt = Attempt {
        cell: cell.id.clone(),
        launcher: Launcher::Local,
        job: child.id().to_string(),
        host: Some(rustix::system::uname().nodename().to_string_lossy().into_owned()),
        started: Some(now()),
        requested_memory_mib: Some(cell.request.memory_mib),
        ..Attempt::default()
    };
    append_attempt(&folder.attempts(), &attempt)?;
    Ok(Job { cell, child, attempt })
}

impl Job<'_> {
    fn end(self, dir: &SweepDir, status: ExitStatus) -> Result<Attempt, Failure> {
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        let ending = match code.and_then(Exit::from_code) {
            Some(Exit::Ok) => Ending::Finished,
            Some(Exit::Checkpointed) => Ending::Checkpointed,
            Some(Exit::Interrupted | Exit::Terminated) => Ending::Removed,
            _ => Ending::Failed,
        };
        let signal = status.signal().and_then(|signal| u8::try_from(signal).ok());
        let attempt =
            Attempt { ended: Some(now()), ending: Some(ending), exit: code, signal, ..self.attempt };
        append_attempt(&dir.cell(&self.cell.id).attempts(), &attempt)?;
        Ok(attempt)
    }
}

fn failure(program: &Path, verb: &str, error: std::io::Error) -> Failure {
    Failure::new(Exit::CannotRunHere, format!("{} cannot {verb}: {error}", program.display()))
}

fn now() -> String {
    humantime::format_rfc3339_seconds(time_of_day()).to_string()
}

/// SIGINT and SIGTERM: the first asks jobs to save and end, a second one ends them at once.
struct Stop {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
    requests: u32,
    exit: Option<Exit>,
}

impl Stop {
    fn install() -> Result<Stop, Failure> {
        let (interrupt, terminate) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let stop = Stop { interrupt, terminate, requests: 0, exit: None };
        let register =
            |signal, flag: &Arc<AtomicBool>| signal_hook::flag::register(signal, flag.clone()).map(drop);
        register(SIGINT, &stop.interrupt)
            .and_then(|()| register(SIGTERM, &stop.terminate))
            .map_err(|error| Failure::new(Exit::Unexpected, format!("cannot listen to signals: {error}")))?;
        Ok(stop)
    }

    /// Looks for signals since the last look; the exit code that the first one asked for.
    fn requested(&mut self) -> Option<Exit> {
        for (flag, exit) in [(&self.interrupt, Exit::Interrupted), (&self.terminate, Exit::Terminated)] {
            if flag.swap(false, Ordering::SeqCst) {
                self.requests += 1;
                self.exit = self.exit.or(Some(exit));
            }
        }
        self.exit
    }

    fn pass_on(&self, running: &mut [Job<'_>]) {
        for job in running {
            if self.requests > 1 {
                let _ = job.child.kill();
            } else if job.attempt.reason.is_none() {
                terminate(&job.child);
                job.attempt.reason = Some("stopped with its launcher".into());
            }
        }
    }
}

/// The standard library sends SIGKILL only. The child has not been waited for, so its number is its own.
fn terminate(child: &Child) {
    let number = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // It fails where the child has ended meanwhile.
    let _ = number.map(|number| kill_process(number, Signal::TERM));
}

/// Memory that processes could have without swapping, where the system tells.
fn available_mib() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024)
}
