//! DICOM files with a table of labels, and what their headers say of the patient.

use crate::error::{Error, Result};
use crate::sources::csv_table::{self, CsvColumns};
use crate::sources::{
    Found, ImageFolder, ImageRow, Listing, Missing, Origin, SourceImage, SourceSet, findings, parse_age,
};
use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use xray_image::ImageProblem;

const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const PATIENT_SEX: Tag = Tag(0x0010, 0x0040);
const PATIENT_AGE: Tag = Tag(0x0010, 0x1010);
const VIEW_POSITION: Tag = Tag(0x0018, 0x5101);
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
        age: text(PATIENT_AGE).and_then(|age| parse_age(&age)),
    })
}

fn refused(path: &Path, error: &dyn std::error::Error) -> Error {
    let problem = ImageProblem::Dicom(xray_artifacts::one_line(error));
    Error::Image { place: path.display().to_string(), problem }
}

fn text(object: &DefaultDicomObject, tag: Tag) -> Option<String> {
    let text = object.element_opt(tag).ok()??.to_str().ok()?;
    Some(text.trim_matches([' ', '\0']).to_owned()).filter(|text| !text.is_empty())
}
