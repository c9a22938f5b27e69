//! Writing a file of records with its index.

use super::frame::{self, OVERHEAD};
use super::index::{IndexEntry, RecordIndex, Sums, Written};
use crate::error::{Error, Result};
use crate::example::Example;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use xray_artifacts::ShardEntry;

/// Writes records under a temporary name beside the wanted one and hashes them on the way.
/// [`finish`](Self::finish) gives the file its name; dropped without it, nothing is left behind.
#[derive(Debug)]
pub struct RecordWriter {
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<File>,
    hasher: blake3::Hasher,
    entries: Vec<IndexEntry>,
    sums: Vec<Sums>,
    bytes: u64,
    finished: bool,
}

impl RecordWriter {
    /// Starts a file; its folder must exist.
    pub fn create(path: &Path) -> Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = File::create(&temporary).map_err(Error::io(path, "create"))?;
        Ok(RecordWriter {
            path: path.to_owned(),
            temporary,
            out: BufWriter::with_capacity(1 << 18, file),
            hasher: blake3::Hasher::new(),
            entries: Vec::new(),
            sums: Vec::new(),
            bytes: 0,
            finished: false,
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
    pub fn finish(mut self) -> Result<ShardEntry> {
        self.rename().map_err(Error::io(&self.path, "write"))?;
        self.finished = true;
        let blake3 = self.hasher.finalize();
        let written = Written { blake3: *blake3.as_bytes(), sums: std::mem::take(&mut self.sums) };
        let index = RecordIndex::new(std::mem::take(&mut self.entries), written);
        index.save(&self.path, self.bytes)?;
        Ok(ShardEntry {
            file: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            records: index.len(),
            bytes: self.bytes,
            blake3: blake3.to_hex().to_string(),
        })
    }

    fn rename(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        // An index of an older file of this name must not outlive that file: no index is right, a stale one
        // is wrong.
        match fs::remove_file(RecordIndex::path_for(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for RecordWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the half-written file is worth nothing.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
