//! Where each record of a file lies: in a small file beside it, or found by hopping from header to header.

use super::frame::{OVERHEAD, RecordProblem};
use super::reader::RecordFile;
use crate::error::Result;
use crate::regular;
use std::io::Read;
use std::path::{Path, PathBuf};
use xray_artifacts::{FileError, write_bytes};

/// First bytes of an index; the last one is the version. Other tools also write `FILE.idx` (DALI's is text):
/// those are ignored.
const MAGIC: &[u8; 8] = b"XRAYIDX\x01";

/// Bytes of an index that are no entries, and of one entry.
const HEAD: u64 = 8 + 8 + 8 + 4;
const ENTRY: u64 = 16;

/// Where one record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Where its header begins, in bytes.
    pub offset: u64,
    /// Length of the payload, in bytes.
    pub length: u64,
}

impl IndexEntry {
    fn end(self) -> Option<u64> {
        self.offset.checked_add(self.length)?.checked_add(OVERHEAD)
    }
}

/// The entries of all records of a file, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RecordIndex(Vec<IndexEntry>);

impl RecordIndex {
    pub(super) fn new(entries: Vec<IndexEntry>) -> Self {
        RecordIndex(entries)
    }

    /// Reads the index beside the file. When there is none, or it belongs to a file of another length, the
    /// headers are read instead; nothing is written.
    ///
    /// # Errors
    /// A header that cannot be trusted, or a file that was cut off.
    pub fn load_or_scan(file: &RecordFile) -> Result<Self> {
        match Self::load(file) {
            Some(index) => Ok(index),
            None => Self::scan(file),
        }
    }

    /// Finds the records by their headers alone.
    ///
    /// # Errors
    /// A header that cannot be trusted, or a file that was cut off.
    pub fn scan(file: &RecordFile) -> Result<Self> {
        let mut records = file.iter();
        std::iter::from_fn(|| records.next_entry()).collect::<Result<Vec<_>>>().map(RecordIndex)
    }

    /// Where the index of a file lies: `FILE.idx`.
    pub fn path_for(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(".idx");
        PathBuf::from(name)
    }

    /// How many records there are.
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where record `number` lies.
    pub fn get(&self, number: u64) -> Option<IndexEntry> {
        self.0.get(usize::try_from(number).ok()?).copied()
    }

    /// All entries in order.
    pub fn entries(&self) -> &[IndexEntry] {
        &self.0
    }

    /// [`get`](Self::get) with an error that names the file.
    pub(crate) fn entry(&self, file: &RecordFile, number: u64) -> Result<IndexEntry> {
        let absent = RecordProblem::Absent { records: self.len() };
        self.get(number).ok_or_else(|| file.error(number, file.len(), absent))
    }

    /// Magic, size of the file on disk, number of records, their entries, CRC-32C of all before. Numbers are
    /// `u64` and little endian.
    pub(super) fn save(&self, file: &Path, disk_bytes: u64) -> std::result::Result<(), FileError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(disk_bytes.to_le_bytes());
        bytes.extend(self.len().to_le_bytes());
        for entry in &self.0 {
            bytes.extend(entry.offset.to_le_bytes());
            bytes.extend(entry.length.to_le_bytes());
        }
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        write_bytes(&Self::path_for(file), &bytes)
    }

    /// What lies where the index would; nothing where it is larger than an index of the file can be.
    fn bytes(file: &RecordFile) -> Option<Vec<u8>> {
        let (index, metadata) = regular::open(&Self::path_for(file.path())).ok()?;
        let most = HEAD + file.len() / OVERHEAD * ENTRY;
        let mut bytes = Vec::new();
        (metadata.len() <= most).then(|| index.take(most).read_to_end(&mut bytes))?.ok()?;
        Some(bytes)
    }

    fn load(file: &RecordFile) -> Option<Self> {
        let bytes = Self::bytes(file)?;
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (numbers, rest) = body.strip_prefix(MAGIC.as_slice())?.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let (disk_bytes, records) = (numbers.next()?, numbers.next()?);
        let mut entries = Vec::with_capacity(numbers.len() / 2);
        while let (Some(offset), Some(length)) = (numbers.next(), numbers.next()) {
            entries.push(IndexEntry { offset, length });
        }
        let fits = rest.is_empty() && disk_bytes == file.disk_bytes() && records == entries.len() as u64;
        (fits && tiles(&entries, file.len())).then_some(RecordIndex(entries))
    }
}

/// Whether the entries follow each other without a gap from the start of the file to its end.
fn tiles(entries: &[IndexEntry], len: u64) -> bool {
    let end = entries.iter().try_fold(0, |at, entry| if entry.offset == at { entry.end() } else { None });
    end == Some(len)
}
