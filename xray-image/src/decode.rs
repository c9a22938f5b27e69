//! From the bytes of a JPEG, PNG or DICOM file to gray pixels.

use crate::orientation::Orientation;
use crate::{Budget, GrayImage, ImageProblem, failure, jpeg, png};
use std::num::NonZeroU16;

/// Decodes a JPEG (gray, colour, CMYK; baseline or progressive) or PNG (1 to 16 bits; gray, palette or colour,
/// with or without alpha, which is ignored) to 8-bit gray, turned upright where its EXIF block says how it lies.
///
/// Colours become luma as in Rec. 601, so that a gray picture stored as RGB(A) comes out unchanged. Of a 16-bit PNG
/// the end of the smallest range of 8, 10, 12, 14 and 16 bits that holds all but one in fifty of its pixels becomes
/// white: detectors have any of them, and letters are burned in at 65535. A DICOM file of
/// one image becomes what a workstation shows, pixels of padding black.
///
/// # Errors
/// [`ImageProblem`] for other formats, by name; for broken or truncated data; and for files that cost more than
/// [`Budget::default`], such as sizes above 8192 a side.
///
/// ```
/// use xray_image::{GrayImage, decode_gray, encode_png};
/// let image = GrayImage { width: 2, height: 1, pixels: vec![7, 250] };
/// assert_eq!(decode_gray(&encode_png(&image)), Ok(image));
/// assert_eq!(decode_gray(b"GIF89a...").unwrap_err().to_string(), "the image is a GIF, not JPEG or PNG");
/// ```
pub fn decode_gray(bytes: &[u8]) -> Result<GrayImage, ImageProblem> {
    decode_gray_within(bytes, None, &Budget::default())
}

/// As [`decode_gray`], within a budget of the caller's; `white_level` is the value that becomes white in 16-bit PNG
/// where one holds for a whole data set.
///
/// # Errors
/// [`ImageProblem`] as there; what passes the budget is told by its variant.
pub fn decode_gray_within(
    bytes: &[u8],
    white_level: Option<NonZeroU16>,
    budget: &Budget,
) -> Result<GrayImage, ImageProblem> {
    if bytes.is_empty() {
        return Err(ImageProblem::Empty);
    }
    failure::contain(|| {
        if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
            Orientation::of(bytes).turn(jpeg::decode(bytes, budget)?, budget)
        } else if bytes.starts_with(PNG) {
            Orientation::of(bytes).turn(png::decode(bytes, white_level, budget)?, budget)
        } else if is_dicom(bytes) {
            crate::dicom::decode(bytes, budget)
        } else {
            Err(not_an_image(bytes))
        }
    })
}

/// The value that [`decode_gray`] makes white in a PNG of 16 bits; nothing for any other file.
///
/// # Errors
/// [`ImageProblem`] for a PNG of 16 bits that cannot be decoded.
pub fn find_white_level(bytes: &[u8]) -> Result<Option<NonZeroU16>, ImageProblem> {
    if !is_sixteen_bit_png(bytes) {
        return Ok(None);
    }
    failure::contain(|| png::white_level(bytes, &Budget::default()))
}

/// Whether the first 26 bytes are those of a PNG of 16 bits, whose [white level](find_white_level) is a question.
pub fn is_sixteen_bit_png(head: &[u8]) -> bool {
    head.starts_with(PNG) && head.get(24) == Some(&16)
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Whether bytes are a DICOM file: 128 of anything, then `DICM`; or elements as such files begin, without these.
pub fn is_dicom(bytes: &[u8]) -> bool {
    crate::dicom::is_dicom(bytes)
}

/// Says what bytes are that are not decoded.
pub(super) fn not_an_image(bytes: &[u8]) -> ImageProblem {
    ImageProblem::Format { found: name_of(bytes) }
}

/// Rec. 601 luma with 16 bits of fraction, rounded; the weights add up to one, so gray stays gray.
pub(super) fn luma(red: u32, green: u32, blue: u32) -> u32 {
    (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
}

fn name_of(bytes: &[u8]) -> String {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let name = if starts(b"GIF8") {
        "a GIF"
    } else if starts(b"BM") {
        "a BMP"
    } else if starts(b"II*\0") || starts(b"MM\0*") {
        "a TIFF"
    } else if starts(b"RIFF") && at(8, b"WEBP") {
        "a WebP"
    } else if at(4, b"jP  ") || starts(&[0xFF, 0x4F, 0xFF, 0x51]) {
        "a JPEG 2000"
    } else if at(4, b"ftyp") {
        "an AVIF or HEIF"
    } else if starts(&[0x1F, 0x8B]) {
        "a gzip file"
    } else if starts(b"PK\x03\x04") {
        "a zip file"
    } else {
        let head: String = bytes.iter().take(8).map(|byte| format!(" {byte:02x}")).collect();
        return format!("unknown ({} bytes that begin with{head})", bytes.len());
    };
    name.to_owned()
}
