//! One file of records of a data set, opened when it is first needed.

use crate::error::{Error, Result};
use crate::regular;
use crate::tfrecord::{IndexEntry, RecordFile, RecordIndex, Sums, Written};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
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
        /// Size on disk.
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
    /// Its records are whole, and not those that were built.
    #[error("the shard holds other records than those that were built")]
    Other,
    /// It holds something else.
    #[error("the shard's blake3 is {found}, expected {expected}")]
    Hash {
        /// In the list.
        expected: String,
        /// Hash of the file.
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
    /// Hash of a shard of ours, in hexadecimal.
    blake3: Option<String>,
    /// Whether all of the file was found to have that hash.
    is_compared: bool,
    open: OnceLock<(RecordFile, RecordIndex)>,
    /// Held by the thread that opens the file.
    opening: Mutex<()>,
}

impl Shard {
    /// A file of which nothing is known, `first` records behind the data set's first.
    pub(super) fn new(path: PathBuf, first: u64, records: u64) -> Self {
        let (open, opening) = (OnceLock::new(), Mutex::default());
        Shard { path, first, records, blake3: None, is_compared: false, open, opening }
    }

    /// One of our own.
    pub(super) fn listed(folder: &Path, first: u64, entry: &ShardEntry) -> Self {
        let shard = Shard::new(folder.join(&entry.file), first, entry.records);
        Shard { blake3: Some(entry.blake3.clone()), ..shard }
    }

    /// Whether the file is there with the listed size, and with the listed content if `verify`. An absent
    /// file is fine until one of its records is wanted: a worker has only the shards that its fraction needs.
    pub(super) fn check(&mut self, entry: &ShardEntry, verify: bool) -> Result<()> {
        let (file, metadata) = match regular::open(&self.path) {
            Ok(open) => open,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let found = metadata.len();
        if found != entry.bytes {
            return Err(self.error(ShardProblem::Bytes { expected: entry.bytes, found }));
        }
        if verify {
            self.compare(file, &entry.blake3)?;
            self.is_compared = true;
        }
        Ok(())
    }

    /// Reads all of the file.
    fn compare(&self, file: File, expected: &str) -> Result<()> {
        let found = hash(file).map_err(Error::io(&self.path, "read"))?;
        match found == expected {
            true => Ok(()),
            false => Err(self.error(ShardProblem::Hash { expected: expected.to_owned(), found })),
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
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = self.open.get() {
            return Ok(open);
        }
        self.require()?;
        let file = RecordFile::open(&self.path)?;
        let index = match &self.blake3 {
            Some(blake3) => self.index(&file, blake3)?,
            None => RecordIndex::load_or_scan(&file)?,
        };
        if index.len() != self.records {
            return Err(self.error(ShardProblem::Records { expected: self.records, found: index.len() }));
        }
        Ok(self.open.get_or_init(|| (file, index)))
    }

    /// The index of a shard of ours. Each record is compared with it when it is read; where it is absent, or not that
    /// of the shard that the data set lists, all of the file is compared with the list, once.
    fn index(&self, file: &RecordFile, blake3: &str) -> Result<RecordIndex> {
        let is_listed =
            |written: &Written| blake3::Hash::from_bytes(written.blake3).to_hex().as_str() == blake3;
        match RecordIndex::load(file).filter(|index| index.written().is_some_and(is_listed)) {
            Some(index) => Ok(index),
            None if self.is_compared => RecordIndex::scan(file),
            None => {
                self.compare(regular::open(&self.path)?.0, blake3)?;
                RecordIndex::scan(file)
            }
        }
    }

    /// What a record of ours must be, where the index says it.
    pub(super) fn sums(&self, number: u32) -> Option<Sums> {
        self.blake3.as_ref()?;
        let (_, index) = self.open.get()?;
        index.written()?.sums.get(number as usize).copied()
    }

    /// The payload of a record, both checksums compared, and that with the index.
    pub(super) fn read(&self, number: u32) -> Result<&[u8]> {
        let (file, entry) = self.record(number)?;
        let (payload, crc) = file.read_with_crc(number.into(), entry)?;
        match self.sums(number) {
            Some(sums) if sums.payload != crc => Err(self.error(ShardProblem::Other)),
            _ => Ok(payload),
        }
    }

    fn error(&self, problem: ShardProblem) -> Error {
        Error::Shard { path: self.path.clone(), problem }
    }
}

/// Compares a listed shard with its size and hash.
///
/// # Errors
/// [`Error::Shard`], and an absent file.
pub(crate) fn compare_content(folder: &Path, entry: &ShardEntry) -> Result<()> {
    let mut shard = Shard::listed(folder, 0, entry);
    shard.require()?;
    shard.check(entry, true)
}

fn hash(file: File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_hex().to_string())
}
