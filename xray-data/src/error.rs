//! Everything that can go wrong between a file on disk and a batch, with the place where it did.

use crate::example::ExampleProblem;
use crate::schema::FeatureProblem;
use crate::tfrecord::RecordProblem;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, FileError, one_line};

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Where a record lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file of records.
    pub path: PathBuf,
    /// Its number in the file, from 0.
    pub record: u64,
    /// Where its header begins, in bytes; in the inflated content of a compressed file.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: record {} at byte {}", self.path.display(), self.record, self.offset)
    }
}

/// Why data could not be read, written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `open`, `read`, `write`.
        action: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// A JSON file of the project could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A compressed file of records that ends early or holds something else.
    #[error("{} does not inflate", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decoder met.
        source: io::Error,
    },
    /// The framing of a record is damaged.
    #[error("{place}")]
    Record {
        /// Which record.
        place: Place,
        /// What is wrong with it.
        #[source]
        problem: RecordProblem,
    },
    /// A record is no `tf.train.Example`.
    #[error("{place}")]
    Example {
        /// Which record.
        place: Place,
        /// What is wrong with it.
        #[source]
        problem: ExampleProblem,
    },
    /// A record lacks a feature, or holds one that cannot be used.
    #[error("{place}")]
    Feature {
        /// Which record.
        place: Place,
        /// Which feature, and why.
        #[source]
        problem: FeatureProblem,
    },
}

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub(crate) fn io<'a>(path: &'a Path, action: &'static str) -> impl FnOnce(io::Error) -> Error + 'a {
        move |source| Error::Io { path: path.to_owned(), action, source }
    }

    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Io { source, .. } => io_hint(source)?,
            Error::File(error) => error.hint()?,
            Error::Gzip { .. } => "the file was cut off or damaged on the way: copy it again",
            Error::Record { problem, .. } => problem.hint(),
            Error::Example { .. } => "the file holds records of another kind than tf.train.Example",
            Error::Feature { problem, .. } => return problem.hint(),
        };
        Some(hint.to_owned())
    }

    /// The code a program ends with because of this.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Io { .. } | Error::File(FileError::Io { .. }) => Exit::Unexpected,
            Error::File(_)
            | Error::Gzip { .. }
            | Error::Record { .. }
            | Error::Example { .. }
            | Error::Feature { .. } => Exit::BadData,
        }
    }
}

fn io_hint(source: &io::Error) -> Option<&'static str> {
    match source.kind() {
        io::ErrorKind::NotFound => Some("check the path"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free some space"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("choose a folder that this user can read and write")
        }
        _ => None,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Failure::new(error.exit(), one_line(&error));
        failure.hint = error.hint();
        failure
    }
}
