//! VinDr-CXR. From PhysioNet: `annotations/image_labels_train.csv` with a row for each of three readers of an image, and
//! `image_labels_test.csv` with what five agreed on, over `train/` and `test/` of DICOM files; the tables of boxes beside them
//! say where. Of the VinBigData challenge only boxes are known: `train.csv`, with one row for each box of a reader.
//!
//! Nguyen et al., "VinDr-CXR: an open dataset of chest X-rays with radiologist's annotations", Scientific Data 9 (2022).

use super::cells::{Counts, LabelCells};
use super::labels::line;
use super::tables::{has_columns, table_below};
use super::{Draft, Equivalent, Known, ReleaseOptions};
use crate::error::{Error, Result};
use crate::labels::{is_no_finding, nearest, plain, position};
use crate::schema::Label;
use crate::sources::csv_table::Blank;
use crate::sources::join::join;
use crate::sources::{ImageRow, Join, Listed, SourceProblem};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use xray_artifacts::Split;
use xray_display::counted;

const TITLE: &str = "VinDr-CXR";

/// Local labels, then global ones (Nguyen et al. 2022, table 2).
const LABELS: [&str; 27] = [
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Clavicle fracture",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Enlarged PA",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Lung cavity",
    "Lung cyst",
    "Mediastinal shift",
    "Nodule/Mass",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    "Rib fracture",
    "Other lesion",
    "COPD",
    "Lung tumor",
    "Pneumonia",
    "Tuberculosis",
    OTHER,
];

/// The table of test labels leaves the plural out.
const OTHER: &str = "Other diseases";
const OTHER_OF_TEST: &str = "Other disease";

/// How many of [`LABELS`] have boxes.
const LOCAL: usize = 22;

/// The classes of the challenge.
const CHALLENGE: [&str; 14] = [
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Nodule/Mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
];

const SAME_NAME: &str = "the same finding (Nguyen et al. 2022, table 2)";

pub(super) const EQUIVALENTS: &[Equivalent] = &[
    line("Atelectasis", &["Atelectasis"], SAME_NAME),
    line("Cardiomegaly", &["Cardiomegaly"], SAME_NAME),
    line(
        "Effusion",
        &["Pleural effusion"],
        "ChestX-ray14's Effusion is pleural (Wang et al. 2017, table 1; TorchXRayVision uses the same mapping, Cohen et al. \
         2022)",
    ),
    line("Infiltration", &["Infiltration"], SAME_NAME),
    line(
        "Pneumonia",
        &["Pneumonia"],
        "the same, as a diagnosis of the whole image (Nguyen et al. 2022, table 2)",
    ),
    line("Pneumothorax", &["Pneumothorax"], SAME_NAME),
    line("Consolidation", &["Consolidation"], SAME_NAME),
    line("Edema", &["Edema"], SAME_NAME),
    line("Emphysema", &["Emphysema"], SAME_NAME),
    line(
        "Fibrosis",
        &["Pulmonary fibrosis"],
        "Fibrosis of the lung (Wang et al. 2017; Nguyen et al. 2022, table 2)",
    ),
    line("Pleural_Thickening", &["Pleural thickening"], SAME_NAME),
];

/// What a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One column per label.
    Labels,
    /// One row per box.
    Boxes,
}

/// The tables to read: labels of images where they are there, else boxes.
fn tables(folder: &Path) -> Result<Vec<(PathBuf, Split, Kind)>> {
    const FOLDERS: [&str; 2] = ["", "annotations"];
    let mut found = Vec::new();
    for (split, labels, boxes) in [
        (Split::Train, "image_labels_train", &["annotations_train", "train"][..]),
        (Split::Test, "image_labels_test", &["annotations_test"][..]),
    ] {
        for below in FOLDERS {
            let labels =
                table_below(folder, below, |stem| stem == labels)?.map(|path| (path, split, Kind::Labels));
            found.extend(labels);
        }
        if found.iter().all(|(_, of, _)| *of != split) {
            for below in FOLDERS {
                let boxes = table_below(folder, below, |stem| boxes.contains(&stem))?;
                found.extend(boxes.filter(|path| is_boxes(path)).map(|path| (path, split, Kind::Boxes)));
            }
        }
    }
    Ok(found)
}

/// Others have a `train.csv` too.
fn is_boxes(path: &Path) -> bool {
    let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("annotations_"));
    named || has_columns(path, &["image_id", "class_name"])
}

pub(super) fn find(folder: &Path) -> Result<Option<PathBuf>> {
    Ok(tables(folder)?.into_iter().map(|(path, ..)| path).next())
}

