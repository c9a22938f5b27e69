//! What a process is told by signals: to end, and to read its files again.

use crate::service::Service;
use std::future::pending;
use std::io::{IsTerminal, Result, stdin};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ends at SIGTERM or SIGINT.
pub async fn asked_to_end() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        },
        // The system ends the process then.
        _ => pending().await,
    }
}

/// SIGHUP, which ends a process that does not listen for it. So this begins before a model is loaded.
pub struct HangUps {
    signal: Signal,
    has_terminal: bool,
}

impl HangUps {
    /// Listens from now on.
    ///
    /// # Errors
    /// If the system does not let it.
    pub fn listen() -> Result<Self> {
        Ok(HangUps { signal: signal(SignalKind::hangup())?, has_terminal: stdin().is_terminal() })
    }

    /// Reads the service's files again at each. Ends when one came because the terminal went away from which the process
    /// was started.
    pub async fn reload(mut self, service: Arc<Service>) {
        while self.signal.recv().await.is_some() {
            if self.has_terminal && !stdin().is_terminal() {
                return;
            }
            // What went wrong stands in the log.
            let _ = service.reload().await;
        }
        pending().await
    }
}
