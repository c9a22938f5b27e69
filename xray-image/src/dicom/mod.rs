//! DICOM files to 8-bit gray, as a workstation would show them: one gray image, native or compressed as RLE, JPEG
//! (baseline, extended, lossless, LS) or JPEG 2000; colours become luma.
//!
//! Files are not believed. The header decides first (one frame, its size and bits); nothing is allocated that it or the
//! bytes that are there do not account for; nothing is recursed into.

mod colour;
mod description;
mod elements;
mod file;
mod fragments;
mod gray;
mod header;
mod jpeg;
mod jpeg_2000;
mod jpeg_ls;
mod palette;
mod patient;
mod problem;
mod rle;
mod samples;
mod syntax;

pub(crate) use file::is_dicom;

pub use elements::Tag;
pub use patient::{DicomPatient, read_dicom_patient};
pub use problem::DicomProblem;

use crate::{Budget, GrayImage, ImageProblem};
use description::{Description, Photometric};
use header::Header;
use samples::Samples;
use std::borrow::Cow;
use syntax::Coding;

/// The most bytes of a deflated data set that are unpacked for what stands before its pixels.
const HEADER_BYTES: u64 = 1 << 24;

/// Width and height, without the pixels, and whether they are gray.
pub(super) fn size(bytes: &[u8]) -> Result<([u32; 2], bool), DicomProblem> {
    let file = file::open(bytes, HEADER_BYTES)?;
    description::size(&header::read(file.elements())?)
}

/// The one image of a file. Refused are several frames, what is not read here by name, and damaged files.
pub(super) fn decode(bytes: &[u8], budget: &Budget) -> Result<GrayImage, ImageProblem> {
    open(bytes, budget, |picture| {
        let Picture { description, header, decoded } = picture;
        let pixels = match (decoded, description.photometric) {
            (Decoded::Jpeg(bytes), _) => jpeg::gray(&bytes, budget)?,
            (Decoded::Samples(samples), Photometric::Gray { .. }) => {
                gray::show(&samples, &description, header)?
            }
            (Decoded::Samples(samples), _) => colour::luma(&samples, &description),
        };
        Ok(GrayImage { width: description.width, height: description.height, pixels })
    })
}

/// Mean distance between the largest and the smallest of a pixel's red, green and blue; 0 of gray images.
pub(super) fn mean_chroma(bytes: &[u8], budget: &Budget) -> Result<f32, ImageProblem> {
    open(bytes, budget, |picture| match (picture.decoded, picture.description.photometric) {
        (_, Photometric::Gray { .. }) => Ok(0.0),
        (Decoded::Jpeg(bytes), _) => crate::chroma::of_jpeg(&bytes, budget),
        (Decoded::Samples(samples), _) => Ok(colour::mean_chroma(&samples, &picture.description)),
    })
}

/// A picture whose header was checked and whose pixels are unpacked.
struct Picture<'a> {
    description: Description,
    header: &'a Header<'a>,
    decoded: Decoded<'a>,
}

/// Pixels, as their coding gives them.
enum Decoded<'a> {
    /// As they are stored.
    Samples(Samples<'a>),
    /// A JPEG in colour, for those who decode other JPEGs.
    Jpeg(Cow<'a, [u8]>),
}

fn open<T>(
    bytes: &[u8],
    budget: &Budget,
    use_picture: impl FnOnce(Picture<'_>) -> Result<T, ImageProblem>,
) -> Result<T, ImageProblem> {
    let mut file = file::open(bytes, HEADER_BYTES)?;
    if file.is_cut {
        let header = header::read(file.elements())?;
        let needed = header.length + description::read(&header, budget)?.native_bytes();
        budget.check_memory(needed)?;
        if needed > HEADER_BYTES {
            file = file::open(bytes, needed)?;
        }
    }
    let header = header::read(file.elements())?;
    let description = description::read(&header, budget)?;
    let Some((head, elements)) = &header.pixels else {
        return Err(DicomProblem::Missing("pixel data").into());
    };
    if let Coding::Other(name) = &file.coding {
        return Err(DicomProblem::Syntax(name.clone()).into());
    }
    if file.coding == Coding::Native {
        budget.check_memory(description.pixels() as u64)?;
        let samples = samples::native(head, *elements, &description)?;
        let (samples, description) = coloured(samples, description, &header, budget)?;
        return use_picture(Picture { description, header: &header, decoded: Decoded::Samples(samples) });
    }
    // Where a sample is lost, it names another colour; of what loses nothing RLE is the one that palettes are kept in.
    if description.photometric == Photometric::Palette && file.coding != Coding::Rle {
        let photometric = "a palette in a coding other than RLE".to_owned();
        return Err(DicomProblem::Colours { photometric, samples: 1 }.into());
    }
    if head.length.is_some() {
        return Err(DicomProblem::Missing("fragments of compressed pixel data").into());
    }
    let description = description.decompressed();
    let bytes = fragments::join(*elements)?;
    // The samples, as the decoder gives them and as they are kept, and the gray pixels.
    budget.check_memory((description.pixels() + 4 * description.count() + bytes.len()) as u64)?;
    let decoded = match file.coding {
        Coding::Rle => {
            let samples = rle::decode(&bytes, &description, budget)?;
            let (samples, description) = coloured(samples, description, &header, budget)?;
            return use_picture(Picture { description, header: &header, decoded: Decoded::Samples(samples) });
        }
        Coding::Jpeg2000 => Decoded::Samples(jpeg_2000::decode(&bytes, &description, budget)?),
        _ => jpeg::decode(bytes, &description, budget)?,
    };
    use_picture(Picture { description, header: &header, decoded })
}

/// Samples that are colours or gray: those of a palette become what they name.
fn coloured<'a>(
    samples: Samples<'a>,
    description: Description,
    header: &Header<'_>,
    budget: &Budget,
) -> Result<(Samples<'a>, Description), ImageProblem> {
    if description.photometric != Photometric::Palette {
        return Ok((samples, description));
    }
    budget.check_memory((samples.bytes.len() + 4 * description.pixels()) as u64)?;
    Ok(palette::colours(&samples, &description, header)?)
}
