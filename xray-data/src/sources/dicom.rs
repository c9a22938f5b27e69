//! DICOM files: to 8-bit gray as a workstation would show them, and what their headers say of the patient.
//! Uncompressed pixel data, and JPEG baseline, extended and lossless are read.
//!
//! The way from stored value to gray is PS3.3 C.11: modality rescale, then the first VOI LUT or window (or the
//! range of the values where there is none), then inversion for MONOCHROME1, where 0 is white.

use crate::error::{Error, Result};
use crate::image::{GrayImage, ImageProblem};
use crate::sources::csv_table::{self, CsvColumns};
use crate::sources::{
    Found, ImageFolder, ImageRow, Listing, Missing, Origin, SourceImage, SourceSet, findings,
};
use dicom_object::file::ReadPreamble;
use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};
use dicom_pixeldata::{
    DecodedPixelData, PhotometricInterpretation, PixelDecoder, PixelRepresentation, Rescale, VoiLutFunction,
    WindowLevelTransform,
};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const MODALITY_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3000);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const PATIENT_SEX: Tag = Tag(0x0010, 0x0040);
const PATIENT_AGE: Tag = Tag(0x0010, 0x1010);
const VIEW_POSITION: Tag = Tag(0x0018, 0x5101);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// What a header says of an image. Everything is optional: de-identification removes much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DicomHeader {
    /// SOP Instance UID.
    pub instance: Option<String>,
    /// Patient ID.
    pub patient_id: Option<String>,
    /// View Position.
    pub view: Option<String>,
    /// `M` or `F`.
    pub sex: Option<String>,
    /// In years.
    pub age: Option<u16>,
}

/// Reads DICOM files below `folder`, labelled by a table whose path column holds file names or SOP Instance
/// UIDs. What the table does not tell of patient, view, sex and age comes from the headers.
pub fn read(folder: &Path, table: &Path, columns: &CsvColumns, missing: Missing) -> Result<SourceSet> {
    let files = ImageFolder::scan(folder)?;
    let mut listing = csv_table::read(table, columns)?;
    if listing.rows.iter().any(|listed| files.find(&listed.file) == Found::Nothing) {
        name_by_instance(&mut listing, &files)?;
    }
    let mut set = listing.locate(&files, missing)?;
    set.kind = "dicom";
    set.images.par_iter_mut().try_for_each(complete)?;
    Ok(set)
}

/// Replaces SOP Instance UIDs in the path column by the files that carry them.
fn name_by_instance(listing: &mut Listing, files: &ImageFolder) -> Result<()> {
    let paths: Vec<PathBuf> = files.files().map(Path::to_owned).collect();
    let instances: HashMap<String, String> = paths
        .par_iter()
        .filter_map(|path| {
            let instance = read_header(path).ok()?.instance?;
            let relative = path.strip_prefix(files.root()).unwrap_or(path);
            Some((instance, relative.to_string_lossy().into_owned()))
        })
        .collect();
    for listed in &mut listing.rows {
        if let Some(path) = instances.get(&listed.file) {
            listed.file.clone_from(path);
        }
    }
    Ok(())
}

fn complete(image: &mut SourceImage) -> Result<()> {
    let Origin::File(path) = &image.origin else { return Ok(()) };
    let header = read_header(path)?;
    let ImageRow { patient_id, view, sex, age, .. } = &mut image.row;
    *patient_id = patient_id.take().or(header.patient_id);
    *view = view.take().or(header.view);
    *sex = sex.take().or(header.sex);
    *age = age.or(header.age);
    Ok(())
}

/// Reads the header only.
pub fn read_header(path: &Path) -> Result<DicomHeader> {
    let options = OpenFileOptions::new().read_until(PIXEL_DATA);
    let object = options.open_file(path).map_err(|error| refused(path, &error))?;
    let text = |tag| text(&object, tag);
    Ok(DicomHeader {
        instance: text(SOP_INSTANCE_UID),
        patient_id: text(PATIENT_ID),
        view: text(VIEW_POSITION),
        sex: text(PATIENT_SEX).and_then(|sex| findings::sex(&sex)),
        age: text(PATIENT_AGE).and_then(|age| findings::age(&age)),
    })
}

/// Decodes the one image of a file.
///
/// # Errors
/// [`Error::Image`] for colour, several frames, a modality LUT, a transfer syntax that is not read here,
/// and damaged files.
pub fn decode(path: &Path, bytes: &[u8]) -> Result<GrayImage> {
    let options = OpenFileOptions::new().read_preamble(ReadPreamble::Always);
    let object = options.from_reader(bytes).map_err(|error| refused(path, &error))?;
    let image = |problem| Error::Image { place: path.display().to_string(), problem };
    let side = |tag| text(&object, tag).and_then(|text| text.parse().ok()).unwrap_or(0);
    ImageProblem::check_size(side(COLUMNS), side(ROWS)).map_err(image)?;
    if object.element_opt(MODALITY_LUT_SEQUENCE).ok().flatten().is_some() {
        return Err(image(ImageProblem::Dicom("it holds a modality LUT, which is not read here".into())));
    }
    let pixels = object.decode_pixel_data().map_err(|error| refused(path, &error))?;
    show(&pixels).map_err(|what| image(ImageProblem::Dicom(what)))
}

fn refused(path: &Path, error: &dyn std::error::Error) -> Error {
    let problem = ImageProblem::Dicom(xray_artifacts::one_line(error));
    Error::Image { place: path.display().to_string(), problem }
}

fn text(object: &DefaultDicomObject, tag: Tag) -> Option<String> {
    let text = object.element_opt(tag).ok()??.to_str().ok()?;
    Some(text.trim_matches([' ', '\0']).to_owned()).filter(|text| !text.is_empty())
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

fn show(pixels: &DecodedPixelData<'_>) -> std::result::Result<GrayImage, String> {
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
) -> std::result::Result<Voi<'a>, dicom_pixeldata::Error> {
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
fn stored_values(pixels: &DecodedPixelData<'_>) -> std::result::Result<Vec<u16>, String> {
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
