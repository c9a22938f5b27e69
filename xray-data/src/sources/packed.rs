//! Images in the archives below a folder, for rows whose files do not lie in the folder itself. They are found as if each
//! archive had been unpacked where it is.

use super::archive::{Archive, ArchiveProblem, Packing, Stream};
use super::folder::is_image;
use super::kept::Keep;
use super::wanted::Wanted;
use super::{ImageFolder, Kept, Origin};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Members of archives that rows may mean.
pub(super) struct Packed {
    /// Their places, each archive being a folder.
    pub(super) folder: ImageFolder,
    origins: HashMap<PathBuf, Origin>,
    /// Archives that could not be read, as nobody keeps what comes by.
    pub(super) unread: Vec<PathBuf>,
}

impl Packed {
    /// Opens the archives of a folder. Of their members those are looked at that are wanted. What can only be read from front to back is read now, each archive once, by several threads, and given to
    /// `keep`.
    ///
    /// # Errors
    /// Archives that cannot be read.
    pub(super) fn open(folder: &ImageFolder, wanted: &Wanted, keep: Option<&Keep<'_>>) -> Result<Packed> {
        let is_wanted = |name: &str| is_image(Path::new(name)) && wanted.has(name);
        let mut packed =
            Packed { folder: ImageFolder::empty(folder.root()), origins: HashMap::new(), unread: Vec::new() };
        let mut streams = Vec::new();
        for path in folder.archives() {
            match Packing::of(path) {
                Some(Packing::TarGz) => streams.push(path),
                Some(packing) => {
                    let archive = Arc::new(Archive::open(path, packing)?);
                    for (number, member) in archive.members().iter().enumerate() {
                        if is_wanted(&member.name) {
                            let origin = Origin::Member { archive: archive.clone(), number };
                            packed.add(path, &member.name, origin)?;
                        }
                    }
                }
                None => {}
            }
        }
        let Some(keep) = keep else {
            packed.unread.extend(streams.into_iter().cloned());
            return Ok(packed);
        };
        let passed = streams
            .par_iter()
            .map(|path| read(path, is_wanted, wanted.most(), keep))
            .collect::<Result<Vec<_>>>()?;
        for (path, mut images) in streams.into_iter().zip(passed) {
            // They come in any order, and messages name the first.
            images.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            for (name, kept) in images {
                packed.add(path, &name, Origin::Kept(Box::new(kept)))?;
            }
        }
        Ok(packed)
    }

    /// Where the pixels are of what the folder found.
    pub(super) fn origin(&self, path: &Path) -> Option<Origin> {
        self.origins.get(path).cloned()
    }

    fn add(&mut self, archive: &Path, name: &str, origin: Origin) -> Result<()> {
        let path = archive.join(name);
        if self.origins.insert(path.clone(), origin).is_some() {
            let (path, member) = (archive.to_owned(), Some(name.to_owned()));
            return Err(Error::Archive { path, member, problem: ArchiveProblem::Twice });
        }
        let place = match archive.parent() {
            Some(around) if archive != self.folder.root() => around.join(name),
            _ => archive.join(name),
        };
        self.folder.add(path, &place);
        Ok(())
    }
}

/// The wanted images of one archive. Threads take turns at reading it, and each works on what it read: there are never more
/// images in memory than threads.
fn read(
    path: &Path,
    is_wanted: impl Fn(&str) -> bool + Send,
    most: usize,
    keep: &Keep<'_>,
) -> Result<Vec<(String, Kept)>> {
    let stream = Stream::open(path, is_wanted, most)?;
    let kept = stream.par_bridge().map(|passed| {
        let (name, bytes) = passed?;
        let place = format!("{}/{name}", path.display());
        Ok((name, keep(place, bytes)?))
    });
    kept.collect()
}
