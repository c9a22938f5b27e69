//! `status.json`: a heartbeat, renewed every few seconds.

use crate::environment::now;
use crate::events::{Event, Observer};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xray_artifacts::{FileError, State, Status, write_json};

/// At most one write in this time: small against any scheduler's patience, large against a disk's.
const PERIOD: Duration = Duration::from_secs(5);

/// Renews the heartbeat.
pub struct StatusFile {
    path: PathBuf,
    status: Status,
    written: Instant,
}

impl StatusFile {
    /// Writes a first sign of life.
    pub fn start(path: &Path) -> Result<Self, FileError> {
        let status = Status {
            state: State::Started,
            heartbeat: now(),
            step: 0,
            total_steps: 0,
            loss: None,
            pid: std::process::id(),
        };
        let mut file = StatusFile { path: path.to_owned(), status, written: Instant::now() };
        file.write()?;
        Ok(file)
    }

    /// Writes how it ended.
    pub fn end(path: &Path, state: State) -> Result<(), FileError> {
        let mut status: Status = xray_artifacts::read_json(path)?;
        (status.state, status.heartbeat) = (state, now());
        write_json(path, &status)
    }

    fn enter(&mut self, state: State) -> Result<(), FileError> {
        self.status.state = state;
        self.write()
    }

    fn write(&mut self) -> Result<(), FileError> {
        self.status.heartbeat = now();
        self.written = Instant::now();
        write_json(&self.path, &self.status)
    }

    fn beat(&mut self) -> Result<(), FileError> {
        if self.written.elapsed() < PERIOD { Ok(()) } else { self.write() }
    }
}

impl Observer for StatusFile {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), FileError> {
        match event {
            Event::Begin { step, total_steps } => {
                (self.status.step, self.status.total_steps) = (*step, *total_steps);
                self.enter(State::Training)
            }
            Event::Step(report) => {
                (self.status.step, self.status.loss) = (report.step, Some(report.loss));
                self.beat()
            }
            Event::EvaluationBegins { .. } => self.enter(State::Evaluating),
            Event::Evaluated { .. } => self.enter(State::Training),
            Event::EvaluationAdvances => self.beat(),
            Event::End { .. } => self.write(),
            Event::Note(_) | Event::Warning(_) | Event::Saved { .. } => Ok(()),
        }
    }
}
