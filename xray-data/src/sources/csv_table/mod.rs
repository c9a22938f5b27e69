//! Any table with one image per row: a path, a patient and labels, the labels either in one column each, or as
//! lists in one column. What the table offers and is not used is named.

mod cells;
mod columns;

pub(super) use columns::quoted_few;

use crate::error::Result;
use crate::labels::plain;
use crate::sources::archive::table_of;
use crate::sources::join::{self, Join};
use crate::sources::label_columns::{self, LabelColumns, Places};
use crate::sources::table::Row;
use crate::sources::{Listed, Listing, Lookup, SourceProblem, Table};
use cells::{Counts, Reader};
use columns::{Columns, described};
use std::collections::HashSet;
use std::path::Path;
use xray_artifacts::Split;
use xray_display::counted;

pub(crate) const PATH: &[&str] =
    &["path", "image_path", "file", "filename", "file_name", "image", "image_id", "Image Index"];
pub(crate) const PATIENT: &[&str] = &["patient_id", "patient", "subject_id", "Patient ID"];
pub(crate) const VIEW: &[&str] = &["view", "view_position", "ViewPosition", "AP/PA"];
pub(crate) const SEX: &[&str] = &["sex", "gender", "Patient Gender", "Patient Sex"];
pub(crate) const AGE: &[&str] = &["age", "Patient Age"];
/// CheXpert's: what `AP/PA` leaves blank is lateral.
const LATERAL: &[&str] = &["Frontal/Lateral"];
const SPLIT: &[&str] = &["split"];

/// Which columns mean what, and how their cells are read. A column that is named must be there; for the others the
/// usual names are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvColumns {
    /// Path of the image, from the folder of images.
    pub path: Option<String>,
    /// The patient; without one the split is drawn by image and may leak.
    pub patient: Option<String>,
    /// `train`, `val` or `test`; a column `split` is read without being named.
    pub split: Option<String>,
    /// Read `split` only where it says nothing but splits: others are given anyway.
    pub other_splits: bool,
    /// Lists of findings.
    pub findings: Option<String>,
    /// The findings to keep, in this order. Where empty: the columns named like one of the fourteen, if no other
    /// column looks like labels, or all fourteen for a column of lists.
    pub labels: Vec<String>,
    /// Between columns; where none, as the header line shows.
    pub separator: Option<char>,
    /// What a blank label cell says.
    pub blank: Blank,
    /// How several rows of an image become one; where none, they are refused.
    pub join: Option<Join>,
    /// Keep labels that no image shows.
    pub allow_empty: bool,
    /// Read no labels at all: whatever else a row holds is not looked at.
    pub unlabelled: bool,
}

/// What a blank label cell says. Command lines name it so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Blank {
    /// Nothing: no loss is computed and no score counts it
    #[default]
    Unknown,
    /// The finding is absent, as papers on CheXpert take it: it was not mentioned
    Negative,
}

/// Reads a table of any layout, which may be named by the archive that holds it and no other.
///
/// # Errors
/// [`Source`](crate::Error::Source) naming the line: a cell that cannot be read, columns or rows that contradict each
/// other, columns that look like labels and that nobody named, a label without a positive.
pub fn read(table: &Path, columns: &CsvColumns) -> Result<Listing> {
    let mut table = Table::read_separated(&table_of(table)?, columns.separator)?;
    let places = Columns::find(&table, columns)?;
    let truth = match columns.unlabelled {
        true => LabelColumns::none(),
        false => label_columns::find(&table, columns, &places.taken())?,
    };
    if let (Places::Lists { .. }, Some(Join::Majority | Join::All)) = (&truth.places, columns.join) {
        return Err(table.problem(1, SourceProblem::JoinLists));
    }
    let mut counts = Counts::default();
    let mut reader = Reader::new(&places, &truth, columns.blank, &mut counts);
    let rows = table.rows().map(|row| reader.read(row)).collect::<Result<Vec<_>>>()?;
    let mut notes = std::mem::take(&mut table.notes);
    if !columns.unlabelled && !columns.other_splits {
        notes.extend(places.overlooked_splits(&table, &truth));
    }
    let described = described(&table, &places, &truth);
    let mut rows = rows;
    notes.extend(patients_by_path(&mut rows));
    name_by_path_if_needed(&mut rows);
    notes.extend(counts.notes(&truth, columns.blank));
    if let Some(rule) = columns.join {
        let before = rows.len();
        rows = join::join(rows, rule, &truth.labels, &table)?;
        if rows.len() < before {
            notes.push(format!(
                "{} of {} are joined: {}",
                counted(before, "row"),
                counted(rows.len(), "image"),
                rule.describe()
            ));
        }
    }
    let LabelColumns { labels, chosen, .. } = truth;
    let listing = Listing {
        rows,
        tables: vec![table.path],
        kind: "csv",
        labels,
        lookup: Lookup::default(),
        notes: vec![described],
        warnings: notes,
    }
    .unique()?;
    if chosen && !columns.allow_empty { listing.refuse_empty_labels() } else { Ok(listing) }
}

/// CheXpert has no column of patients: they are a folder of the path, `patient00001`. Taken where every path has one.
fn patients_by_path(rows: &mut [Listed]) -> Option<String> {
    fn patient(path: &str) -> Option<&str> {
        let digits = |part: &&str| {
            let number = part.strip_prefix("patient").unwrap_or_default();
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let mut folders = path.split(['/', '\\']).filter(digits);
        folders.next().filter(|_| folders.next().is_none())
    }
    let has_one = |listed: &Listed| listed.row.patient_id.is_none() && patient(&listed.file).is_some();
    if rows.is_empty() || !rows.iter().all(has_one) {
        return None;
    }
    for Listed { row, file, .. } in rows.iter_mut() {
        row.patient_id = patient(file).map(str::to_owned);
    }
    Some(format!(
        "patients are taken from the paths, as `{}`",
        rows[0].row.patient_id.as_deref().unwrap_or_default()
    ))
}

/// An image is named by its file name; where folders hold files of one name, as `view1.jpg` per patient, all
/// are named by their paths, `_` between the folders.
fn name_by_path_if_needed(rows: &mut [Listed]) {
    let distinct: HashSet<&str> = rows.iter().map(|listed| listed.row.image_id.as_str()).collect();
    let paths: HashSet<&str> = rows.iter().map(|listed| listed.file.as_str()).collect();
    if distinct.len() < paths.len() {
        for Listed { row, file, .. } in rows {
            row.image_id = file.trim_start_matches("./").replace(['/', '\\'], "_");
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn split_cell(row: Row<'_>, column: usize) -> Result<Split> {
    let value = row.filled(column)?;
    split_name(value).ok_or_else(|| {
        let (column, value) = (row.header(column).to_owned(), value.to_owned());
        row.problem(SourceProblem::SplitName { column, value })
    })
}

/// `train`, `val` (also `valid`, `validate`, `validation`, `dev`) or `test`, in any case.
pub(crate) fn split_name(value: &str) -> Option<Split> {
    match plain(value).as_str() {
        "train" | "training" => Some(Split::Train),
        "val" | "valid" | "validate" | "validation" | "dev" => Some(Split::Val),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