pub(super) fn read(folder: &Path, options: &ReleaseOptions) -> Result<Draft> {
    let found = tables(folder)?;
    if found.is_empty() {
        return Err(Error::NoTable {
            folder: folder.to_owned(),
            table: "image_labels_train.csv, annotations_train.csv or train.csv",
            hint: "name the folder that holds them, or whose folder `annotations` does",
        });
    }
    let rule = options.join.unwrap_or(Join::Majority);
    let is_challenge = found.iter().any(|(path, ..)| {
        path.file_stem().is_some_and(|stem| stem.to_string_lossy().trim_end_matches(".csv") == "train")
    });
    let labels: Vec<String> = match found.iter().all(|(.., kind)| *kind == Kind::Labels) {
        true => LABELS.map(str::to_owned).to_vec(),
        false if is_challenge => CHALLENGE.map(str::to_owned).to_vec(),
        false => LABELS[..LOCAL].iter().map(|label| (*label).to_owned()).collect(),
    };
    let mut draft =
        Draft { tables: Vec::new(), labels, rows: Vec::new(), notes: Vec::new(), warnings: Vec::new() };
    let mut counts = Counts::default();
    for (path, split, kind) in found {
        let mut known = Known::read(&path, TITLE)?;
        let at = Place { split, table: draft.tables.len() };
        let readings = match kind {
            Kind::Labels => of_labels(&mut known, &draft.labels, at, &mut counts)?,
            Kind::Boxes => of_boxes(&mut known, &draft.labels, at)?,
        };
        draft.notes.push(known.described()?);
        let (before, rows) = (readings.len(), join(readings, rule, &draft.labels, &known.table)?);
        if before > rows.len() {
            draft.notes.push(format!(
                "{} of {} are joined: {}{}",
                counted(before, "reading"),
                counted(rows.len(), "image"),
                rule.describe(),
                if options.join.is_none() { " (--rows any, majority or all)" } else { "" }
            ));
        }
        draft.rows.extend(rows);
        draft.warnings.append(&mut known.table.notes);
        draft.tables.push(path);
    }
    draft.notes.extend(counts.notes(Blank::Unknown));
    draft.notes.push("patients are unknown: each image counts as a patient of its own".to_owned());
    draft
        .notes
        .push("all images are PA (Nguyen et al. 2022), sex and age come from the DICOM headers".to_owned());
    Ok(draft)
}

#[derive(Clone, Copy)]
struct Place {
    split: Split,
    table: usize,
}

impl Place {
    fn listed(self, image: &str, labels: Vec<Label>, no_finding: Label, line: u64) -> Listed {
        let row = ImageRow {
            image_id: image.to_owned(),
            patient_id: None,
            labels,
            no_finding: Some(no_finding),
            split: Some(self.split),
            view: Some("PA".to_owned()),
            sex: None,
            age: None,
            source: None,
        };
        Listed { row, file: image.to_owned(), table: self.table, line }
    }
}

/// Rows of a reader's labels, or of what five agreed on.
fn of_labels(known: &mut Known, labels: &[String], at: Place, counts: &mut Counts) -> Result<Vec<Listed>> {
    let image = known.need(&["image_id"], "path")?;
    let reader = known.may(&["rad_id"], "reader")?;
    let has_other = known.table.column(&[OTHER]).is_some();
    let named = |label: &'static str| if label == OTHER && !has_other { OTHER_OF_TEST } else { label };
    let names: Vec<&str> =
        LABELS.into_iter().filter(|label| position(labels, label).is_some()).map(named).collect();
    let cells = LabelCells::find(known, &names, &["No finding"], Blank::Unknown)?;
    known.pass_over("the other table does not have it", &LABELS);
    let mut seen: HashMap<(String, String), u64> = HashMap::new();
    let mut rows = Vec::new();
    for row in known.table.rows() {
        let image = row.filled(image)?;
        let reader = row.optional(reader).unwrap_or_default();
        if let Some(first) = seen.insert((image.to_owned(), reader.to_owned()), row.line) {
            let (image_id, reader) = (image.to_owned(), reader.to_owned());
            return Err(row.problem(match reader.is_empty() {
                true => SourceProblem::Duplicate { image_id, first },
                false => SourceProblem::ReaderTwice { image_id, reader, first },
            }));
        }
        let (labels, no_finding) = cells.read(row, image, counts)?;
        rows.push(at.listed(image, labels, no_finding, row.line));
    }
    Ok(rows)
}

/// What each reader boxed of an image: what he did not box he did not see.
fn of_boxes(known: &mut Known, labels: &[String], at: Place) -> Result<Vec<Listed>> {
    let image = known.need(&["image_id"], "path")?;
    let reader = known.may(&["rad_id"], "reader")?;
    let class = known.need(&["class_name"], "findings")?;
    known.pass_over("class_name says it", &["class_id"]);
    known.pass_over("labels are of whole images", &["x_min", "y_min", "x_max", "y_max"]);
    let places: HashMap<String, usize> =
        labels.iter().enumerate().map(|(place, label)| (plain(label), place)).collect();
    let mut readings: Vec<Listed> = Vec::new();
    let mut of_reader: HashMap<(String, String), usize> = HashMap::new();
    for row in known.table.rows() {
        let (image, name) = (row.filled(image)?, row.filled(class)?);
        let reader = row.optional(reader).unwrap_or_default();
        let place = match of_reader.entry((image.to_owned(), reader.to_owned())) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                let negative = vec![Label::Negative; labels.len()];
                readings.push(at.listed(image, negative, Label::Unknown, row.line));
                *place.insert(readings.len() - 1)
            }
        };
        let said = &mut readings[place].row;
        let (shown, healthy) =
            (said.no_finding == Some(Label::Negative), said.no_finding == Some(Label::Positive));
        match places.get(&plain(name)) {
            Some(_) if healthy => {
                let (image_id, finding) = (image.to_owned(), name.to_owned());
                return Err(row.problem(SourceProblem::Contradiction { image_id, finding }));
            }
            Some(&place) => {
                said.labels[place] = Label::Positive;
                said.no_finding = Some(Label::Negative);
            }
            None if is_no_finding(name) && shown => {
                let shows =
                    said.labels.iter().position(|label| *label == Label::Positive).unwrap_or_default();
                let (image_id, finding) = (image.to_owned(), labels[shows].clone());
                return Err(row.problem(SourceProblem::Contradiction { image_id, finding }));
            }
            None if is_no_finding(name) => said.no_finding = Some(Label::Positive),
            None => {
                return Err(row.problem(SourceProblem::UnknownFinding {
                    finding: name.to_owned(),
                    image_id: image.to_owned(),
                    nearest: nearest(name, labels.iter().map(String::as_str)).map(str::to_owned),
                    column: "class_name".to_owned(),
                    separator: '|',
                    joined_by: None,
                    offer: None,
                }));
            }
        }
    }
    Ok(readings)
}
