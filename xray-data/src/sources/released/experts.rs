//! Google's expert labels of images of ChestX-ray14: `validation_labels.csv` and `test_labels.csv` of four findings, or
//! `test_labels.csv` of all fourteen; the images are NIH's. What readers agreed on is in these; what each said, before they
//! talked, is in `individual_readers.csv`, or `test_individual_readers.csv` of the fourteen, with a row for each.
//!
//! Majkowska et al., "Chest radiograph interpretation with deep learning models", Radiology 294 (2020); Nabulsi et al., "Deep
//! learning for distinguishing normal versus abnormal chest radiographs", Scientific Reports 11 (2021); and the page "NIH Chest
//! X-ray dataset" of the Cloud Healthcare API.

use super::cells::{Counts, LabelCells};
use super::labels::line;
use super::tables::has_columns;
use super::{Draft, Equivalent, Known, NIH_14, ReleaseOptions, table_in};
use crate::error::{Error, Result};
use crate::schema::Label;
use crate::sources::csv_table::{Blank, split_name};
use crate::sources::join::join;
use crate::sources::table::Row;
use crate::sources::{ImageRow, Join, Listed, SourceProblem, findings, parse_age};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use xray_artifacts::Split;
use xray_display::counted;

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
    let found = ["test_labels", "validation_labels", "individual_readers", "test_individual_readers"];
    let found = found.into_iter().find_map(|name| table(folder, name).transpose()).transpose()?;
    // CheXpert has a `test_labels.csv` too.
    let own = ["Airspace opacity", ABNORMAL[0], ABNORMAL[1]];
    Ok(found.filter(|path| own.iter().any(|name| has_columns(path, &[name]))))
}

const IMAGE: [&str; 2] = ["Image Index", "Image ID"];
const ABNORMAL: [&str; 2] = ["Abnormal", "Normal/Abnormal"];

/// A table, the split that all its rows are of, and whether it has a row for each reader.
struct Found {
    path: PathBuf,
    split: Option<Split>,
    is_of_readers: bool,
}

/// What readers agreed on; or what each said, where a rule for that is given or there is nothing else.
fn tables(folder: &Path, options: &ReleaseOptions) -> Result<Vec<Found>> {
    let of = |names: [(&str, Option<Split>); 2], is_of_readers| {
        let found = names
            .into_iter()
            .map(|(name, split)| Ok(table(folder, name)?.map(|path| Found { path, split, is_of_readers })));
        found.filter_map(Result::transpose).collect::<Result<Vec<Found>>>()
    };
    let agreed = of([("validation_labels", Some(Split::Val)), ("test_labels", Some(Split::Test))], false)?;
    if options.join.is_none() && !agreed.is_empty() {
        return Ok(agreed);
    }
    of([("individual_readers", None), ("test_individual_readers", Some(Split::Test))], true)
}

