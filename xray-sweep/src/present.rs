//! Files that may be absent. One that cannot be read is an error, because nobody knows what it would have said; one that
//! is damaged is left out, and named.

use std::path::Path;
use std::{fs, io};
use xray_artifacts::{FileError, Versioned, one_line, read_json};

/// What a JSON file is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content<T> {
    Absent,
    Whole(T),
    /// Why: cut off, edited, or no such file at all.
    Damaged(String),
}

impl<T> Content<T> {
    /// The content; what is damaged is named among the `notes`.
    pub(crate) fn or_note(self, notes: &mut Vec<String>) -> Option<T> {
        match self {
            Content::Absent => None,
            Content::Whole(content) => Some(content),
            Content::Damaged(why) => {
                notes.push(why);
                None
            }
        }
    }
}

/// Whether a file is there.
///
/// # Errors
/// If that cannot be told, or it is none that ends: a pipe or a device would be waited for.
pub(crate) fn is_there(path: &Path) -> Result<bool, FileError> {
    let found = match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    found.map_err(|source| unreadable(path, source))
}

/// All of a file; none if it is not there.
pub(crate) fn bytes(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    if !is_there(path)? {
        return Ok(None);
    }
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // Removed just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(unreadable(path, source)),
    }
}

/// What [`xray_artifacts::write_json`] wrote.
pub(crate) fn json<T: Versioned + serde::de::DeserializeOwned>(path: &Path) -> Result<Content<T>, FileError> {
    match read_json(path) {
        Ok(content) => Ok(Content::Whole(content)),
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Content::Absent),
        Err(error @ FileError::Io { .. }) => Err(error),
        Err(error) => Ok(Content::Damaged(one_line(&error))),
    }
}

/// The entries of a folder; none if it is not there.
pub(crate) fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, FileError> {
    match fs::read_dir(folder).and_then(|entries| entries.collect()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.map_err(|source| unreadable(folder, source)),
    }
}

pub(crate) fn unreadable(path: &Path, source: io::Error) -> FileError {
    FileError::Io { path: path.to_owned(), action: "read", source }
}
