//! Archives as folders: their members are listed and read where they lie, and nothing is unpacked.
//!
//! A zip and a tar say where each member is, so that members are read in any order ([`Archive`]). A tar.gz can only be read
//! from front to back ([`Stream`]). A member is named as if its archive were a folder: `images.zip/images/a.png`.
//!
//! An archive is not trusted: sizes, offsets and names count as far as the bytes of the file bear them out, a member that
//! inflates to far more than images or tables do is refused, and nothing is followed by recursion.

mod gzip;
mod names;
mod problem;
mod section;
mod stream;
mod tables;
mod tar;
mod zip;

pub use problem::ArchiveProblem;
pub(super) use stream::Stream;
pub use tables::beside;
pub(super) use tables::{table_of, tables};

use super::origin::LARGEST;
use crate::error::{Error, Result};
use crate::regular;
use flate2::Crc;
use flate2::read::DeflateDecoder;
use section::Section;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

/// More members than any published data set has images: MIMIC-CXR-JPG has 377,110.
pub(super) const MOST_MEMBERS: u64 = 1 << 21;

/// What an archive or a member may inflate to: so many times its packed size, or [`FREE`] where that is more. Images are
/// compressed already, tables shrink to a tenth.
const RATIO: u64 = 32;
const FREE: u64 = 64 << 20;

fn largest_inflated(packed: u64) -> u64 {
    packed.saturating_mul(RATIO).max(FREE)
}

/// What an archive is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Zip,
    Tar,
    TarGz,
}

impl Packing {
    /// None where a file is not an archive by its name.
    pub(super) fn of(path: &Path) -> Option<Packing> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let ends = |end: &str| name.len() > end.len() && name.ends_with(end);
        match () {
            () if ends(".zip") => Some(Packing::Zip),
            () if ends(".tar") => Some(Packing::Tar),
            () if ends(".tar.gz") || ends(".tgz") => Some(Packing::TarGz),
            () => None,
        }
    }
}

/// Whether this is an archive that stands for a folder.
pub(crate) fn is_archive(path: &Path) -> bool {
    Packing::of(path).is_some() && path.is_file()
}

/// An archive whose members can be read in any order.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    packing: Packing,
    file: File,
    members: Vec<Member>,
}

/// A file in an archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its path in the archive, `/` between folders.
    pub(super) name: String,
    /// Where its content begins; in a zip where its local header does.
    at: u64,
    packed: u64,
    size: u64,
    method: Method,
}

/// How the content is kept.
#[derive(Clone, Debug)]
enum Method {
    Stored,
    /// In a zip, with the checksum of the content.
    Zipped {
        deflated: bool,
        crc: u32,
    },
    /// In a way that is not read.
    Refused(ArchiveProblem),
}

impl Archive {
    /// Lists a zip or a tar; of its content nothing is read.
    ///
    /// # Errors
    /// [`Error::Archive`] for what is none, ends early, or holds two members of one name or names that lead out of it.
    pub(super) fn open(path: &Path, packing: Packing) -> Result<Archive> {
        let (file, metadata) = regular::open(path)?;
        let members = match packing {
            Packing::Zip => zip::list(path, &file, metadata.len()),
            Packing::Tar => tar::list(path, Section::new(&file, 0, metadata.len())),
            Packing::TarGz => Err(problem(path, None, ArchiveProblem::FrontToBack)),
        }?;
        let mut names = HashSet::with_capacity(members.len());
        if let Some(twice) = members.iter().find(|member| !names.insert(member.name.as_str())) {
            return Err(problem(path, Some(&twice.name), ArchiveProblem::Twice));
        }
        Ok(Archive { path: path.to_owned(), packing, file, members })
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// A member as if the archive were a folder.
    pub(super) fn place(&self, number: usize) -> String {
        format!("{}/{}", self.path.display(), self.members[number].name)
    }

    /// How many bytes a member has, as the archive says.
    pub(super) fn length(&self, number: usize) -> u64 {
        self.members[number].size
    }

    /// The content of a member, which has to be whole.
    pub(super) fn read(&self, number: usize) -> Result<Vec<u8>> {
        let member = &self.members[number];
        let mut bytes = Vec::new();
        // One more than it should have tells that there is more.
        self.content(number)?.take(member.size + 1).read_to_end(&mut bytes).map_err(self.failed(member))?;
        let refuse = |what| Err(problem(&self.path, Some(&member.name), what));
        match &member.method {
            _ if (bytes.len() as u64) < member.size => return refuse(ArchiveProblem::Truncated),
            _ if bytes.len() as u64 > member.size => {
                return refuse(ArchiveProblem::Damaged("it is longer than it says"));
            }
            Method::Zipped { crc, .. } => {
                let mut sum = Crc::new();
                sum.update(&bytes);
                if sum.sum() != *crc {
                    return refuse(ArchiveProblem::Damaged("its checksum differs"));
                }
            }
            Method::Stored | Method::Refused(_) => {}
        }
        Ok(bytes)
    }

    /// At most so many bytes from the beginning of a member; nothing is compared with checksums.
    pub(super) fn beginning(&self, number: usize, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let member = &self.members[number];
        self.content(number)?.take(most).read_to_end(&mut bytes).map_err(self.failed(member))?;
        Ok(bytes)
    }

    fn content(&self, number: usize) -> Result<Box<dyn Read + '_>> {
        let member = &self.members[number];
        let refuse = |what| Err(problem(&self.path, Some(&member.name), what));
        if let Method::Refused(why) = &member.method {
            return refuse(why.clone());
        }
        if let Some(why) = too_large(member.size, member.packed) {
            return refuse(why);
        }
        let at = match self.packing {
            Packing::Zip => zip::content(&self.path, &self.file, member)?,
            _ => member.at,
        };
        let section = Section::new(&self.file, at, at.saturating_add(member.packed));
        Ok(match member.method {
            Method::Zipped { deflated: true, .. } => Box::new(DeflateDecoder::new(section)),
            _ => Box::new(section),
        })
    }

