//! Writing a file of records with its index.

use super::frame::{self, OVERHEAD};
use super::index::{IndexEntry, RecordIndex, Sums, Written};
use crate::error::{Error, Result};
use crate::example::Example;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use xray_artifacts::{NewFile, ShardEntry};

/// Writes records as [`NewFile`] does and hashes them on the way. [`finish`](Self::finish) gives the file its name;
/// dropped without it, nothing is left behind.
#[derive(Debug)]
pub struct RecordWriter {
    path: PathBuf,
    out: BufWriter<NewFile>,
    hasher: blake3::Hasher,
    entries: Vec<IndexEntry>,
    sums: Vec<Sums>,
    bytes: u64,
}

impl RecordWriter {
    /// Starts a file; its folder must exist.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(RecordWriter {
            path: path.to_owned(),
            out: BufWriter::with_capacity(1 << 18, NewFile::create(path)?),
            hasher: blake3::Hasher::new(),
            entries: Vec::new(),
            sums: Vec::new(),
            bytes: 0,
        })
    }

    /// Appends one record.
    pub fn write(&mut self, payload: &[u8]) -> Result<()> {
        let length = payload.len() as u64;
        let crc = frame::masked_crc(payload);
        for part in [&frame::header(length), payload, &crc.to_le_bytes()] {
            self.hasher.update(part);
            self.out.write_all(part).map_err(Error::io(&self.path, "write"))?;
        }
        self.entries.push(IndexEntry { offset: self.bytes, length });
        let without_image = Example::parse(payload).map_or(crc, |example| example.crc_without_image(payload));
        self.sums.push(Sums { payload: crc, without_image });
        self.bytes += OVERHEAD + length;
        Ok(())
    }

    /// Size of the file so far, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Flushes to the disk, gives the file its name and writes the index beside it.
    pub fn finish(self) -> Result<ShardEntry> {
        let RecordWriter { path, out, hasher, entries, sums, bytes } = self;
        let file = out.into_inner().map_err(|error| Error::io(&path, "write")(error.into_error()))?;
        // An index of an older file of this name must not outlive that file: no index is right, a stale one is wrong.
        let index = RecordIndex::path_for(&path);
        match fs::remove_file(&index) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(&index, "remove")(error));
            }
            _ => file.finish()?,
        }
        let blake3 = hasher.finalize();
        let index = RecordIndex::new(entries, Written { blake3: *blake3.as_bytes(), sums });
        index.save(&path, bytes)?;
        Ok(ShardEntry {
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            records: index.len(),
            bytes,
            blake3: blake3.to_hex().to_string(),
        })
    }
}
