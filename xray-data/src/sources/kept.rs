//! Images of archives that can only be read from front to back, kept from when they came by until their shard is written.

use super::ArchiveProblem;
use super::dicom::DicomHeader;
use super::origin::Loaded;
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use xray_image::ImageProblem;

/// What is done with an image that comes by, of which the place and the bytes are given. Called from several threads.
pub type Keep<'a> = dyn Fn(String, std::result::Result<Vec<u8>, ArchiveProblem>) -> Result<Kept> + Sync + 'a;

/// A file without a name that pieces are written to in any order. It is gone when the process ends, however it ends.
#[derive(Debug)]
pub struct Spill {
    file: File,
    folder: PathBuf,
    end: AtomicU64,
}

/// Where a piece lies.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    at: u64,
    length: usize,
}

impl Spill {
    /// A file that never has a name, where nobody tidies a folder up after a program that was killed.
    pub(crate) fn nameless(folder: &Path) -> Result<Spill> {
        let file = tempfile::tempfile_in(folder).map_err(Error::io(folder, "create a file in"))?;
        Ok(Spill { file, folder: folder.to_owned(), end: AtomicU64::new(0) })
    }

    /// The name that the file has for a moment.
    pub(crate) const NAME: &str = ".kept.tmp";

    /// Makes the file in a folder.
    pub(crate) fn create(folder: &Path) -> Result<Spill> {
        let path = folder.join(Self::NAME);
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(Error::io(&path, "create"))?;
        fs::remove_file(&path).map_err(Error::io(&path, "remove"))?;
        Ok(Spill { file, folder: folder.to_owned(), end: AtomicU64::new(0) })
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<Piece> {
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, at).map_err(Error::io(&self.folder, "write"))?;
        Ok(Piece { at, length: bytes.len() })
    }

    fn read(&self, piece: Piece) -> Result<Vec<u8>> {
        let mut bytes = vec![0; piece.length];
        self.file.read_exact_at(&mut bytes, piece.at).map_err(Error::io(&self.folder, "read"))?;
        Ok(bytes)
    }
}

/// An image that came by.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The member as if its archive were a folder.
    pub place: String,
    /// Where it is kept.
    pub spill: Arc<Spill>,
    /// What is kept of it.
    pub content: Content,
    /// What its header says, of a DICOM file.
    pub header: Option<DicomHeader>,
}

/// What is kept of an image.
#[derive(Clone, Debug)]
pub enum Content {
    /// What a record is to hold, with its width and height.
    Stored(Piece, [u32; 2]),
    /// The file itself.
    Original(Piece),
    /// Why it cannot be used.
    Unusable(ImageProblem),
    /// Why it cannot be read.
    Refused(ArchiveProblem),
}

impl Kept {
    /// How many bytes are kept of it.
    pub(super) fn length(&self) -> Option<u64> {
        match &self.content {
            Content::Stored(piece, _) | Content::Original(piece) => Some(piece.length as u64),
            Content::Unusable(_) | Content::Refused(_) => None,
        }
    }

    pub(super) fn load(&self) -> Result<Loaded> {
        match &self.content {
            Content::Stored(piece, size) => {
                Ok(Loaded::Stored { bytes: self.spill.read(*piece)?, size: *size })
            }
            Content::Original(piece) => Ok(Loaded::Encoded(self.spill.read(*piece)?)),
            Content::Unusable(problem) => {
                Err(Error::Image { place: self.place.clone(), problem: problem.clone() })
            }
            Content::Refused(problem) => {
                let (path, problem) = (self.place.clone().into(), problem.clone());
                Err(Error::Archive { path, member: None, problem })
            }
        }
    }
}
