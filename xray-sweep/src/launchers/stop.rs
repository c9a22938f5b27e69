//! SIGINT and SIGTERM to whoever runs cells: the first asks them to save and end, a second one ends them at once.

use super::process::Process;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use xray_artifacts::{Exit, Failure};

/// What signals have asked for so far.
pub(super) struct Stop {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
    requests: u32,
    exit: Option<Exit>,
}

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(super) fn install() -> Result<Stop, Failure> {
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
    pub(super) fn requested(&mut self) -> Option<Exit> {
        for (flag, exit) in [(&self.interrupt, Exit::Interrupted), (&self.terminate, Exit::Terminated)] {
            if flag.swap(false, Ordering::SeqCst) {
                self.requests += 1;
                self.exit = self.exit.or(Some(exit));
            }
        }
        self.exit
    }

    /// Does to processes what was asked for.
    pub(super) fn pass_on<'a>(&self, processes: impl Iterator<Item = &'a mut Process>) {
        for process in processes {
            if self.requests > 1 {
                process.kill();
            } else {
                process.stop("stopped with its launcher");
            }
        }
    }
}
