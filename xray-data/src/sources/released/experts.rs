//! Google's expert labels of images of ChestX-ray14: `validation_labels.csv` and `test_labels.csv` of four findings, or
//! `test_labels.csv` of all fourteen; the images are NIH's. What single readers said (`individual_readers.csv`) is not read.
//!
//! Majkowska et al., "Chest radiograph interpretation with deep learning models", Radiology 294 (2020); Nabulsi et al., "Deep
//! learning for distinguishing normal versus abnormal chest radiographs", Scientific Reports 11 (2021); and the page "NIH Chest
//! X-ray dataset" of the Cloud Healthcare API.

use super::cells::{Counts, LabelCells};
use super::labels::line;
use super::tables::has_columns;
use super::{Draft, Equivalent, Known, NIH_14, table_in};
use crate::error::{Error, Result};
use crate::schema::Label;
use crate::sources::csv_table::Blank;
use crate::sources::table::Row;
use crate::sources::{ImageRow, Listed, SourceProblem, findings, parse_age};
use std::path::{Path, PathBuf};
use xray_artifacts::Split;

const TITLE: &str = "the expert labels of ChestX-ray14";

const FOUR: [&str; 4] = ["Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass"];

const ALL_14: &str = "the fourteen themselves, read again by radiologists (Nabulsi et al. 2021)";

pub(super) const EQUIVALENTS: &[Equivalent] = &[
    line("Atelectasis", &["Atelectasis"], ALL_14),
    line("Cardiomegaly", &["Cardiomegaly"], ALL_14),
    line("Effusion", &["Effusion"], ALL_14),
    line("Infiltration", &["Infiltration"], ALL_14),
    line("Mass", &["Mass"], ALL_14),
    line("Nodule", &["Nodule"], ALL_14),
    line("Pneumonia", &["Pneumonia"], ALL_14),
    line(
        "Pneumothorax",
        &["Pneumothorax"],
        "the finding itself, read again by radiologists (Majkowska et al. 2020; Nabulsi et al. 2021)",
    ),
    line("Consolidation", &["Consolidation"], ALL_14),
    line("Edema", &["Edema"], ALL_14),
    line("Emphysema", &["Emphysema"], ALL_14),
    line("Fibrosis", &["Fibrosis"], ALL_14),
    line("Pleural_Thickening", &["Pleural_Thickening"], ALL_14),
    line("Hernia", &["Hernia"], ALL_14),
];

fn table(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    // Browsers and scripts put the folder's name in front.
    table_in(folder, |stem| stem == name || stem.ends_with(&format!("_expert_labels_{name}")))
}

pub(super) fn find(folder: &Path) -> Result<Option<PathBuf>> {
    let found = table(folder, "test_labels")?
        .map_or_else(|| table(folder, "validation_labels"), |path| Ok(Some(path)))?;
    // CheXpert has a `test_labels.csv` too.
    let own = ["Airspace opacity", ABNORMAL[0], ABNORMAL[1]];
    Ok(found.filter(|path| own.iter().any(|name| has_columns(path, &[name]))))
}

const IMAGE: [&str; 2] = ["Image Index", "Image ID"];
const ABNORMAL: [&str; 2] = ["Abnormal", "Normal/Abnormal"];

pub(super) fn read(folder: &Path) -> Result<Draft> {
    let [validation, test] = [table(folder, "validation_labels")?, table(folder, "test_labels")?];
    let found = [(validation, Split::Val), (test, Split::Test)];
    let found: Vec<(PathBuf, Split)> =
        found.into_iter().filter_map(|(path, split)| path.map(|path| (path, split))).collect();
    if found.is_empty() {
        return Err(Error::NoTable {
            folder: folder.to_owned(),
            table: "test_labels.csv or validation_labels.csv",
            hint: "name the folder four_findings_expert_labels or all_findings_expert_labels, and NIH's with --images DIR",
        });
    }
    let mut draft = Draft {
        tables: Vec::new(),
        labels: Vec::new(),
        rows: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    let mut counts = Counts::default();
    for (path, split) in found {
        let mut known = Known::read(&path, TITLE)?;
        let abnormal = known.may(&ABNORMAL, "no finding, where it says no")?;
        let labels: &[&str] = if abnormal.is_some() { &NIH_14 } else { &FOUR };
        if !draft.labels.is_empty() && draft.labels != labels {
            return Err(known.table.problem(1, SourceProblem::OtherLabels { release: TITLE }));
        }
        draft.labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let columns = Columns {
            image: known.need(&IMAGE, "path")?,
            patient: known.need(&["Patient ID"], "patient")?,
            age: known.may(&["Patient Age"], "age")?,
            sex: known.may(&["Patient Gender", "Patient Sex"], "sex")?,
            view: known.may(&["View Position"], "view")?,
            cells: LabelCells::find(&mut known, labels, &[], Blank::Unknown)?,
            abnormal,
        };
        known.pass_over("ChestX-ray14's own labels, which these take the place of", &["Finding Labels"]);
        known.pass_over("findings beyond the fourteen", &["Other"]);
        known.pass_over(
            "nothing here needs it",
            &["Follow-up #", "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]", "Set Id"],
        );
        known.pass_over(
            "nothing here needs it",
            &["OriginalImage[Width,Height]", "OriginalImagePixelSpacing[x,y]"],
        );
        draft.notes.push(known.described()?);
        for row in known.table.rows() {
            draft.rows.push(columns.read(row, split, draft.tables.len(), &mut counts)?);
        }
        draft.warnings.append(&mut known.table.notes);
        draft.tables.push(path);
    }
    draft.notes.push("splits are the tables: validation_labels.csv is val, test_labels.csv test".to_owned());
    draft.notes.extend(counts.notes(Blank::Unknown));
    Ok(draft)
}

struct Columns {
    image: usize,
    patient: usize,
    age: Option<usize>,
    sex: Option<usize>,
    view: Option<usize>,
    cells: LabelCells,
    abnormal: Option<usize>,
}

impl Columns {
    fn read(&self, row: Row<'_>, split: Split, table: usize, counts: &mut Counts) -> Result<Listed> {
        let image_id = row.filled(self.image)?.to_owned();
        let (labels, implied) = self.cells.read(row, &image_id, counts)?;
        let no_finding = match self.abnormal.map(|column| findings::cell(row, column)).transpose()? {
            None => implied,
            Some(Label::Positive) => Label::Negative,
            Some(Label::Negative) => Label::Positive,
            Some(unsure) => unsure,
        };
        let listed = ImageRow {
            patient_id: Some(Known::number(row, self.patient)?.to_owned()),
            labels,
            no_finding: Some(no_finding),
            split: Some(split),
            view: row.optional(self.view).map(str::to_owned),
            sex: row.optional(self.sex).and_then(findings::sex),
            age: row.optional(self.age).and_then(parse_age),
            source: None,
            image_id: image_id.clone(),
        };
        Ok(Listed { row: listed, file: image_id, table, line: row.line })
    }
}
