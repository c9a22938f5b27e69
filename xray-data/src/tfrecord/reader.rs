//! Reading records, in order or by number, without copying them.

use super::frame::{self, OVERHEAD, RecordProblem};
use super::index::IndexEntry;
use super::inflate::{compression, inflate};
use super::mapping::Mapping;
use crate::error::{Error, Place, Result};
use crate::recognise::recognise;
use crate::regular;
use std::path::{Path, PathBuf};

/// Read ahead and handed back in pieces of this size.
const WINDOW: u64 = 1 << 20;

/// A file of records. A compressed one is inflated into a temporary file without a name first, so that both
/// kinds are read in place and in bounded memory.
#[derive(Debug)]
pub struct RecordFile {
    path: PathBuf,
    /// Size on disk: what an index beside the file must agree with.
    disk_bytes: u64,
    bytes: Mapping,
    /// Whether the map is of the file itself, which others may cut, and not of what it inflates to.
    in_place: bool,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number in the file, from 0.
    pub number: u64,
    /// Where its header begins, in bytes.
    pub offset: u64,
    /// What it holds; both checksums were compared.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Where the next record begins, in bytes.
    pub fn end(&self) -> u64 {
        self.offset + OVERHEAD + self.payload.len() as u64
    }
}

impl RecordFile {
    /// Opens and maps a file. Compression is told by content, not by name: a file is inflated when it is no
    /// TFRecord and begins as gzip or zlib does.
    ///
    /// # Errors
    /// What is not a regular file, does not inflate, or inflates to far more than records do.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, metadata) = regular::open(path)?;
        let bytes = Mapping::new(&file).map_err(Error::io(path, "map"))?;
        let disk_bytes = metadata.len();
        let (bytes, in_place) = match compression(&bytes) {
            Some(compression) => (inflate(path, file, disk_bytes, compression)?, false),
            None => (bytes, true),
        };
        Ok(RecordFile { path: path.to_owned(), disk_bytes, bytes, in_place })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All records in order. After a payload whose checksum differs the next record follows; after a header
    /// that cannot be trusted, or the end of a cut file, there is nothing more.
    pub fn iter(&self) -> Records<'_> {
        Records { file: self, number: 0, offset: 0, released: 0, expected: 0, uncut: 0 }
    }

    /// The payload of one record, both checksums compared. `number` is for messages only.
    pub fn read(&self, number: u64, entry: IndexEntry) -> Result<&[u8]> {
        self.read_with_crc(number, entry).map(|(payload, _)| payload)
    }

    /// [`read`](Self::read) with the payload's checksum.
    pub(crate) fn read_with_crc(&self, number: u64, entry: IndexEntry) -> Result<(&[u8], u32)> {
        let length = self.length(number, entry)?;
        let rest = self.from(entry.offset);
        let payload = frame::payload(rest, length).map_err(|p| self.error(number, entry.offset, p))?;
        Ok((payload, frame::unchecked_payload(rest, length).1))
    }

    /// The payload of one record and its stored checksum, which is not compared: only the pages that the
    /// caller looks at are read from disk. For labels and names, never for what a network learns from.
    pub(crate) fn peek(&self, number: u64, entry: IndexEntry) -> Result<(&[u8], u32)> {
        let length = self.length(number, entry)?;
        Ok(frame::unchecked_payload(self.from(entry.offset), length))
    }

    /// The payloads in order up to the first header that cannot be trusted; their checksums are not compared,
    /// so only the pages that are looked at are read.
    pub(crate) fn peek_all(&self) -> impl Iterator<Item = (IndexEntry, &[u8])> {
        let mut records = self.iter();
        std::iter::from_fn(move || records.next_entry()?.ok())
            .map(|entry| (entry, frame::unchecked_payload(self.from(entry.offset), entry.length).0))
    }

    /// Hands the memory of one record back to the system once nobody needs it soon. Slices of it stay valid:
    /// they are read from the file again.
    pub fn release(&self, entry: IndexEntry) {
        self.bytes.release(entry.offset..entry.offset.saturating_add(entry.length).saturating_add(OVERHEAD));
    }

    /// Where a record lies, for messages.
    pub(crate) fn place(&self, record: u64, offset: u64) -> Place {
        Place { path: self.path.clone(), record, offset }
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    /// Size of the records, inflated.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether the file still has the bytes that are mapped. To touch a page behind the end of a file that was
    /// cut meanwhile would end the process; so would a page that the disk does not give, which `mapping` says.
    fn uncut(&self, number: u64, offset: u64) -> Result<()> {
        if !self.in_place {
            return Ok(());
        }
        // A file that was removed keeps its content until the map is gone.
        match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() < self.len() => {
                let problem = RecordProblem::Cut { mapped: self.len(), left: metadata.len() };
                Err(self.error(number, offset, problem))
            }
            _ => Ok(()),
        }
    }

    fn from(&self, offset: u64) -> &[u8] {
        usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..)).unwrap_or_default()
    }

    /// The checked header's length, which the index must agree with.
    fn length(&self, number: u64, entry: IndexEntry) -> Result<u64> {
        self.uncut(number, entry.offset)?;
        let error = |problem| self.error(number, entry.offset, problem);
        let found = frame::payload_length(self.from(entry.offset)).map_err(error)?;
        if found == entry.length {
            Ok(found)
        } else {
            Err(error(RecordProblem::Index { indexed: entry.length, found }))
        }
    }

    pub(super) fn error(&self, number: u64, offset: u64, problem: RecordProblem) -> Error {
        let problem = match recognise(self.from(0)) {
            Some(what) if offset == 0 && problem == RecordProblem::HeaderCrc => {
                RecordProblem::OtherFile { what }
            }
            _ => problem,
        };
        Error::Record { place: self.place(number, offset), problem }
    }
}

