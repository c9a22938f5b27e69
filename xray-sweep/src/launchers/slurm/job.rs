//! One cell as a task of an array: picks the program that this machine can run, starts it, passes Slurm's signals on,
//! writes down how it ended, and has it started again where that helps.

use super::arrays::{Array, lines, time_limit};
use super::next::{Anew, Next, Seen, next};
use super::queue::read_list;
use super::words::{memory_line, task_line};
use super::{absolute, taken};
use crate::attempt::{Attempt, Ending, Launcher};
use crate::cell::Cell;
use crate::cell_result::CellResult;
use crate::launchers::process::{Process, begun, now};
use crate::launchers::stop::Stop;
use crate::local_attempts::{append_attempt, read_attempts};
use crate::out_of_memory;
use crate::plan::{read_cells, read_plan, runnable_here};
use crate::present;
use crate::reset::Spent;
use crate::rungs::{Climb, decisions};
use crate::spec::Spec;
use crate::sweep_dir::{CellDir, SweepDir};
use std::process::Command;
use std::time::Duration;
use xray_artifacts::{Exit, Failure, Status, microarch};
use xray_cli::say;

/// A row of a list of cells.
#[derive(Clone, Debug)]
pub struct Task {
    /// The list of cells, below the sweep directory.
    pub list: String,
    /// Its row, from 0.
    pub row: usize,
}

/// What Slurm says of the job in its environment.
struct Job {
    /// `12_3`; empty where Slurm is not there.
    id: String,
    /// The number that `scontrol` knows it by.
    number: Option<String>,
    /// The machine, by Slurm's name.
    node: Option<String>,
    threads: Option<usize>,
    memory_mib: Option<u64>,
}

impl Job {
    fn of_environment() -> Job {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let number = text("SLURM_JOB_ID");
        let task = text("SLURM_ARRAY_JOB_ID").zip(text("SLURM_ARRAY_TASK_ID"));
        let id = task.map(|(array, task)| format!("{array}_{task}")).or_else(|| number.clone());
        Job {
            id: id.unwrap_or_default(),
            number,
            node: text("SLURMD_NODENAME"),
            threads: text("SLURM_CPUS_PER_TASK")
                .or_else(|| text("SLURM_CPUS_ON_NODE"))
                .and_then(|n| n.parse().ok()),
            memory_mib: text("SLURM_MEM_PER_NODE").and_then(|mib| mib.parse().ok()),
        }
    }

    /// What Slurm tells of it; empty where it does not.
    fn shown(&self) -> String {
        let Some(number) = &self.number else { return String::new() };
        let show = Command::new("scontrol").args(["--oneliner", "show", "job", number]).output();
        show.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether Slurm means it to run on: a cancelled or preempted job is told to end, too, and is completing.
    fn goes_on(&self) -> bool {
        self.shown().contains("JobState=RUNNING")
    }

    /// The start, with what Slurm says of its memory where it was told to end.
    fn explained(&self, dir: &SweepDir, attempt: Attempt) -> Attempt {
        if attempt.ending != Some(Ending::Removed) {
            return attempt;
        }
        let line = memory_line(dir, &self.id);
        let out_of_memory = line.is_some() || out_of_memory::is_state(&self.shown());
        Attempt { out_of_memory, reason: line.or_else(|| attempt.reason.clone()), ..attempt }
    }

    /// Has Slurm start it once more; it ends this process.
    fn requeue(&self) -> bool {
        let Some(number) = &self.number else { return false };
        Command::new("scontrol").args(["requeue", number]).status().is_ok_and(|status| status.success())
    }
}

/// Runs the cell of `task` and returns the exit code of its trainer.
///
/// # Errors
/// When there is no such cell, no program of the sweep runs here, or a file of the cell cannot be read or written.
pub fn run(dir: &SweepDir, task: &Task) -> Result<Exit, Failure> {
    let plan = read_plan(dir)?;
    let spec = Spec::read(&dir.spec())?;
    let cell = cell_of(dir, task)?;
    let folder = dir.cell(&cell.id);
    let result = CellResult::read(&cell, &folder)?;
    let climb = Climb::of(&cell, &decisions(dir)?, &result);
    let is_done = matches!(result, CellResult::Done(_));
    if is_done || climb.rest.is_some() {
        let at_rest = climb.text().filter(|_| !is_done);
        let where_it_is = at_rest.unwrap_or_else(|| "is done already".to_owned());
        say(format_args!("{} {where_it_is}", cell.name()));
        return Ok(Exit::Ok);
    }
    let job = Job::of_environment();
    if let Some(number) = &job.number {
        say(task_line(&job.id, number));
    }
    let launched = Attempt {
        launcher: Launcher::Slurm,
        job: job.id.clone(),
        host: job.node.clone(),
        microarch: microarch().map(str::to_owned),
        requested_memory_mib: job.memory_mib,
        requested_seconds: time_limit(&lines(&cell.request, &spec.slurm)),
        ..Attempt::default()
    };
    let step = step(&folder)?;
    let attempt = match runnable_here(dir, &plan, |binary| binary.gpu == (cell.request.gpus > 0)) {
        Ok(program) => {
            let threads = job.threads.unwrap_or(cell.request.cpus as usize);
            let process = Process::start(dir, &plan, &program, &cell, threads, launched)?;
            job.explained(dir, wait(process)?)
        }
        Err(failure) => unable(&cell, launched, &failure),
    };
    let seen = Seen {
        goes_on: attempt.ending == Some(Ending::Removed) && job.goes_on(),
        has_moved: self::step(&folder)? > step,
    };
    finish(&Finish { dir, spec: &spec, cell: &cell, folder: &folder, job: &job, task }, attempt, seen)
}

fn cell_of(dir: &SweepDir, task: &Task) -> Result<Cell, Failure> {
    let cells = read_cells(dir)?;
    let id = read_list(dir, &task.list).into_iter().nth(task.row);
    let found = id.and_then(|id| cells.into_iter().find(|cell| cell.id == id));
    found.ok_or_else(|| {
        let message = format!("row {} of {} names no cell of {}", task.row, task.list, dir.path().display());
        Failure::new(Exit::NothingMatches, message)
            .hint("the list is written by `xray-sweep plan` and `xray-sweep run --launcher slurm`")
    })
}

/// How far its run is.
fn step(folder: &CellDir) -> Result<u64, Failure> {
    let status: Option<Status> = present::json(&folder.status())?.or_note(&mut Vec::new());
    Ok(status.map_or(0, |status| status.step))
}

const STOPPED: &str = "stopped by Slurm";

/// Until it has ended. Slurm may say more than once that the time is up.
fn wait(mut process: Process) -> Result<Attempt, Failure> {
    const PAUSE: Duration = Duration::from_millis(100);
    let mut stop = Stop::install()?;
    loop {
        if let Some(status) = process.ended()? {
            let mut attempt = process.attempt(status);
            if attempt.ending == Some(Ending::Removed) {
                // Slurm may have told the trainer itself, before this process.
                attempt.reason.get_or_insert_with(|| STOPPED.to_owned());
            }
            return Ok(attempt);
        }
        if stop.requested().is_some() {
            process.stop(STOPPED);
        }
        std::thread::sleep(PAUSE);
    }
}

/// A start that came to nothing: no program of the sweep runs here.
fn unable(cell: &Cell, launched: Attempt, failure: &Failure) -> Attempt {
    Attempt {
        ended: Some(now()),
        ending: Some(Ending::Failed),
        exit: Some(failure.exit.code()),
        reason: Some(failure.message.clone()),
        ..begun(cell, launched)
    }
}

/// What the end of a start is about.
struct Finish<'a> {
    dir: &'a SweepDir,
    spec: &'a Spec,
    cell: &'a Cell,
    folder: &'a CellDir,
    job: &'a Job,
    task: &'a Task,
}

