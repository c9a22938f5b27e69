//! The pictures in an archive that somebody named: those of a zip or tar are read where they lie, those of a tar.gz are kept
//! as they come by.

use crate::error::{Error, Result};
use crate::sources::archive::{Archive, MOST_MEMBERS, Packing, Stream};
use crate::sources::folder::is_picture;
use crate::sources::{ArchiveProblem, Content, Keep, Kept, Origin, Spill};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an archive holds.
pub(super) struct PackedPictures {
    /// In no particular order, with the places that they would have in a folder in place of the archive.
    pub(super) images: Vec<(PathBuf, Origin)>,
    /// How many members are not pictures by their names.
    pub(super) others: u64,
}

/// Lists the pictures of an archive; those of a tar.gz are read now, and kept in a file without a name in `keep_in`.
///
/// # Errors
/// An archive that cannot be read to its end, or a tar.gz where nothing can be kept.
pub(super) fn pictures(path: &Path, keep_in: Option<&Path>) -> Result<PackedPictures> {
    match Packing::of(path) {
        Some(Packing::TarGz) => front_to_back(path, keep_in),
        packing => in_place(path, packing.expect("an archive by its name")),
    }
}

fn in_place(path: &Path, packing: Packing) -> Result<PackedPictures> {
    let archive = Arc::new(Archive::open(path, packing)?);
    let mut found = PackedPictures { images: Vec::new(), others: 0 };
    for (number, member) in archive.members().iter().enumerate() {
        if is_picture(Path::new(&member.name)) {
            let origin = Origin::Member { archive: archive.clone(), number };
            found.images.push((path.join(&member.name), origin));
        } else {
            found.others += 1;
        }
    }
    Ok(found)
}

fn front_to_back(path: &Path, keep_in: Option<&Path>) -> Result<PackedPictures> {
    let Some(folder) = keep_in else {
        let (path, problem) = (path.to_owned(), ArchiveProblem::FrontToBack);
        return Err(Error::Archive { path, member: None, problem });
    };
    let keep = keep(folder)?;
    let others = std::cell::Cell::new(0);
    let is_wanted = |name: &str| {
        let wanted = is_picture(Path::new(name));
        others.set(others.get() + u64::from(!wanted));
        wanted
    };
    let most = usize::try_from(MOST_MEMBERS).unwrap_or(usize::MAX);
    let mut images = Vec::new();
    for passed in Stream::open(path, is_wanted, most)? {
        let (name, bytes) = passed?;
        let place = path.join(name);
        let kept = keep(place.display().to_string(), bytes)?;
        images.push((place, Origin::Kept(Box::new(kept))));
    }
    Ok(PackedPictures { images, others: others.get() })
}

/// Keeps images as they are, in a file without a name in this folder.
pub(super) fn keep(folder: &Path) -> Result<Box<Keep<'static>>> {
    let spill = Arc::new(Spill::nameless(folder)?);
    Ok(Box::new(move |place, bytes| {
        let content = match bytes {
            Ok(bytes) => Content::Original(spill.write(&bytes)?),
            Err(problem) => Content::Refused(problem),
        };
        Ok(Kept { place, spill: spill.clone(), content, header: None })
    }))
}
