//! One start of a cell as a process of this machine, written down in the cell's `attempts.jsonl`.

use crate::attempt::{Attempt, Ending};
use crate::cell::Cell;
use crate::cell_result::CellResult;
use crate::local_attempts::append_attempt;
use crate::plan::Plan;
use crate::rungs::{Climb, decisions};
use crate::sweep_dir::SweepDir;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use xray_artifacts::{Exit, Failure, FileError, Length, time_of_day};

/// A trainer at work.
pub(super) struct Process {
    program: PathBuf,
    child: Child,
    attempt: Attempt,
}

impl Process {
    /// Starts `program` on a cell with so many threads. `launched` says what started it and where; a start that has no
    /// job of its own has the number of its process.
    ///
    /// # Errors
    /// When the program cannot be started or a file of the cell cannot be written.
    pub(super) fn start(
        dir: &SweepDir,
        plan: &Plan,
        program: &Path,
        cell: &Cell,
        threads: usize,
        launched: Attempt,
    ) -> Result<Process, Failure> {
        let folder = dir.cell(&cell.id);
        let open = |path: PathBuf| {
            File::options().append(true).create(true).open(&path).map_err(|source| FileError::Io {
                path,
                action: "write",
                source,
            })
        };
        let mut command = Command::new(program);
        command.arg("--config").arg(folder.config()).arg("--data").arg(&plan.data);
        command.arg("--run").arg(folder.run());
        command.args(["--cell", &cell.id, "--threads", &threads.to_string()]);
        if let Some(stop) = stop_at(dir, cell)? {
            command.args(["--stop-at", &stop.to_string()]);
        }
        if !cell.files.is_empty() {
            command.arg("--files").arg(dir.bin());
        }
        command.stdin(Stdio::null()).stdout(open(folder.stdout())?).stderr(open(folder.stderr())?);
        // A group of its own: Ctrl-C reaches this process alone, which then stops its jobs in good order.
        command.process_group(0);
        let child = command.spawn().map_err(|error| failure(program, "be started", &error))?;
        let mut attempt = begun(cell, launched);
        if attempt.job.is_empty() {
            attempt.job = child.id().to_string();
        }
        append_attempt(&folder.attempts(), &attempt)?;
        Ok(Process { program: program.to_owned(), child, attempt })
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        self.child.try_wait().map_err(|error| failure(&self.program, "be waited for", &error))
    }

    /// Asks it, once, to save and end, for a `reason`.
    pub(super) fn stop(&mut self, reason: &str) {
        if self.attempt.reason.is_none() {
            self.attempt.reason = Some(reason.to_owned());
            // The standard library sends SIGKILL only. The child has not been waited for, so its number is its own.
            let number = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            // It fails where the child has ended meanwhile.
            let _ = number.map(|number| kill_process(number, Signal::TERM));
        }
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// The start as a whole, with how it ended; not written down yet.
    pub(super) fn attempt(self, status: ExitStatus) -> Attempt {
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        let ending = match code.and_then(Exit::from_code) {
            Some(Exit::Ok) => Ending::Finished,
            Some(Exit::Checkpointed) => Ending::Checkpointed,
            Some(Exit::Interrupted | Exit::Terminated) => Ending::Removed,
            _ => Ending::Failed,
        };
        let signal = status.signal().and_then(|signal| u8::try_from(signal).ok());
        Attempt { ended: Some(now()), ending: Some(ending), exit: code, signal, ..self.attempt }
    }
}

/// Where a cell stops next on its way, after what was decided so far.
fn stop_at(dir: &SweepDir, cell: &Cell) -> Result<Option<Length>, Failure> {
    if cell.rungs.is_empty() {
        return Ok(None);
    }
    let result = CellResult::read(cell, &dir.cell(&cell.id))?;
    Ok(Climb::of(cell, &decisions(dir)?, &result).stop_at)
}

/// A start of now.
pub(super) fn begun(cell: &Cell, launched: Attempt) -> Attempt {
    Attempt {
        cell: cell.id.clone(),
        host: launched
            .host
            .or_else(|| Some(rustix::system::uname().nodename().to_string_lossy().into_owned())),
        started: Some(now()),
        requested_memory_mib: launched.requested_memory_mib.or(Some(cell.request.memory_mib)),
        ..launched
    }
}

/// The time in the form of attempts.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(time_of_day()).to_string()
}

fn failure(program: &Path, verb: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::CannotRunHere, format!("{} cannot {verb}: {error}", program.display()))
}
