//! Opening files that end: a pipe would be waited for, and a device never ends.

use crate::error::{Error, Result};
use std::fs::{File, FileType, Metadata};
use std::path::Path;

/// Opens a file for reading, following links; what is not a regular file is refused before it is opened.
///
/// # Errors
/// [`Error::NotAFile`], or [`Error::Io`] for what the system refuses, such as a link to itself.
pub(crate) fn open(path: &Path) -> Result<(File, Metadata)> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path, "open"))?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned(), kind: kind(metadata.file_type()) });
    }
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    Ok((file, metadata))
}

fn kind(file_type: FileType) -> &'static str {
    if file_type.is_dir() { "a folder" } else { "a pipe, socket or device" }
}
