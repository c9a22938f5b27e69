//! The container of PyTorch since 1.6: an archive of `data.pkl` and a file for each storage, `data/KEY`.

use super::problem::{Problem, Result};
use super::unpickle::unpickle;
use super::{Contents, Storages, names};
use std::borrow::Cow;
use std::io::{Cursor, Read};
use zip::read::{ArchiveOffset, Config};
use zip::{ZipArchive, ZipReadOptions};

/// Of a compressed pickle: that of a network of a thousand layers has a few hundred kilobytes.
const LARGEST_PICKLE: usize = 64 << 20;
const LARGEST_WORD: usize = 64;

pub(super) fn contents(file: &[u8]) -> Result<Contents<'_>> {
    // Looking for an archive behind other bytes finds a wrong one in some files.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let archive = ZipArchive::with_config(config, Cursor::new(file));
    let archive = archive.map_err(|error| Problem::Archive(error.to_string()))?;
    let mut archive = Archive { file, archive, folder: String::new() };
    archive.folder = archive.find_folder()?;
    if archive.part("byteorder", LARGEST_WORD)?.is_some_and(|order| order.trim_ascii() == b"big") {
        return Err(Problem::BigEndian);
    }
    let pickle = archive.part("data.pkl", LARGEST_PICKLE)?.ok_or(Problem::Part("data.pkl"))?;
    let (objects, root, _) = unpickle(&pickle, 0)?;
    let tensors = names::tensors(&objects, root, &|_| None)?;
    Ok(Contents { tensors, storages: Box::new(archive) })
}

struct Archive<'a> {
    file: &'a [u8],
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// `archive/`, or the name of the file that was saved.
    folder: String,
}

impl<'a> Archive<'a> {
    fn find_folder(&self) -> Result<String> {
        let names = self.archive.file_names().collect::<zip::result::ZipResult<Vec<_>>>();
        let names = names.map_err(|error| Problem::Archive(error.to_string()))?;
        let folders = names.iter().filter_map(|name| name.strip_suffix("data.pkl"));
        let folders = folders.filter(|folder| folder.is_empty() || folder.ends_with('/'));
        folders.min_by_key(|folder| folder.len()).map(str::to_owned).ok_or(Problem::Part("data.pkl"))
    }

    /// A file of the archive, of which at most `limit` bytes are wanted.
    fn part(&mut self, name: &str, limit: usize) -> Result<Option<Cow<'a, [u8]>>> {
        let damaged = |error: &dyn std::fmt::Display| Problem::Archive(error.to_string());
        let Some(index) = self.archive.index_for_name(&format!("{}{name}", self.folder)) else {
            return Ok(None);
        };
        // A checksum of 0 was never computed: `torch.save` can leave them out.
        let checksum = self.archive.by_index_raw(index).map_err(|error| damaged(&error))?.crc32();
        let options = ZipReadOptions::new().ignore_crc32(checksum == 0);
        let mut entry =
            self.archive.by_index_with_options(index, options).map_err(|error| damaged(&error))?;
        if entry.compression() == zip::CompressionMethod::Stored && entry.size() > self.file.len() as u64 {
            return Err(Problem::Cut);
        }
        // Memory grows with the bytes that come.
        let mut bytes = Vec::new();
        let wanted = (limit as u64).saturating_add(1);
        entry.by_ref().take(wanted).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
        Ok(Some(Cow::Owned(bytes)))
    }
}

impl<'a> Storages<'a> for Archive<'a> {
    fn bytes(&mut self, key: &str, length: usize) -> Result<Cow<'a, [u8]>> {
        let storage = self.part(&format!("data/{key}"), length)?;
        storage.ok_or_else(|| Problem::Storage { key: key.to_owned(), what: "is not in the file" })
    }
}