/// Decides what comes next and writes the start down, before anything is done: a job that is requeued is ended by it.
fn finish(of: &Finish<'_>, attempt: Attempt, seen: Seen) -> Result<Exit, Failure> {
    let path = of.folder.attempts();
    let mut notes = Vec::new();
    let spent = Spent::read(of.folder, &mut notes)?;
    let mut attempts = read_attempts(&path, &mut notes)?;
    let is_this = |other: &Attempt| (&other.job, &other.started) == (&attempt.job, &attempt.started);
    attempts.retain(|other| !is_this(other) && !spent.has_attempt(other));
    attempts.push(attempt.clone());
    let next = next(&attempts, seen, of.spec.condor.retries);
    let exit = attempt.exit.and_then(Exit::from_code).unwrap_or(Exit::Unexpected);
    let text = attempt.ending_text();
    let reason = match &next {
        Next::Enough(why) => Some(why.clone()),
        // Its own stop is not a reason to be named once it goes on.
        Next::Again(_) => None,
        Next::Nothing | Next::Anew(_) => attempt.reason.clone(),
    };
    let attempt = Attempt { reason, ..attempt };
    append_attempt(&path, &attempt)?;
    say(format_args!("{}: {text} on {}", of.cell.name(), attempt.place()));
    let anew = match next {
        Next::Nothing => None,
        Next::Enough(why) => {
            say(why);
            None
        }
        Next::Again(_) if of.job.requeue() => {
            say("requeued");
            // Slurm ends this process now.
            std::thread::sleep(Duration::from_secs(60));
            return Ok(exit);
        }
        Next::Again(anew) | Next::Anew(anew) => Some(anew),
    };
    if let Some(anew) = anew
        && let Err(failure) = submit(of, &anew)
    {
        let why = format!("{text}; another job could not be submitted: {}", failure.message);
        say(&why);
        append_attempt(&path, &Attempt { reason: Some(why), ..attempt })?;
    }
    Ok(exit)
}

/// Submits another job for the same row.
fn submit(of: &Finish<'_>, anew: &Anew) -> Result<(), Failure> {
    let task = of.job.id.split_once('_').and_then(|(_, task)| task.parse::<usize>().ok());
    let task = task.filter(|task| *task <= of.task.row).unwrap_or(0);
    let mut array = Array {
        list: &of.task.list,
        first: of.task.row - task,
        tasks: task.to_string(),
        memory_mib: of.cell.request.memory_mib * anew.memory_factor,
        request: of.cell.request,
        exclude: anew.exclude.iter().cloned().collect(),
    };
    let path = absolute(of.dir.path());
    let mut taken_by = taken(&mut array.command(&path, &of.spec.slurm, false));
    if taken_by.is_err() && anew.may_return && !array.exclude.is_empty() {
        array.exclude.clear();
        taken_by = taken(&mut array.command(&path, &of.spec.slurm, false));
    }
    let number = taken_by?;
    let without = if array.exclude.is_empty() {
        String::new()
    } else {
        format!(", not on {}", array.exclude.join(", "))
    };
    say(format_args!("submitted again as {number}_{task}, with {} MiB{without}", array.memory_mib));
    Ok(())
}
