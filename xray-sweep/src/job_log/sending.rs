//! A machine that files are sent to, before the job executes there. What ends then has had that machine, and not the one
//! of the start before.

use super::{
    ABORTED, EVICTED, EXECUTE, HELD, IMAGE_SIZE, Job, JobState, RECONNECT_FAILED, SHADOW_EXCEPTION,
    TERMINATED,
};
use super::{address, event::Event};
use crate::attempt::{Attempt, Launcher};

pub(super) const FILE_TRANSFER: u16 = 40;

impl Job {
    /// Before an event is taken in: one that ends the sending makes a start of it, which the event then ends.
    pub(super) fn ends_sending(&mut self, event: &Event<'_>) {
        let ends = matches!(event.code, EVICTED | SHADOW_EXCEPTION | ABORTED | HELD | RECONNECT_FAILED);
        if ends && let Some(sent) = self.sending.take() {
            self.attempts.push(sent);
            (self.state, self.never_executed) = (JobState::Running, true);
        }
    }

    /// `Started transferring input files`, and below it `Transferring to host: <...>`.
    pub(super) fn sends(&mut self, event: &Event<'_>, time: String) {
        if event.title.starts_with("Started transferring input") {
            self.sending = Some(Attempt {
                cell: self.cell.clone().unwrap_or_default(),
                launcher: Launcher::Condor,
                job: self.id.clone(),
                host: event.after("Transferring to host:").and_then(address),
                started: Some(time),
                ..Attempt::default()
            });
        }
    }

    /// The start that a job ad speaks of: the machine that files are sent to, or the latest start where the event that
    /// the ad stands below was of it.
    pub(super) fn ad_is_of(&mut self, trigger: Option<u16>) -> Option<&mut Attempt> {
        match trigger {
            Some(FILE_TRANSFER) => self.sending.as_mut(),
            Some(EXECUTE | IMAGE_SIZE) => self.attempts.last_mut(),
            Some(EVICTED | TERMINATED | ABORTED | HELD) if self.has_just_ended => self.attempts.last_mut(),
            _ => None,
        }
    }
}
