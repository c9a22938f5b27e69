//! JSON files, each with its format and a hash of its content, and what can be wrong with any file.

use crate::content::{Content, FORMAT, Held, SEAL};
use crate::failure::one_line;
use crate::seal::warn_unsealed;
use crate::{Exit, Failure, ManifestProblem, NotText, write_bytes};
use serde::{Serialize, de::DeserializeOwned};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file format with a number that grows when an old reader could misunderstand the file.
pub trait Versioned {
    /// The format this build writes. Its files bear a hash of themselves.
    const FORMAT: u32;
    /// The format before files bore a hash, where it says the same; such files are read with a warning.
    const UNSEALED: Option<u32> = None;
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
                write!(f, "{} carries no format number, so it is not a {kind}", path.display())
            }
            FileError::Manifest { path, .. } => write!(f, "{}", path.display()),
            FileError::Text { path, .. } => write!(f, "{}", path.display()),
            FileError::Seal { path, kind } => {
                write!(f, "{} is not the {kind} that was written: its checksum differs", path.display())
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
            FileError::Seal { .. } => Some("the file was damaged or edited: restore it, or write it again"),
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

/// Writes `value` as indented JSON, its hash and its format number first.
///
/// # Errors
/// What the system refuses; the old file is then as it was.
pub fn write_json<T: Versioned + Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let syntax = |source| FileError::Syntax { path: path.to_owned(), kind: T::KIND, source };
    write_bytes(path, to_json(value).map_err(syntax)?.as_bytes())
}

/// Reads what [`write_json`] wrote.
///
/// # Errors
/// [`FileError::Seal`] when a single value differs from what was written.
pub fn read_json<T: Versioned + DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    from_json(path, &read(path)?)
}

/// What [`write_json`] writes.
///
/// # Errors
/// A value that JSON cannot say.
pub fn to_json<T: Versioned + Serialize>(value: &T) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Numbered<'a, T> {
        format: u32,
        #[serde(flatten)]
        value: &'a T,
    }
    let text = serde_json::to_string_pretty(&Numbered { format: T::FORMAT, value })?;
    let seal = serde_json::from_str::<Content<'_>>(&text)?.hash();
    Ok(text.replacen('{', &format!("{{\n  \"{SEAL}\": \"{seal}\","), 1) + "\n")
}

/// A pipe or a device would be waited for, or never end.
fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let bytes = fs::metadata(path).and_then(|metadata| match metadata.is_file() {
        true => fs::read(path),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    });
    bytes.map_err(|source| FileError::Io { path: path.to_owned(), action: "read", source })
}

fn from_json<T: Versioned + DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, FileError> {
    let syntax = |source| FileError::Syntax { path: path.to_owned(), kind: T::KIND, source };
    let mut content: Content<'_> = serde_json::from_slice(text).map_err(syntax)?;
    let seal = content.remove(SEAL);
    let found = content.get(FORMAT).and_then(Content::as_u64);
    let is = |format: Option<u32>| format.is_some_and(|format| found == Some(format.into()));
    if !is(Some(T::FORMAT)) && !is(T::UNSEALED) {
        return Err(FileError::Format { path: path.to_owned(), kind: T::KIND, found, known: T::FORMAT });
    }
    match seal {
        None if is(T::UNSEALED) => warn_unsealed(path),
        Some(seal) if seal.as_str() == Some(content.hash().as_str()) => {}
        _ => return Err(FileError::Seal { path: path.to_owned(), kind: T::KIND }),
    }
    drop(content);
    serde_json::from_slice(text).map(|Held(value)| value).map_err(syntax)
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
        const UNSEALED: Option<u32> = Some(2);
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
        check_refused(r#"{"text": ""}"#, "carries no format number, so it is not a note");
        check_refused(r#"{"format": 3, "tex"#, "is not a note");
        check_refused(r#"{"format": 2}"#, "is not a note");
    }

    #[test]
    fn every_change_of_a_file_is_seen() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("note.json");
        let note = Note { text: "0.75".into() };
        write_json(&path, &note).expect("a writable temporary folder");
        assert_eq!(read_json::<Note>(&path).expect("just written"), note);
        let written = fs::read(&path).expect("just written");
        let is_content = |byte: u8| !byte.is_ascii_whitespace();
        for at in (0..written.len()).filter(|&at| is_content(written[at])) {
            for bit in 0..8 {
                let mut damaged = written.clone();
                damaged[at] ^= 1 << bit;
                fs::write(&path, damaged).expect("a writable temporary folder");
                assert!(read_json::<Note>(&path).is_err(), "byte {at}, bit {bit}");
            }
        }
        for edited in [
            r#"{"format": 3, "text": "0.99"}"#.to_owned(),
            String::from_utf8(written).expect("JSON").replace("0.75", "0.99"),
        ] {
            fs::write(&path, edited).expect("a writable temporary folder");
            let error = read_json::<Note>(&path).expect_err("edited");
            assert!(matches!(error, FileError::Seal { .. }), "{error}");
        }
    }

    #[test]
    fn the_format_before_hashes_is_read_and_a_wrong_hash_is_not() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("note.json");
        fs::write(&path, r#"{"format": 2, "text": "old"}"#).expect("a writable temporary folder");
        assert_eq!(read_json::<Note>(&path).expect("as it was").text, "old");
        fs::write(&path, r#"{"format": 2, "text": "old", "blake3": "00"}"#).expect("writable");
        assert!(matches!(read_json::<Note>(&path), Err(FileError::Seal { .. })));
    }
}
