//! SIGINT and SIGTERM ask the loop to finish its step and save; a second one ends the process at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use xray_artifacts::{Exit, Failure};

/// Whether someone asked to stop.
#[derive(Clone, Default)]
pub struct StopFlag(Arc<AtomicUsize>);

impl StopFlag {
    /// Starts to listen.
    pub fn install() -> Result<StopFlag, Failure> {
        let stop = StopFlag::default();
        for (signal, exit) in [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)] {
            stop.listen(signal, exit).map_err(|error| {
                Failure::new(Exit::Unexpected, format!("cannot listen to signals: {error}"))
            })?;
        }
        Ok(stop)
    }

    fn listen(&self, signal: i32, exit: Exit) -> std::io::Result<()> {
        let once = Arc::new(AtomicBool::new(false));
        // In this order: the first signal finds `once` unset, sets it and is noted; the second one ends.
        flag::register_conditional_shutdown(signal, exit.code().into(), once.clone())?;
        flag::register(signal, once)?;
        flag::register_usize(signal, self.0.clone(), exit.code().into())?;
        Ok(())
    }

    /// The exit code of the signal that arrived, if one did.
    pub fn requested(&self) -> Option<Exit> {
        let code = self.0.load(Ordering::Relaxed);
        [Exit::Interrupted, Exit::Terminated].into_iter().find(|exit| usize::from(exit.code()) == code)
    }
}
