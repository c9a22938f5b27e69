//! Who listens to a run: the person at the terminal, and the files in the run directory.

mod console;
mod log_file;
mod metrics_file;
mod status_file;
pub mod tensorboard;
mod warnings;

pub use console::Console;
pub use log_file::LogFile;
pub use metrics_file::MetricsFile;
pub use status_file::StatusFile;
pub use warnings::Warnings;

use std::fs::{File, OpenOptions};
use std::path::Path;
use xray_artifacts::FileError;

/// Opens a file to add to its end.
fn append(path: &Path) -> Result<File, FileError> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map_err(|source| FileError::Io { path: path.to_owned(), action: "write", source })
}