    fn failed<'a>(&'a self, member: &'a Member) -> impl FnOnce(io::Error) -> Error + 'a {
        |source| failed(&self.path, Some(&member.name), source)
    }

    /// The members in the folder that all others are in or below, with their paths from there.
    pub(super) fn below_top(&self) -> impl Iterator<Item = (&Member, &str)> {
        let folder = |name: &str| name.rsplit_once('/').map_or(0, |(folder, _)| folder.len() + 1);
        let mut top = self.members.first().map_or("", |member| &member.name[..folder(&member.name)]);
        for member in &self.members {
            while !member.name.starts_with(top) {
                top = &top[..folder(&top[..top.len() - 1])];
            }
        }
        let top = top.len();
        self.members.iter().map(move |member| (member, &member.name[top..]))
    }
}

/// Content that is more than an image or a table has.
fn too_large(size: u64, packed: u64) -> Option<ArchiveProblem> {
    let limit = largest_inflated(packed).min(LARGEST);
    (size > limit).then_some(ArchiveProblem::Large { size, limit })
}

/// Opens a file, or reads a member of an archive that is named as if the archive were a folder; of a tar.gz a table.
///
/// # Errors
/// [`Error::Io`] for what is not there, [`Error::Archive`] for a member that cannot be read.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => match of_member(path)? {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes))),
            None => Err(Error::io(path, "read")(error)),
        },
        Err(error) => Err(Error::io(path, "read")(error)),
    }
}

fn of_member(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(archive) = path.ancestors().skip(1).find(|above| above.is_file()) else { return Ok(None) };
    let (Some(packing), Ok(name)) = (Packing::of(archive), path.strip_prefix(archive)) else {
        return Ok(None);
    };
    let name = name.to_string_lossy();
    if packing == Packing::TarGz {
        return tables::content(archive, &name);
    }
    let archive = Archive::open(archive, packing)?;
    let number = archive.members.iter().position(|member| member.name == name);
    number.map(|number| archive.read(number)).transpose()
}

fn problem(path: &Path, member: Option<&str>, problem: ArchiveProblem) -> Error {
    Error::Archive { path: path.to_owned(), member: member.map(str::to_owned), problem }
}

/// What a decoder or the system says, as an error that names the archive.
fn failed(path: &Path, member: Option<&str>, source: io::Error) -> Error {
    let refused = source.get_ref().and_then(|inner| inner.downcast_ref::<gzip::Refused>());
    let what = match (refused, source.kind()) {
        (Some(refused), _) => refused.0.clone(),
        (None, io::ErrorKind::UnexpectedEof) => ArchiveProblem::Truncated,
        (None, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            ArchiveProblem::Damaged("it does not inflate")
        }
        _ => return Error::Io { path: path.to_owned(), action: "read", source },
    };
    problem(path, member, what)
}

#[cfg(test)]
mod tests;
