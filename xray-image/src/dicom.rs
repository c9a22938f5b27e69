//! DICOM files to 8-bit gray, as a workstation would show them. Uncompressed pixel data, and JPEG baseline, extended and
//! lossless are read.
//!
//! The way from stored value to gray is PS3.3 C.11: modality rescale, then the first VOI LUT or window (or the range of
//! the values where there is none), then inversion for MONOCHROME1, where 0 is white.

use crate::{Budget, GrayImage, ImageProblem, jpeg};
use dicom_object::file::ReadPreamble;
use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};
use dicom_pixeldata::{
    DecodedPixelData, PhotometricInterpretation, PixelDecoder, PixelRepresentation, Rescale, VoiLutFunction,
    WindowLevelTransform,
};

const MODALITY_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3000);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// Width and height, without the pixels.
pub(super) fn size(bytes: &[u8]) -> Result<[u32; 2], ImageProblem> {
    let options = OpenFileOptions::new().read_preamble(ReadPreamble::Always).read_until(PIXEL_DATA);
    Ok(size_of(&options.from_reader(bytes).map_err(|error| refused(&error))?))
}

/// The one image of a file. Refused are colour, several frames, a modality LUT, transfer syntaxes that are not read here,
/// and damaged files.
pub(super) fn decode(bytes: &[u8], budget: &Budget) -> Result<GrayImage, ImageProblem> {
    let options = OpenFileOptions::new().read_preamble(ReadPreamble::Always);
    let object = options.from_reader(bytes).map_err(|error| refused(&error))?;
    let size @ [width, height] = size_of(&object);
    budget.check_size(width, height)?;
    check_jpeg(&object, size)?;
    if object.element_opt(MODALITY_LUT_SEQUENCE).ok().flatten().is_some() {
        return Err(ImageProblem::Dicom("it holds a modality LUT, which is not read here".into()));
    }
    let pixels = object.decode_pixel_data().map_err(|error| refused(&error))?;
    show(&pixels).map_err(ImageProblem::Dicom)
}

/// A JPEG in it may announce more than the file does: a small file, and no memory left.
fn check_jpeg(object: &DefaultDicomObject, size: [u32; 2]) -> Result<(), ImageProblem> {
    let pixels = object.element_opt(PIXEL_DATA).ok().flatten();
    let fragments = pixels.and_then(|pixels| pixels.value().fragments()).unwrap_or_default();
    for fragment in fragments.iter().filter(|fragment| fragment.starts_with(&[0xFF, 0xD8, 0xFF])) {
        let frame = jpeg::frame(fragment)?;
        if [frame.width, frame.height] != size {
            let [width, height] = size;
            let found = format!("it says {width}x{height}, the JPEG in it {}x{}", frame.width, frame.height);
            return Err(ImageProblem::Dicom(found));
        }
    }
    Ok(())
}

fn size_of(object: &DefaultDicomObject) -> [u32; 2] {
    [COLUMNS, ROWS]
        .map(|tag| object.element_opt(tag).ok().flatten().and_then(|side| side.to_int().ok()).unwrap_or(0))
}

fn refused(error: &dyn std::error::Error) -> ImageProblem {
    ImageProblem::Dicom(xray_artifacts::one_line(error))
}

/// How stored values become gray.
enum Voi<'a> {
    /// Entries, of which the first belongs to this value and to all below.
    Table(&'a [u16], i32),
    Window(WindowLevelTransform),
    /// From the lowest to the highest value of the image.
    Range(f64, f64),
}

impl Voi<'_> {
    /// Gray from 0 to 1.
    fn apply(&self, value: f64) -> f64 {
        match self {
            Voi::Table(entries, first) => {
                let last = entries.len() as f64 - 1.0;
                let place = (value.round() - f64::from(*first)).clamp(0.0, last);
                f64::from(entries[place as usize]) / f64::from(white(entries))
            }
            Voi::Window(window) => window.apply(value, 1.0),
            Voi::Range(low, high) => (value - low) / (high - low).max(f64::MIN_POSITIVE),
        }
    }
}

