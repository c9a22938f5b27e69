//! The cache file: one slot per record of the data set, each with its checksum.
//!
//! There is no header, no lock and no order of writes. What a slot holds is decided by the file's name (data
//! set and preprocessing) and its place, so that processes that write the same slot at once write the same
//! bytes, and a slot that was half written when a machine lost power fails its checksum and is made again.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::regular;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use xray_artifacts::Preprocessing;

/// Part of the file's name: grows whenever decoding or resizing gives other pixels.
const FORMAT: &str = "prepared images 1";
/// Checksum of the slot, and a constant that no empty slot has.
const HEAD: usize = 8;
const WRITTEN: [u8; 4] = *b"slot";

#[derive(Debug)]
pub(in crate::loader) struct DiskCache {
    path: PathBuf,
    file: File,
    /// Bytes of pixels in a slot.
    pixels: usize,
    key: [u8; 32],
    /// Why writing was given up: a full disk costs speed, never the run.
    failed: OnceLock<String>,
}

impl DiskCache {
    /// Opens or makes the file for these data and this preprocessing in `folder`.
    pub(in crate::loader) fn open(
        folder: &Path,
        dataset: &Dataset,
        preprocessing: &Preprocessing,
    ) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let key = key(dataset.id(), preprocessing);
        let name = blake3::Hash::from_bytes(key).to_hex();
        let path = folder.join(format!("prepared-{}.cache", &name[..16]));
        let pixels = preprocessing.size as usize * preprocessing.size as usize;
        let length = dataset.len() * (HEAD + pixels) as u64;
        if path.exists() {
            regular::open(&path)?;
        }
        let file = open_with_length(&path, length).map_err(Error::io(&path, "open"))?;
        Ok(DiskCache { path, file, pixels, key, failed: OnceLock::new() })
    }

    /// Reads a slot into `pixels`; false when it was never written, or not whole.
    pub(super) fn load(&self, slot: u64, pixels: &mut Vec<u8>) -> bool {
        let mut head = [0; HEAD];
        pixels.resize(self.pixels, 0);
        let start = self.start(slot);
        let read = self
            .file
            .read_exact_at(&mut head, start)
            .and_then(|()| if head[4..] == WRITTEN { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) })
            .and_then(|()| self.file.read_exact_at(pixels, start + HEAD as u64));
        read.is_ok() && head == self.head(slot, pixels)
    }

    /// Writes a slot, unless writing failed before.
    pub(super) fn store(&self, slot: u64, pixels: &[u8]) {
        if self.failed.get().is_some() {
            return;
        }
        let bytes = [&self.head(slot, pixels), pixels].concat();
        if let Err(error) = self.file.write_all_at(&bytes, self.start(slot)) {
            self.failed.get_or_init(|| error.to_string());
        }
    }

    pub(super) fn warning(&self) -> Option<String> {
        let reason = self.failed.get()?;
        Some(format!("{} is no longer written: {reason}", self.path.display()))
    }

    fn start(&self, slot: u64) -> u64 {
        slot * (HEAD + self.pixels) as u64
    }

    fn head(&self, slot: u64, pixels: &[u8]) -> [u8; HEAD] {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&self.key), &slot.to_le_bytes());
        let [a, b, c, d] = crc32c::crc32c_append(crc, pixels).to_le_bytes();
        let [e, f, g, h] = WRITTEN;
        [a, b, c, d, e, f, g, h]
    }
}

/// Means and deviations come after the cache, so runs that differ in them share it.
fn key(dataset: &str, preprocessing: &Preprocessing) -> [u8; 32] {
    let Preprocessing {
        size,
        crop,
        filter,
        white_level,
        stored_size,
        shorter_side,
        mean: _,
        std: _,
        channels: _,
    } = preprocessing;
    // As it was before there was such a side.
    let side = shorter_side.map_or(String::new(), |side| format!(" {side}"));
    let how = format!("{size} {crop:?} {filter:?} {white_level:?} {stored_size:?}{side}");
    *blake3::hash(format!("{FORMAT}\n{dataset}\n{how}").as_bytes()).as_bytes()
}

/// All processes want the same length, so it does not matter who sets it.
fn open_with_length(path: &Path, length: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.len() != length {
        file.set_len(length)?;
    }
    Ok(file)
}
