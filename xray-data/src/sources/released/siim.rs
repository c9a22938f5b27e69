//! The SIIM-ACR Pneumothorax Segmentation challenge: `train-rle.csv` or `stage_2_train.csv` with a row for each mask, run
//! lengths or -1 for none, over DICOM files named by SOP Instance UID in folders of studies and series.
//!
//! The challenge's page on Kaggle (siim-acr-pneumothorax-segmentation) says what the columns are.

use super::labels::line;
use super::{Draft, Equivalent, Known, table_in};
use crate::error::{Error, Result};
use crate::schema::Label;
use crate::sources::{ImageRow, Listed, SourceProblem};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

const TITLE: &str = "the SIIM-ACR challenge";
const LABEL: &str = "Pneumothorax";

pub(super) const EQUIVALENTS: &[Equivalent] = &[line(
    LABEL,
    &[LABEL],
    "a mask outlines the pneumothorax (SIIM-ACR challenge, description of the data)",
)];

pub(super) fn find(folder: &Path) -> Result<Option<PathBuf>> {
    table_in(folder, |stem| ["train-rle", "stage_2_train"].contains(&stem))
}

pub(super) fn read(folder: &Path) -> Result<Draft> {
    let path = find(folder)?.ok_or_else(|| Error::NoTable {
        folder: folder.to_owned(),
        table: "train-rle.csv or stage_2_train.csv",
        hint: "name the folder of the challenge, which holds it",
    })?;
    let mut known = Known::read(&path, TITLE)?;
    let (image, mask) = (known.need(&["ImageId"], "path")?, known.need(&["EncodedPixels"], "label")?);
    let mut notes = vec![known.described()?];
    let mut rows: Vec<Listed> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for row in known.table.rows() {
        let (image, cell) = (row.filled(image)?, row.filled(mask)?);
        let has_mask = cell != "-1";
        if has_mask && !is_run_lengths(cell) {
            let (column, value) = (row.header(mask).to_owned(), cell.to_owned());
            return Err(row.problem(SourceProblem::Mask { column, value }));
        }
        let label = if has_mask { Label::Positive } else { Label::Negative };
        match seen.entry(image.to_owned()) {
            Entry::Occupied(first) => {
                let first = &rows[*first.get()];
                if first.row.labels[0] != label {
                    let word =
                        |label: Label| if label == Label::Positive { "a mask" } else { "none" }.to_owned();
                    return Err(row.problem(SourceProblem::RowsDiffer {
                        image_id: image.to_owned(),
                        what: "mask",
                        first_line: first.line,
                        first: word(first.row.labels[0]),
                        second: word(label),
                    }));
                }
            }
            Entry::Vacant(place) => {
                place.insert(rows.len());
                let listed = ImageRow {
                    image_id: image.to_owned(),
                    patient_id: None,
                    labels: vec![label],
                    no_finding: Some(if has_mask { Label::Negative } else { Label::Unknown }),
                    split: None,
                    view: None,
                    sex: None,
                    age: None,
                    source: None,
                };
                rows.push(Listed { row: listed, file: image.to_owned(), table: 0, line: row.line });
            }
        }
    }
    notes.push("an image has the label where it has a mask; where the mask lies is not used".to_owned());
    notes.push("patients are unknown: each image counts as a patient of its own".to_owned());
    notes.push("view, sex and age come from the DICOM headers".to_owned());
    let warnings = std::mem::take(&mut known.table.notes);
    Ok(Draft { tables: vec![path], labels: vec![LABEL.to_owned()], rows, notes, warnings })
}

/// Pairs of a start and a length.
fn is_run_lengths(cell: &str) -> bool {
    let numbers: Vec<&str> = cell.split_ascii_whitespace().collect();
    let is_number = |number: &&str| number.bytes().all(|byte| byte.is_ascii_digit());
    !numbers.is_empty() && numbers.len().is_multiple_of(2) && numbers.iter().all(is_number)
}
