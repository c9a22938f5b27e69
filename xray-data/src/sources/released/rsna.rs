//! The RSNA Pneumonia Detection Challenge: `stage_2_train_labels.csv` with a row for each box, or one without a box, and
//! `stage_2_detailed_class_info.csv`, over `stage_2_train_images/` of DICOM files named by `patientId`.
//!
//! Shih et al., "Augmenting the National Institutes of Health chest radiograph dataset with expert annotations of possible
//! pneumonia", Radiology: Artificial Intelligence 1 (2019).

use super::labels::line;
use super::{Draft, Equivalent, Known, table_in};
use crate::error::{Error, Result};
use crate::schema::Label;
use crate::sources::table::Row;
use crate::sources::{ImageRow, Listed, SourceProblem, findings};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

const TITLE: &str = "the RSNA challenge";
const LABEL: &str = "Lung Opacity";

pub(super) const EQUIVALENTS: &[Equivalent] = &[line(
    "Pneumonia",
    &[LABEL],
    "opacities that readers found suspicious for pneumonia (Shih et al. 2019); TorchXRayVision uses the same mapping (Cohen et \
     al. 2022)",
)];

/// `stage_2_train_labels` of any stage.
pub(super) fn find(folder: &Path) -> Result<Option<PathBuf>> {
    table_in(folder, |stem| stem.starts_with("stage_") && stem.ends_with("_train_labels"))
}

pub(super) fn read(folder: &Path) -> Result<Draft> {
    let path = find(folder)?.ok_or_else(|| Error::NoTable {
        folder: folder.to_owned(),
        table: "stage_2_train_labels.csv",
        hint: "name the folder of the challenge, which holds it",
    })?;
    let (mut notes, mut warnings) = (Vec::new(), Vec::new());
    let info = table_in(folder, |stem| stem.starts_with("stage_") && stem.ends_with("_detailed_class_info"))?;
    let classes = match &info {
        Some(info) => classes(info, &mut notes, &mut warnings)?,
        None => HashMap::new(),
    };
    let mut known = Known::read(&path, TITLE)?;
    let (image, target) = (known.need(&["patientId"], "path")?, known.need(&["Target"], "label")?);
    known.pass_over("labels are of whole images", &["x", "y", "width", "height"]);
    notes.push(known.described()?);
    let mut rows: Vec<Listed> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for row in known.table.rows() {
        let image = row.filled(image)?;
        let label = findings::cell(row, target)?;
        match seen.entry(image.to_owned()) {
            // One row per box.
            Entry::Occupied(first) => refuse_other(row, &rows[*first.get()], label)?,
            Entry::Vacant(place) => {
                place.insert(rows.len());
                rows.push(listed(row, image, label, classes.get(image).map(String::as_str))?);
            }
        }
    }
    if info.is_none() {
        notes.push(
            "without stage_2_detailed_class_info.csv it is not known which images are normal".to_owned(),
        );
    }
    notes.push(
        "`patientId` names the image: patients are unknown, so each image counts as a patient of its own"
            .to_owned(),
    );
    notes.push("view, sex and age come from the DICOM headers".to_owned());
    warnings.append(&mut known.table.notes);
    Ok(Draft { tables: vec![path], labels: vec![LABEL.to_owned()], rows, notes, warnings })
}

/// The class of each image.
fn classes(
    path: &Path,
    notes: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<HashMap<String, String>> {
    let mut known = Known::read(path, TITLE)?;
    let (image, class) = (known.need(&["patientId"], "path")?, known.need(&["class"], "no finding")?);
    notes.push(known.described()?);
    let mut classes: HashMap<String, (String, u64)> = HashMap::new();
    for row in known.table.rows() {
        let (image, class) = (row.filled(image)?, row.filled(class)?);
        let said = classes.entry(image.to_owned()).or_insert_with(|| (class.to_owned(), row.line));
        if said.0 != class {
            return Err(row.problem(SourceProblem::RowsDiffer {
                image_id: image.to_owned(),
                what: "class",
                first_line: said.1,
                first: said.0.clone(),
                second: class.to_owned(),
            }));
        }
    }
    warnings.append(&mut known.table.notes);
    Ok(classes.into_iter().map(|(image, (class, _))| (image, class)).collect())
}

fn refuse_other(row: Row<'_>, first: &Listed, label: Label) -> Result<()> {
    if first.row.labels[0] == label {
        return Ok(());
    }
    let word = |label: Label| label.as_i64().to_string();
    Err(row.problem(SourceProblem::RowsDiffer {
        image_id: first.row.image_id.clone(),
        what: "target",
        first_line: first.line,
        first: word(first.row.labels[0]),
        second: word(label),
    }))
}

fn listed(row: Row<'_>, image: &str, label: Label, class: Option<&str>) -> Result<Listed> {
    let no_finding = match (label, class) {
        (Label::Positive, Some("Normal")) => {
            let (image_id, finding) = (image.to_owned(), LABEL.to_owned());
            return Err(row.problem(SourceProblem::Contradiction { image_id, finding }));
        }
        (_, Some("Normal")) => Label::Positive,
        (Label::Positive, _) | (_, Some(_)) => Label::Negative,
        (_, None) => Label::Unknown,
    };
    let listed = ImageRow {
        image_id: image.to_owned(),
        patient_id: None,
        labels: vec![label],
        no_finding: Some(no_finding),
        split: None,
        view: None,
        sex: None,
        age: None,
        source: None,
    };
    Ok(Listed { row: listed, file: image.to_owned(), table: 0, line: row.line })
}