pub(super) fn read(folder: &Path, options: &ReleaseOptions) -> Result<Draft> {
    let found = tables(folder, options)?;
    if found.is_empty() {
        return Err(Error::NoTable {
            folder: folder.to_owned(),
            table: match options.join {
                None => "test_labels.csv or validation_labels.csv",
                Some(_) => "individual_readers.csv or test_individual_readers.csv",
            },
            hint: "name the folder four_findings_expert_labels or all_findings_expert_labels, and NIH's with --images DIR; \
                   --rows is for what single readers said",
        });
    }
    let rule = options.join.unwrap_or(Join::Majority);
    let is_of_readers = found.iter().any(|found| found.is_of_readers);
    let mut draft = Draft {
        tables: Vec::new(),
        labels: Vec::new(),
        rows: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    let mut counts = Counts::default();
    for Found { path, split, .. } in found {
        let mut known = Known::read(&path, TITLE)?;
        let abnormal = known.may(&ABNORMAL, "no finding, where it says no")?;
        let labels: &[&str] = if abnormal.is_some() { &NIH_14 } else { &FOUR };
        if !draft.labels.is_empty() && draft.labels != labels {
            return Err(known.table.problem(1, SourceProblem::OtherLabels { release: TITLE }));
        }
        draft.labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let named = |label: &&'static str| if *label == FOUR[3] { nodule(&known) } else { *label };
        let names: Vec<&str> = labels.iter().map(named).collect();
        let columns = Columns {
            image: known.need(&IMAGE, "path")?,
            patient: known.need(&["Patient ID"], "patient")?,
            age: known.may(&["Patient Age"], "age")?,
            sex: known.may(&["Patient Gender", "Patient Sex"], "sex")?,
            view: known.may(&["View Position"], "view")?,
            cells: LabelCells::find(&mut known, &names, &[], Blank::Unknown)?,
            abnormal,
            reader: match is_of_readers {
                true => Some(known.need(&["Reader ID"], "reader")?),
                false => None,
            },
            split: match is_of_readers {
                true => known.may(&["Set ID"], "split")?,
                false => None,
            },
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
        let table = draft.tables.len();
        let mut rows = Vec::new();
        let mut seen = HashMap::new();
        for row in known.table.rows() {
            columns.refuse_second(row, &mut seen)?;
            rows.push(columns.read(row, split, table, &mut counts)?);
        }
        if is_of_readers {
            let readings = rows.len();
            rows = join(rows, rule, &draft.labels, &known.table)?;
            draft.notes.push(format!(
                "{} of {} are joined: {}{}; a hedge is uncertain",
                counted(readings, "reading"),
                counted(rows.len(), "image"),
                rule.describe(),
                if options.join.is_none() { " (--rows any, majority or all)" } else { "" }
            ));
        }
        draft.rows.append(&mut rows);
        draft.warnings.append(&mut known.table.notes);
        draft.tables.push(path);
    }
    draft.notes.push(
        match is_of_readers {
            true => "what each reader said, before those of an image agreed; splits are `Set ID`, or the name of the table",
            false => "splits are the tables: validation_labels.csv is val, test_labels.csv test",
        }
        .to_owned(),
    );
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
    reader: Option<usize>,
    split: Option<usize>,
}

/// The finding as the table at hand spells it: readers had a shorter name for it.
fn nodule(known: &Known) -> &'static str {
    if known.table.column(&[FOUR[3]]).is_some() { FOUR[3] } else { "Nodule/mass" }
}

impl Columns {
    /// A reader reads an image once.
    fn refuse_second(&self, row: Row<'_>, seen: &mut HashMap<(String, String), u64>) -> Result<()> {
        let Some(reader) = self.reader else { return Ok(()) };
        let (image_id, reader) = (row.filled(self.image)?.to_owned(), row.filled(reader)?.to_owned());
        match seen.insert((image_id.clone(), reader.clone()), row.line) {
            Some(first) => Err(row.problem(SourceProblem::ReaderTwice { image_id, reader, first })),
            None => Ok(()),
        }
    }

    fn split(&self, row: Row<'_>, of_table: Option<Split>) -> Result<Option<Split>> {
        let Some(column) = self.split else { return Ok(of_table) };
        let Some(value) = row.optional(Some(column)) else { return Ok(of_table) };
        let problem =
            || SourceProblem::SplitName { column: row.header(column).to_owned(), value: value.to_owned() };
        split_name(value).map(Some).ok_or_else(|| row.problem(problem()))
    }

    fn read(&self, row: Row<'_>, split: Option<Split>, table: usize, counts: &mut Counts) -> Result<Listed> {
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
            split: self.split(row, split)?,
            view: row.optional(self.view).map(str::to_owned),
            sex: row.optional(self.sex).and_then(findings::sex),
            age: row.optional(self.age).and_then(parse_age),
            source: None,
            image_id: image_id.clone(),
        };
        Ok(Listed { row: listed, file: image_id, table, line: row.line })
    }
}