/// White in a LUT: devices declare 16 bits and use 12, so the entries themselves tell.
fn white(entries: &[u16]) -> u16 {
    let largest = entries.iter().copied().max().unwrap_or(0);
    let bits = u16::BITS - largest.leading_zeros();
    u16::MAX.checked_shr(u16::BITS - bits).unwrap_or(1).max(1)
}

fn show(pixels: &DecodedPixelData<'_>) -> Result<GrayImage, String> {
    let inverted = match pixels.photometric_interpretation() {
        PhotometricInterpretation::Monochrome1 => true,
        PhotometricInterpretation::Monochrome2 => false,
        other => return Err(format!("its colours are {}, not MONOCHROME1 or MONOCHROME2", other.as_str())),
    };
    if pixels.number_of_frames() != 1 || pixels.samples_per_pixel() != 1 {
        return Err(format!("it holds {} frames", pixels.number_of_frames()));
    }
    let stored = stored_values(pixels)?;
    let said = |error: dicom_pixeldata::Error| xray_artifacts::one_line(&error);
    let rescale = pixels.rescale().map_err(said)?.first().copied().unwrap_or(Rescale::new(1.0, 0.0));
    let voi = voi_of(pixels, rescale, &stored).map_err(said)?;
    // One entry per value a pixel can have, so that each pixel costs one look-up.
    let table: Vec<u8> = (0..=u16::MAX)
        .map(|bits| {
            let gray = voi.apply(rescale.apply(f64::from(value_of(bits, pixels)))).clamp(0.0, 1.0);
            ((if inverted { 1.0 - gray } else { gray }) * 255.0).round() as u8
        })
        .collect();
    let (width, height) = (pixels.columns(), pixels.rows());
    Ok(GrayImage { width, height, pixels: stored.iter().map(|&bits| table[usize::from(bits)]).collect() })
}

fn voi_of<'a>(
    pixels: &'a DecodedPixelData<'_>,
    rescale: Rescale,
    stored: &[u16],
) -> Result<Voi<'a>, dicom_pixeldata::Error> {
    let tables = pixels.voi_lut_sequence()?.unwrap_or_default();
    if let Some(lut) = tables.first().filter(|lut| !lut.data.is_empty()) {
        return Ok(Voi::Table(&lut.data, lut.min_pixel_value));
    }
    if let Some(window) = pixels.window()?.and_then(<[_]>::first) {
        let function = pixels.voi_lut_function()?.and_then(<[_]>::first);
        let function = function.copied().unwrap_or(VoiLutFunction::Linear);
        return Ok(Voi::Window(WindowLevelTransform::new(function, *window)));
    }
    let values = || stored.iter().map(|&bits| rescale.apply(f64::from(value_of(bits, pixels))));
    Ok(Voi::Range(values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)))
}

/// The samples as they are stored, unused bits included.
fn stored_values(pixels: &DecodedPixelData<'_>) -> Result<Vec<u16>, String> {
    let count = pixels.rows() as usize * pixels.columns() as usize;
    let values: Vec<u16> = match pixels.bits_allocated() {
        8 => pixels.data().iter().map(|&byte| byte.into()).collect(),
        16 => pixels.data().as_chunks::<2>().0.iter().map(|bytes| u16::from_ne_bytes(*bytes)).collect(),
        bits => return Err(format!("its samples have {bits} bits, not 8 or 16")),
    };
    match values.get(..count) {
        Some(values) => Ok(values.to_vec()),
        None => Err(format!("it holds {} of {count} pixels", values.len())),
    }
}

/// The number in the stored bits, sign included.
fn value_of(stored: u16, pixels: &DecodedPixelData<'_>) -> i32 {
    let bits = u32::from(pixels.bits_stored()).clamp(1, 16);
    let unused = 32 - bits;
    let shift = (u32::from(pixels.high_bit()) + 1).saturating_sub(bits);
    let value = (u32::from(stored) >> shift) << unused;
    match pixels.pixel_representation() {
        PixelRepresentation::Unsigned => (value >> unused) as i32,
        PixelRepresentation::Signed => value as i32 >> unused,
    }
}
