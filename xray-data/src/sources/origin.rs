//! Where the pixels of one image are, and how they are fetched.

use crate::error::{Error, Result};
use crate::example::Example;
use crate::regular;
use crate::schema::FeatureNames;
use crate::sources::archive::Archive;
use crate::sources::{Kept, Phantom};
use crate::tfrecord::{IndexEntry, RecordFile};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_image::{GrayImage, ImageProblem, decode_gray, encode_png, is_dicom};

/// Where the pixels of one image are.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A PNG, JPEG or DICOM file.
    File(PathBuf),
    /// A record of a TFRecord file.
    Record {
        /// The file, shared by its records.
        file: Arc<RecordFile>,
        /// Which feature is the image.
        names: Arc<FeatureNames>,
        /// Number of the record, from 0.
        number: u64,
        /// Where it lies.
        entry: IndexEntry,
    },
    /// A PNG, JPEG or DICOM file in a zip or tar.
    Member {
        /// The archive, shared by its members.
        archive: Arc<Archive>,
        /// Its place among them.
        number: usize,
    },
    /// An image that came by in a tar.gz.
    Kept(Box<Kept>),
    /// A drawing that is made when it is needed.
    Phantom(Phantom),
}

/// An image as its origin has it.
#[derive(Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The bytes of a JPEG or PNG.
    Encoded(Vec<u8>),
    /// Pixels, brought to 8 bits.
    Pixels(GrayImage),
    /// What a record is to hold.
    Stored {
        /// The bytes that the build encoded when the image came by.
        bytes: Vec<u8>,
        /// Width and height.
        size: [u32; 2],
    },
}

impl Loaded {
    /// The image in a file of these bytes; a DICOM file is decoded here, because its window belongs to the file.
    pub(crate) fn of(bytes: Vec<u8>) -> std::result::Result<Loaded, ImageProblem> {
        if is_dicom(&bytes) { decode_gray(&bytes).map(Loaded::Pixels) } else { Ok(Loaded::Encoded(bytes)) }
    }
}

/// No X-ray has more bytes: 8192 pixels squared of 16 bits in three colours are 400 MB.
pub(super) const LARGEST: u64 = 1 << 30;

/// The bytes of an image file; a pipe would be waited for, and a device never ends.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    let (file, metadata) = regular::open(path)?;
    if metadata.len() > LARGEST {
        return Err(Error::io(path, "read")(io::ErrorKind::FileTooLarge.into()));
    }
    // What the system makes up when it is read, as below /proc, has no length either.
    if metadata.len() == 0 {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.take(LARGEST).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    Ok(bytes)
}

impl Origin {
    /// Reads the image.
    pub fn load(&self) -> Result<Loaded> {
        match self {
            Origin::File(_) | Origin::Member { .. } => {
                Loaded::of(self.bytes()?).map_err(|problem| Error::Image { place: self.place(), problem })
            }
            Origin::Kept(kept) => kept.load(),
            Origin::Record { .. } => self.bytes().map(Loaded::Encoded),
            Origin::Phantom(phantom) => Ok(Loaded::Pixels(phantom.draw())),
        }
    }

    /// The bytes of the image file; of a phantom those of a PNG; of an image that came by what is kept of it.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Origin::File(path) => read_file(path),
            Origin::Member { archive, number } => archive.read(*number),
            Origin::Kept(kept) => match kept.load()? {
                Loaded::Encoded(bytes) | Loaded::Stored { bytes, .. } => Ok(bytes),
                Loaded::Pixels(image) => Ok(encode_png(&image)),
            },
            Origin::Record { file, names, number, entry } => {
                let payload = file.read(*number, *entry)?;
                let place = || file.place(*number, entry.offset);
                let example =
                    Example::parse(payload).map_err(|problem| Error::Example { place: place(), problem })?;
                let sample =
                    names.read(&example).map_err(|problem| Error::Feature { place: place(), problem })?;
                let image = sample.image.to_vec();
                file.release(*entry);
                Ok(image)
            }
            Origin::Phantom(phantom) => Ok(encode_png(&phantom.draw())),
        }
    }

    /// At most so many bytes from the beginning of a file or of a member of an archive; none of what is neither.
    pub(crate) fn beginning(&self, most: u64) -> Result<Option<Vec<u8>>> {
        match self {
            Origin::File(path) => {
                let mut bytes = Vec::new();
                let (file, _) = regular::open(path)?;
                file.take(most).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
                Ok(Some(bytes))
            }
            Origin::Member { archive, number } => archive.beginning(*number, most).map(Some),
            _ => Ok(None),
        }
    }

    /// The file, or the file and record, for messages.
    pub fn place(&self) -> String {
        match self {
            Origin::File(path) => path.display().to_string(),
            Origin::Member { archive, number } => archive.place(*number),
            Origin::Kept(kept) => kept.place.clone(),
            Origin::Record { file, number, entry, .. } => file.place(*number, entry.offset).to_string(),
            Origin::Phantom(phantom) => phantom.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_makes_up_is_empty_and_what_never_ends_is_refused() {
        if cfg!(target_os = "linux") {
            assert!(read_file(Path::new("/proc/self/mem")).expect("a file of no length").is_empty());
        }
        assert!(matches!(read_file(Path::new("/dev/zero")), Err(Error::NotAFile { .. })));
    }
}
