//! Reading and writing whole files: written under a temporary name and renamed, so that a reader or a
//! machine that loses power sees the old file or the new one, never half of one.

use crate::failure::one_line;
use crate::{Exit, Failure, ManifestProblem, NotText};
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
    /// A data set's manifest that contradicts itself.
    Manifest {
        /// The file.
        path: PathBuf,
        /// What cannot be true.
        problem: ManifestProblem,
    },
    /// Not the text that it should be.
    Text {
        /// The file.
        path: PathBuf,
        /// Where it stops being text.
        problem: NotText,
    },
    /// The content is not what the program wrote: its hash differs, or it has none.
    Seal {
        /// The file.
        path: PathBuf,
        /// What it should be.
        kind: &'static str,
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
            FileError::Manifest { path, .. } => write!(f, "{}", path.display()),
            FileError::Text { path, .. } => write!(f, "{}", path.display()),
            FileError::Seal { path, kind } => {
                write!(f, "{} is not the {kind} that was written: its hash differs", path.display())
            }
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FileError::Io { source, .. } => Some(source),
            FileError::Syntax { source, .. } => Some(source),
            FileError::Manifest { problem, .. } => Some(problem),
            FileError::Text { problem, .. } => Some(problem),
            FileError::Format { .. } | FileError::Seal { .. } => None,
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
            FileError::Manifest { .. } => {
                Some("the manifest was edited or damaged: build the data set again")
            }
            FileError::Text { .. } => Some("save the file as UTF-8 text"),
            FileError::Seal { .. } => {
                Some("the file was edited or cut off: run it again, or restore the file")
            }
            FileError::Format { .. } => Some("use the version of this program that wrote the file"),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            FileError::Io { .. } => Exit::Unexpected,
            FileError::Syntax { .. }
            | FileError::Format { .. }
            | FileError::Manifest { .. }
            | FileError::Seal { .. } => Exit::BadData,
            // What a person writes for a program belongs to the command line.
            FileError::Text { .. } => Exit::Usage,
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
    write_bytes(path, to_json(path, value)?.as_bytes())
}

/// Reads what [`write_json`] wrote.
pub fn read_json<T: Versioned + DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    from_json(path, &read(path)?, Sealed::No)
}

/// As [`write_json`], with a hash of the content in it, so that an edited or damaged file is known as one.
pub fn write_sealed<T: Versioned + Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let text = to_json(path, value)?;
    let content = serde_json::from_str(&text).expect("just serialised");
    let sealed = text.replacen('{', &format!("{{\n  \"{SEAL}\": \"{}\",", hash(&content)), 1);
    write_bytes(path, sealed.as_bytes())
}

/// Reads what [`write_sealed`] wrote.
///
/// # Errors
/// [`FileError::Seal`] when a single value differs from what was written.
pub fn read_sealed<T: Versioned + DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    from_json(path, &read(path)?, Sealed::Yes)
}

/// The key that holds the hash.
const SEAL: &str = "blake3";

/// Whether a file must carry a hash of itself.
#[derive(Clone, Copy, PartialEq)]
enum Sealed {
    Yes,
    No,
}

fn to_json<T: Versioned + Serialize>(path: &Path, value: &T) -> Result<String, FileError> {
    #[derive(Serialize)]
    struct Numbered<'a, T> {
        format: u32,
        #[serde(flatten)]
        value: &'a T,
    }
    let text = serde_json::to_string_pretty(&Numbered { format: T::FORMAT, value });
    let syntax = |source| FileError::Syntax { path: path.to_owned(), kind: T::KIND, source };
    text.map(|text| text + "\n").map_err(syntax)
}

/// A pipe or a device would be waited for, or never end.
fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let bytes = fs::metadata(path).and_then(|metadata| match metadata.is_file() {
        true => fs::read(path),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    });
    bytes.map_err(|source| FileError::Io { path: path.to_owned(), action: "read", source })
}

fn from_json<T: Versioned + DeserializeOwned>(
    path: &Path,
    text: &[u8],
    sealed: Sealed,
) -> Result<T, FileError> {
    let syntax = |source| FileError::Syntax { path: path.to_owned(), kind: T::KIND, source };
    let mut value: serde_json::Value = serde_json::from_slice(text).map_err(syntax)?;
    let seal = value.as_object_mut().and_then(|object| object.remove(SEAL));
    if sealed == Sealed::Yes && seal != Some(hash(&value).into()) {
        return Err(FileError::Seal { path: path.to_owned(), kind: T::KIND });
    }
    let found = value.as_object_mut().and_then(|o| o.remove("format")).and_then(|v| v.as_u64());
    if found != Some(u64::from(T::FORMAT)) {
        return Err(FileError::Format { path: path.to_owned(), kind: T::KIND, found, known: T::FORMAT });
    }
    serde_json::from_value(value).map_err(syntax)
}

/// Of the values, whatever the white space and the order of keys.
fn hash(content: &serde_json::Value) -> String {
    blake3::hash(content.to_string().as_bytes()).to_hex().to_string()
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
    fn a_sealed_file_shows_every_change() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("note.json");
        let note = Note { text: "0.75".into() };
        write_sealed(&path, &note).expect("a writable temporary folder");
        assert_eq!(read_sealed::<Note>(&path).expect("just written"), note);
        assert_eq!(read_json::<Note>(&path).expect("a reader that does not look at the seal"), note);
        let text = fs::read_to_string(&path).expect("just written");
        for edited in [text.replace("0.75", "0.99"), text.replace("blake3", "blake")] {
            fs::write(&path, edited).expect("a writable temporary folder");
            let error = read_sealed::<Note>(&path).expect_err("edited");
            assert!(matches!(error, FileError::Seal { .. }), "{error}");
        }
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
