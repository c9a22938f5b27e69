//! The course of a run for TensorBoard: an event file (TFRecords of `tensorflow.Event`) that says what `metrics.jsonl` says,
//! with times, and how fast it went.
//!
//! A run that goes on makes the file agree with `metrics.jsonl`, which is cut back to the checkpoint first. So whoever reads
//! it from the start sees no step twice. Whoever reads while it is written may have read on beyond the cut, and reads on
//! from there: the file is cut in place, and what comes again has the same length as before.

mod event;
mod scalars;

use super::append;
use super::metrics_file::Line;
use crate::checkpoint::Progress;
use crate::config::RunConfig;
use crate::events::{Event, Observer, StepReport};
use crate::run_dir::{RunDir, deciding_settings};
use event::Status;
use scalars::{Scalars, speed};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use xray_artifacts::{Failure, FileError, State, time_of_day};
use xray_data::{RecordFile, tfrecord::framed};

/// Adds records to the file.
pub struct EventFile {
    path: PathBuf,
    file: File,
    every: u64,
    /// Images since the last line, and the seconds of training up to it.
    since: (u64, f64),
    /// Lines of earlier starts that had no record.
    missing: usize,
}

impl EventFile {
    /// Opens the file and makes it agree with `metrics.jsonl`, which goes no further than `progress`.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn open(dir: &RunDir, config: &RunConfig, progress: &Progress) -> Result<Self, Failure> {
        let path = dir.events();
        let lines = scalars::of_file(&dir.metrics())?;
        let Kept { bytes, lines: kept } = Kept::of(&path, &lines)?;
        cut(&path, bytes)?;
        let (every, since) = (config.training.log_every, (0, progress.seconds.training()));
        let missing = &lines[kept..];
        let mut events = EventFile { file: append(&path)?, path, every, since, missing: missing.len() };
        if bytes == 0 {
            let settings = deciding_settings(config);
            events.write(&[event::version(now()), event::session_start(now(), &settings)])?;
        }
        for line in missing {
            events.write(&[line.event(now())])?;
        }
        Ok(events)
    }

    /// What there is to say of records that earlier starts did not write, or that are damaged.
    pub fn note(&self) -> Option<String> {
        let (missing, path) = (self.missing, self.path.display());
        (missing > 0).then(|| {
            format!("{path}: {missing} lines of metrics.jsonl had no whole record; written again, with the current time")
        })
    }

    fn write(&mut self, events: &[Vec<u8>]) -> Result<(), FileError> {
        // One write, so that who reads meanwhile sees whole records.
        let records: Vec<u8> = events.iter().flat_map(|event| framed(event)).collect();
        let written = self.file.write_all(&records);
        written.map_err(|source| FileError::Io { path: self.path.clone(), action: "write", source })
    }

    /// Images per second of training since the last line.
    fn speed(&mut self, report: &StepReport) -> f32 {
        let (images, before) = self.since;
        let seconds = report.seconds.training();
        self.since = (0, seconds);
        (images as f64 / (seconds - before)) as f32
    }
}

impl Observer for EventFile {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), FileError> {
        if let Event::Step(report) = event {
            self.since.0 += report.images as u64;
        }
        let Some(line) = Line::of(event, self.every) else { return Ok(()) };
        let line = serde_json::to_value(line).expect("numbers and strings");
        let mut events = vec![Scalars::of(&line).expect("a line has a step").event(now())];
        if let Event::Step(report) = event {
            events.push(speed(report.step, self.speed(report)).event(now()));
        }
        self.write(&events)
    }
}

/// Adds how the run ended, where it is known for good: a run that failed may go on.
///
/// # Errors
/// A file that cannot be written.
pub fn conclude(dir: &RunDir, state: State) -> Result<(), FileError> {
    let (path, status) = match state {
        State::Finished => (dir.events(), Status::Success),
        State::Diverged => (dir.events(), Status::Failure),
        _ => return Ok(()),
    };
    let written = append(&path)?.write_all(&framed(&event::session_end(now(), status)));
    written.map_err(|source| FileError::Io { path, action: "write", source })
}

fn now() -> f64 {
    time_of_day().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// How much of a file agrees with the lines.
#[derive(Debug, Default, PartialEq)]
struct Kept {
    bytes: u64,
    lines: usize,
}

impl Kept {
    fn of(path: &Path, lines: &[Scalars]) -> Result<Kept, Failure> {
        let exists = path.try_exists();
        if !exists.map_err(|source| FileError::Io { path: path.to_owned(), action: "look for", source })? {
            return Ok(Kept::default());
        }
        let (file, mut kept) = (RecordFile::open(path)?, Kept::default());
        for record in file.iter().map_while(Result::ok) {
            let is = |event: &[u8]| event::timeless(record.payload) == event::timeless(event);
            match record.number {
                0 if is(&event::version(0.0)) => continue,
                0 => break,
                // Settings: with them the head of the file is whole.
                1 => {}
                _ if lines.get(kept.lines).is_some_and(|line| is(&line.event(0.0))) => kept.lines += 1,
                _ if lines[..kept.lines].last().is_some_and(|line| line.is_followed_by(record.payload)) => {}
                _ => break,
            }
            kept.bytes = record.end();
        }
        Ok(kept)
    }
}

/// Cuts a file to its first bytes, under whoever reads it. One that is not there stays away.
fn cut(path: &Path, bytes: u64) -> Result<(), FileError> {
    let cut = match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        file => file.and_then(|file| file.set_len(bytes)),
    };
    cut.map_err(|source| FileError::Io { path: path.to_owned(), action: "cut", source })
}

#[cfg(test)]
mod tests;
