//! Where each record of a file lies: in a small file beside it, or found by hopping from header to header. The small
//! file also says what the records must be, so that another file under the same name is not believed.

use super::frame::{OVERHEAD, RecordProblem};
use super::reader::RecordFile;
use crate::error::Result;
use crate::regular;
use std::io::Read;
use std::path::{Path, PathBuf};
use xray_artifacts::{FileError, write_bytes};

/// First bytes of an index; the last one is the version. Other tools also write `FILE.idx` (DALI's is text):
/// those are ignored, and so is version 1, which did not say what the records are.
const MAGIC: &[u8; 8] = b"XRAYIDX\x02";

/// Bytes of an index that are not entries, and of one entry.
const HEAD: u64 = 8 + 8 + 8 + 32 + 4;
const ENTRY: u64 = 8 + 8 + 4 + 4;

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
pub struct RecordIndex {
    entries: Vec<IndexEntry>,
    written: Option<Written>,
}

/// What the writer of a file knew of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Hash of the file.
    pub(crate) blake3: [u8; 32],
    /// Checksums of each record.
    pub(crate) sums: Vec<Sums>,
}

/// Checksums of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    /// The one behind the payload in the file.
    pub(crate) payload: u32,
    /// Checksum of the record without its image; see [`Example::crc_without_image`](crate::Example).
    pub(crate) without_image: u32,
}

impl RecordIndex {
    pub(super) fn new(entries: Vec<IndexEntry>, written: Written) -> Self {
        RecordIndex { entries, written: Some(written) }
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
        std::iter::from_fn(|| records.next_entry())
            .collect::<Result<Vec<_>>>()
            .map(|entries| RecordIndex { entries, written: None })
    }

    /// Where the index of a file lies: `FILE.idx`.
    pub fn path_for(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(".idx");
        PathBuf::from(name)
    }

    /// Whether an index of this format, of whatever version and content, is beside a file.
    pub(crate) fn is_beside(file: &Path) -> bool {
        let mut start = [0; MAGIC.len() - 1];
        let read = regular::open(&Self::path_for(file)).map(|(mut index, _)| index.read_exact(&mut start));
        matches!(read, Ok(Ok(()))) && MAGIC.starts_with(&start)
    }

    /// How many records there are.
    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where record `number` lies.
    pub fn get(&self, number: u64) -> Option<IndexEntry> {
        self.entries.get(usize::try_from(number).ok()?).copied()
    }

    /// All entries in order.
    pub fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// What the writer knew of the content; nothing where the headers were read.
    pub(crate) fn written(&self) -> Option<&Written> {
        self.written.as_ref()
    }

    /// [`get`](Self::get) with an error that names the file.
    pub(crate) fn entry(&self, file: &RecordFile, number: u64) -> Result<IndexEntry> {
        let absent = RecordProblem::Absent { records: self.len() };
        self.get(number).ok_or_else(|| file.error(number, file.len(), absent))
    }

    /// Magic, size of the file on disk, number of records, hash of the file, for each record its offset, its length and
    /// its two checksums, CRC-32C of all before. Numbers are little endian: `u64`, checksums `u32`.
    pub(super) fn save(&self, file: &Path, disk_bytes: u64) -> std::result::Result<(), FileError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(disk_bytes.to_le_bytes());
        bytes.extend(self.len().to_le_bytes());
        let written = self.written.as_ref().expect("only a writer saves an index");
        bytes.extend(written.blake3);
        for (entry, sums) in self.entries.iter().zip(&written.sums) {
            bytes.extend(entry.offset.to_le_bytes());
            bytes.extend(entry.length.to_le_bytes());
            bytes.extend(sums.payload.to_le_bytes());
            bytes.extend(sums.without_image.to_le_bytes());
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

    /// The index beside a file, where there is one that fits its length.
    pub(crate) fn load(file: &RecordFile) -> Option<Self> {
        let bytes = Self::bytes(file)?;
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (disk_bytes, rest) = body.strip_prefix(MAGIC.as_slice())?.split_first_chunk::<8>()?;
        let (records, rest) = rest.split_first_chunk::<8>()?;
        let (&blake3, rest) = rest.split_first_chunk::<32>()?;
        let (each, rest) = rest.as_chunks::<{ ENTRY as usize }>();
        let (entries, sums): (Vec<_>, Vec<_>) = each.iter().map(entry).unzip();
        let fits = rest.is_empty()
            && u64::from_le_bytes(*disk_bytes) == file.disk_bytes()
            && u64::from_le_bytes(*records) == entries.len() as u64
            && tiles(&entries, file.len());
        fits.then_some(RecordIndex { entries, written: Some(Written { blake3, sums }) })
    }
}

fn entry(bytes: &[u8; ENTRY as usize]) -> (IndexEntry, Sums) {
    let [a, b, c] = *bytes.as_chunks::<8>().0 else { unreachable!("three times eight bytes") };
    let (offset, length) = (u64::from_le_bytes(a), u64::from_le_bytes(b));
    let [p, q, r, s, w, x, y, z] = c;
    let sums =
        Sums { payload: u32::from_le_bytes([p, q, r, s]), without_image: u32::from_le_bytes([w, x, y, z]) };
    (IndexEntry { offset, length }, sums)
}

/// Whether the entries follow each other without a gap from the start of the file to its end.
fn tiles(entries: &[IndexEntry], len: u64) -> bool {
    let end = entries.iter().try_fold(0, |at, entry| if entry.offset == at { entry.end() } else { None });
    end == Some(len)
}
