//! DICOM files with a table of labels, and what their headers say of the patient.

use crate::error::{Error, Result};
use crate::sources::csv_table::{self, CsvColumns};
use crate::sources::{
    Found, ImageFolder, ImageRow, Listing, Missing, Origin, SourceImage, SourceSet, findings, parse_age,
};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, one_line};
use xray_image::{DicomPatient, read_dicom_patient};

/// Headers are shorter as a rule: of a file this much is read first.
const BEGINNING: u64 = 1 << 18;

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
/// UIDs. What the table does not tell of patient, view, sex and age comes from the headers; an image whose header cannot be
/// read is left out where `skip_bad` says so, since nobody knows whose it is.
pub fn read(
    folder: &Path,
    table: &Path,
    columns: &CsvColumns,
    missing: Missing,
    skip_bad: bool,
) -> Result<SourceSet> {
    let files = ImageFolder::scan(folder)?;
    let mut listing = csv_table::read(table, columns)?;
    if listing.rows.iter().any(|listed| files.find(&listed.file) == Found::Nothing) {
        name_by_instance(&mut listing, &files);
    }
    let mut set = listing.locate(&files, missing, None)?;
    set.kind = "dicom";
    let completed: Vec<_> = std::mem::take(&mut set.images).into_par_iter().map(complete).collect();
    for image in completed {
        match image {
            Ok(image) => set.images.push(image),
            Err(error) if skip_bad && error.exit() == Exit::BadData => set.unusable.push(one_line(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok(set)
}

/// [`name_by_instance`] where a name that no file has looks like such an UID.
pub(super) fn name_by_instance_if_needed(listing: &mut Listing, files: &ImageFolder) {
    let is_uid = |name: &str| name.contains('.') && name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if listing.rows.iter().any(|listed| is_uid(&listed.file) && files.find(&listed.file) == Found::Nothing) {
        name_by_instance(listing, files);
    }
}

/// Replaces SOP Instance UIDs in the path column by the files that carry them.
fn name_by_instance(listing: &mut Listing, files: &ImageFolder) {
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
}

/// What headers tell of view, sex and age where the tables do not. For data sets whose headers name no patients, or
/// each image for one. A header that cannot be read is left to whoever decodes the image.
pub(super) fn complete_without_patients(images: &mut [SourceImage]) {
    images.par_iter_mut().for_each(|image| {
        let Ok(Some(header)) = header_of(&image.origin) else { return };
        let ImageRow { view, sex, age, .. } = &mut image.row;
        *view = view.take().or(header.view);
        *sex = sex.take().or(header.sex);
        *age = age.or(header.age);
    });
}

fn complete(mut image: SourceImage) -> Result<SourceImage> {
    let Some(header) = header_of(&image.origin)? else { return Ok(image) };
    let ImageRow { patient_id, view, sex, age, .. } = &mut image.row;
    *patient_id = patient_id.take().or(header.patient_id);
    *view = view.take().or(header.view);
    *sex = sex.take().or(header.sex);
    *age = age.or(header.age);
    Ok(image)
}

/// Reads the header only.
pub fn read_header(path: &Path) -> Result<DicomHeader> {
    Ok(header_of(&Origin::File(path.to_owned()))?.unwrap_or_default())
}

/// The header of a file, in a folder or an archive; none of what is neither.
fn header_of(origin: &Origin) -> Result<Option<DicomHeader>> {
    if let Origin::Kept(kept) = origin {
        return Ok(kept.header.clone());
    }
    let Some(beginning) = origin.beginning(BEGINNING)? else { return Ok(None) };
    let mut patient = read_dicom_patient(&beginning);
    if patient.is_err() && beginning.len() as u64 == BEGINNING {
        patient = read_dicom_patient(&origin.bytes()?);
    }
    let patient = patient.map_err(|problem| Error::Image { place: origin.place(), problem })?;
    Ok(Some(DicomHeader::of(patient)))
}

impl DicomHeader {
    /// The elements of a header, sex and age as tables have them.
    pub fn of(patient: DicomPatient) -> Self {
        DicomHeader {
            instance: patient.instance,
            patient_id: patient.patient_id,
            view: patient.view,
            sex: patient.sex.and_then(|sex| findings::sex(&sex)),
            age: patient.age.and_then(|age| parse_age(&age)),
        }
    }
}
