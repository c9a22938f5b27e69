//! One file of records of a data set, opened when it is first needed.

use crate::error::{Error, Result};
use crate::regular;
use crate::tfrecord::{IndexEntry, RecordFile, RecordIndex};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use xray_artifacts::ShardEntry;

/// How a file differs from what the data set lists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardProblem {
    /// It is not there.
    #[error("the shard is absent")]
    Absent,
    /// It has another size.
    #[error("the shard has {found} bytes, expected {expected}")]
    Bytes {
        /// In the list.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// It has another number of records.
    #[error("the shard has {found} records, expected {expected}")]
    Records {
        /// In the list.
        expected: u64,
        /// In the file.
        found: u64,
    },
    /// It holds something else.
    #[error("the shard's blake3 is {found}, expected {expected}")]
    Hash {
        /// In the list.
        expected: String,
        /// Of the file.
        found: String,
    },
}

impl ShardProblem {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            ShardProblem::Absent => "copy it here too, or train on a smaller fraction",
            _ => "copy the shard again, or build the data set again",
        }
    }
}

/// A file of records and where its records lie.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    /// How many records come before it in the data set.
    pub(super) first: u64,
    pub(super) records: u64,
    open: OnceLock<(RecordFile, RecordIndex)>,
}

impl Shard {
    pub(super) fn new(path: PathBuf, first: u64, records: u64) -> Self {
        Shard { path, first, records, open: OnceLock::new() }
    }

    /// Whether the file is there with the listed size, and with the listed content if `verify`. An absent
    /// file is fine until one of its records is wanted: a worker has only the shards that its fraction needs.
    pub(super) fn check(&self, entry: &ShardEntry, verify: bool) -> Result<()> {
        let (file, metadata) = match regular::open(&self.path) {
            Ok(open) => open,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let found = metadata.len();
        if found != entry.bytes {
            return Err(self.error(ShardProblem::Bytes { expected: entry.bytes, found }));
        }
        if !verify {
            return Ok(());
        }
        let found = hash(file).map_err(Error::io(&self.path, "read"))?;
        if found == entry.blake3 {
            Ok(())
        } else {
            Err(self.error(ShardProblem::Hash { expected: entry.blake3.clone(), found }))
        }
    }

    /// Fails when the file is not there.
    pub(super) fn require(&self) -> Result<()> {
        if self.path.exists() { Ok(()) } else { Err(self.error(ShardProblem::Absent)) }
    }

    /// The file and the place of one of its records.
    pub(super) fn record(&self, number: u32) -> Result<(&RecordFile, IndexEntry)> {
        let (file, index) = self.open()?;
        Ok((file, index.entry(file, number.into())?))
    }

    fn open(&self) -> Result<&(RecordFile, RecordIndex)> {
        if let Some(open) = self.open.get() {
            return Ok(open);
        }
        self.require()?;
        let file = RecordFile::open(&self.path)?;
        let index = RecordIndex::load_or_scan(&file)?;
        if index.len() != self.records {
            return Err(self.error(ShardProblem::Records { expected: self.records, found: index.len() }));
        }
        // Another thread may have opened it meanwhile: both are the same, one is dropped.
        Ok(self.open.get_or_init(|| (file, index)))
    }

    fn error(&self, problem: ShardProblem) -> Error {
        Error::Shard { path: self.path.clone(), problem }
    }
}

fn hash(file: File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_hex().to_string())
}
