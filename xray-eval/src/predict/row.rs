//! What is found of one image.

use serde::{Deserialize, Serialize};
use xray_bundle::{Bundle, doubts};
use xray_data::About;
use xray_data::sources::GivenImage;
use xray_image::{Budget, is_dicom, read_dicom_patient, read_header};

/// What is found of one image, in the order of the images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// Place among all images, from 0.
    pub(crate) row: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) patient: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) view: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sex: Option<String>,
    /// In years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) age: Option<u16>,
    /// Width and height of the image as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<[u32; 2]>,
    /// Why it may be no chest X-ray, or a poor one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// Why it has no logits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// One per label, of an ensemble of each member one after the other; none at all where there is an error. Each is an f32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) logits: Vec<f64>,
}

/// Images that were looked at together: a row for each, and one after the other the pixels of those that are good.
pub(super) struct Seen {
    pub(super) rows: Vec<Row>,
    pub(super) pixels: Vec<f32>,
}

/// Reads an image and prepares it as in training. The pixels are empty where it cannot be.
///
/// # Errors
/// What is not a fault of the image.
pub(super) fn look(bundle: &Bundle, image: &GivenImage, row: usize) -> xray_data::Result<(Row, Vec<f32>)> {
    // The source is not kept: it stands in the list of images.
    let About { patient_id, view, sex, age, source: _ } = image.about.clone();
    let known = Row { row, patient: patient_id, view, sex, age, ..Row::default() };
    Ok(match image.bytes()? {
        Ok(bytes) => look_at(bundle, &bytes, known),
        Err(why) => (Row { error: Some(why), ..known }, Vec::new()),
    })
}

fn look_at(bundle: &Bundle, bytes: &[u8], known: Row) -> (Row, Vec<f32>) {
    let known = if is_dicom(bytes) { with_header(known, bytes) } else { known };
    let budget = Budget::default();
    let prepared = bundle.prepare(bytes, &budget).and_then(|prepared| {
        let warnings = doubts(bytes, &read_header(bytes)?, &prepared, &budget);
        Ok((prepared, warnings))
    });
    match prepared {
        Ok((prepared, warnings)) => {
            let row = Row { size: Some(prepared.source), warnings, ..known };
            (row, prepared.into_pixels())
        }
        Err(problem) => (Row { error: Some(problem.to_string()), ..known }, Vec::new()),
    }
}

/// What a DICOM file says of its patient, where nothing else did.
fn with_header(known: Row, bytes: &[u8]) -> Row {
    let Ok(header) = read_dicom_patient(bytes) else { return known };
    let said = xray_data::sources::dicom::DicomHeader::of(header);
    Row {
        patient: known.patient.or(said.patient_id),
        view: known.view.or(said.view),
        sex: known.sex.or(said.sex),
        age: known.age.or(said.age),
        ..known
    }
}

impl Row {
    /// The row with its logits, unless one of them is not a number.
    pub(super) fn scored(self, logits: &[f32], labels: &[String]) -> Row {
        match logits.iter().position(|logit| !logit.is_finite()) {
            None => Row { logits: logits.iter().copied().map(f64::from).collect(), ..self },
            Some(at) => {
                let label = &labels[at % labels.len()];
                let error = format!("the model's score of {label} is not a finite number");
                Row { error: Some(error), ..self }
            }
        }
    }
}
