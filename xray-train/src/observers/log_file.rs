//! `train.log`: what was said, with times.

use super::append;
use crate::environment::now;
use crate::events::{Event, Observer};
use crate::observers::console::sentence;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use xray_artifacts::FileError;

/// Adds lines to the log.
pub struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens the log, keeping what earlier starts wrote.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Ok(LogFile { path: path.to_owned(), file: append(path)? })
    }
}

impl Observer for LogFile {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), FileError> {
        let Some(text) = sentence(event) else { return Ok(()) };
        let written = writeln!(self.file, "{} {text}", now());
        written.map_err(|source| FileError::Io { path: self.path.clone(), action: "write", source })
    }
}
