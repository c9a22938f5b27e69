//! What a DICOM header says beside the picture.

use super::header::{read, tags};
use super::{DicomProblem, file};
use crate::ImageProblem;

/// What a header says of the patient and the view, as it stands there. Everything is optional: de-identification
/// removes much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DicomPatient {
    /// SOP Instance UID.
    pub instance: Option<String>,
    /// Patient ID.
    pub patient_id: Option<String>,
    /// View Position.
    pub view: Option<String>,
    /// Patient's Sex.
    pub sex: Option<String>,
    /// Patient's Age, such as `058Y`.
    pub age: Option<String>,
}

/// Reads what stands before the pixels; `bytes` may be the beginning of a file, up to there at least.
///
/// # Errors
/// [`ImageProblem::Dicom`] when the elements cannot be read or end before the pixels, [`ImageProblem::Format`] for other
/// files.
pub fn read_dicom_patient(bytes: &[u8]) -> Result<DicomPatient, ImageProblem> {
    if !file::is_dicom(bytes) {
        return Err(crate::decode::not_an_image(bytes));
    }
    let file = file::open(bytes, super::HEADER_BYTES)?;
    let header = read(file.elements())?;
    if header.pixels.is_none() {
        return Err(DicomProblem::Missing("pixel data").into());
    }
    Ok(DicomPatient {
        instance: header.text(tags::SOP_INSTANCE_UID),
        patient_id: header.text(tags::PATIENT_ID),
        view: header.text(tags::VIEW_POSITION),
        sex: header.text(tags::PATIENT_SEX),
        age: header.text(tags::PATIENT_AGE),
    })
}