/// The records of a file in order; see [`RecordFile::iter`].
#[derive(Debug)]
pub struct Records<'a> {
    file: &'a RecordFile,
    number: u64,
    offset: u64,
    /// Everything before this was handed back.
    released: u64,
    /// Everything before this was asked for.
    expected: u64,
    /// Everything before this was in the file when it was last looked at.
    uncut: u64,
}

impl<'a> Records<'a> {
    /// The next record's entry from its header alone: the payload stays on disk. For indexing.
    pub(super) fn next_entry(&mut self) -> Option<Result<IndexEntry>> {
        if let Err(cut) = self.look_ahead() {
            return Some(Err(self.end(cut)));
        }
        let entry = self.next_header()?;
        self.release_behind();
        Some(entry)
    }

    fn next_header(&mut self) -> Option<Result<IndexEntry>> {
        let (number, offset) = (self.number, self.offset);
        let rest = self.file.from(offset);
        if rest.is_empty() {
            return None;
        }
        let length = frame::payload_length(rest).map_err(|problem| {
            let error = self.file.error(number, offset, problem);
            self.end(error)
        });
        Some(length.map(|length| {
            self.number += 1;
            self.offset = offset + OVERHEAD + length;
            IndexEntry { offset, length }
        }))
    }

    /// Nothing after this can be read.
    fn end(&mut self, error: Error) -> Error {
        self.offset = self.file.len();
        error
    }

    /// Asks once for each window whether the file was cut.
    fn look_ahead(&mut self) -> Result<()> {
        if self.offset >= self.uncut && self.offset < self.file.len() {
            self.file.uncut(self.number, self.offset)?;
            self.uncut = self.offset + WINDOW;
        }
        Ok(())
    }

    /// Keeps about two windows in memory, however long the file is.
    fn release_behind(&mut self) {
        if self.offset - self.released >= 2 * WINDOW {
            let end = self.offset - WINDOW;
            self.file.bytes.release(self.released..end);
            self.released = end;
        }
    }

    /// Works as [`look_ahead`](Self::look_ahead), where the kernel does not report resident pages.
    fn expect_ahead(&mut self) -> Result<()> {
        if self.offset + WINDOW / 2 > self.expected {
            let start = self.expected.max(self.offset);
            if !self.file.bytes.expect(start..start + WINDOW) {
                self.file.uncut(self.number, self.offset)?;
            }
            self.expected = start + WINDOW;
        }
        Ok(())
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(cut) = self.expect_ahead() {
            return Some(Err(self.end(cut)));
        }
        let number = self.number;
        let entry = match self.next_header()? {
            Ok(entry) => entry,
            Err(error) => return Some(Err(error)),
        };
        self.release_behind();
        let (file, offset) = (self.file, entry.offset);
        let payload = frame::payload(file.from(offset), entry.length);
        Some(match payload {
            Ok(payload) => Ok(Record { number, offset, payload }),
            Err(problem) => Err(file.error(number, offset, problem)),
        })
    }
}

impl Drop for Records<'_> {
    /// A folder of many small files must not keep the last windows of each.
    fn drop(&mut self) {
        self.file.bytes.release(self.released..self.offset.max(self.expected));
    }
}
