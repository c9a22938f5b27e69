//! Reading and writing whole files: written under a temporary name and renamed, so that a reader or a
//! machine that loses power sees the old file or the new one, never half of one.

use crate::failure::one_line;
use crate::{Exit, Failure};
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file format with a number that grows when an old reader could misunderstand the file.
pub trait Versioned {
    /// The format this build reads and writes.
    const FORMAT: u32;
    /// What the file is called in messages, such as `dataset manifest`.
    const KIND: &'static str;
}

/// A file that could not be read or written.
#[derive(Debug)]
pub enum FileError {
    /// The operating system refused.
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// Not JSON, or JSON of another shape.
    Syntax {
        /// The file.
        path: PathBuf,
        /// What it should be.
        kind: &'static str,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
    /// A `format` this build does not know, or none.
    Format {
        /// The file.
        path: PathBuf,
        /// What it should be.
        kind: &'static str,
        /// What the file says.
        found: Option<u64>,
        /// What this build knows.
        known: u32,
    },
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileError::Io { path, action, .. } => write!(f, "cannot {action} {}", path.display()),
            FileError::Syntax { path, kind, .. } => write!(f, "{} is not a {kind}", path.display()),
            FileError::Format { path, kind, found: Some(found), known } => {
                write!(f, "{} has {kind} format {found}, this build knows {known}", path.display())
            }
            FileError::Format { path, kind, found: None, .. } => {
                write!(f, "{} carries no format number, so it is no {kind}", path.display())
            }
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FileError::Io { source, .. } => Some(source),
            FileError::Syntax { source, .. } => Some(source),
            FileError::Format { .. } => None,
        }
    }
}

impl FileError {
    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            FileError::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space; what was saved before is intact")
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("choose a folder that this user can write to")
                }
                io::ErrorKind::NotFound => Some("check the path"),
                _ => None,
            },
            FileError::Syntax { .. } => Some("the file was edited or cut off: write it again"),
            FileError::Format { .. } => Some("use the version of this program that wrote the file"),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            FileError::Io { .. } => Exit::Unexpected,
            FileError::Syntax { .. } | FileError::Format { .. } => Exit::BadData,
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let mut failure = Failure::new(error.exit(), one_line(&error));
        failure.hint = error.hint().map(str::to_owned);
        failure
    }
}

/// Writes `bytes` under a temporary name beside `path`, flushes them to the disk and renames.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let error = |source| FileError::Io { path: path.to_owned(), action: "write", source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&temporary, path)).map_err(|source| {
        // The temporary file is worth nothing now, and on a full disk its room is.
        let _ = fs::remove_file(&temporary);
        error(source)
    })
}

/// Writes `value` as indented JSON with its format number first.
pub fn write_json<T: Versioned + Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    #[derive(Serialize)]
    struct Numbered<'a, T> {
        format: u32,
        #[serde(flatten)]
        value: &'a T,
    }
    let mut text = serde_json::to_vec_pretty(&Numbered { format: T::FORMAT, value })
        .map_err(|source| FileError::Syntax { path: path.to_owned(), kind: T::KIND, source })?;
    text.push(b'\n');
    write_bytes(path, &text)
}

/// Reads what [`write_json`] wrote.
pub fn read_json<T: Versioned + DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let syntax = |source| FileError::Syntax { path: path.to_owned(), kind: T::KIND, source };
    let text =
        fs::read(path).map_err(|source| FileError::Io { path: path.to_owned(), action: "read", source })?;
    let mut value: serde_json::Value = serde_json::from_slice(&text).map_err(syntax)?;
    let found = value.as_object_mut().and_then(|o| o.remove("format")).and_then(|v| v.as_u64());
    if found != Some(u64::from(T::FORMAT)) {
        return Err(FileError::Format { path: path.to_owned(), kind: T::KIND, found, known: T::FORMAT });
    }
    serde_json::from_value(value).map_err(syntax)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Note {
        text: String,
    }

    impl Versioned for Note {
        const FORMAT: u32 = 3;
        const KIND: &'static str = "note";
    }

    fn check_refused(content: &str, expected: &str) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("note.json");
        fs::write(&path, content).expect("a writable temporary folder");
        let message = read_json::<Note>(&path).expect_err("should be refused").to_string();
        assert!(message.ends_with(expected), "{message}");
    }

    #[test]
    fn a_reader_refuses_what_it_does_not_know() {
        check_refused(r#"{"format": 4, "text": ""}"#, "has note format 4, this build knows 3");
        check_refused(r#"{"text": ""}"#, "carries no format number, so it is no note");
        check_refused(r#"{"format": 3, "tex"#, "is not a note");
        check_refused(r#"{"format": 3}"#, "is not a note");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_temporary_one() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("note.json");
        write_json(&path, &Note { text: "old".into() }).expect("a writable temporary folder");
        // A folder in the way of the rename: the write itself succeeds, the last step fails.
        let blocked = dir.path().join("blocked");
        fs::create_dir_all(blocked.join("full")).expect("a writable temporary folder");
        write_json(&blocked, &Note { text: "new".into() })
            .expect_err("a folder cannot be replaced by a file");
        assert_eq!(read_json::<Note>(&path).expect("still there").text, "old");
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 2);
    }
}
