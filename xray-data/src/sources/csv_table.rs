//! Any table with one image per row: a path, a patient and labels, the labels either as one column each
//! (`0`, `1`, `-1`, empty, `true`, `false`) or `|`-joined in one column.

use crate::error::Result;
use crate::labels::{NIH_14, nih_14, plain};
use crate::schema::Label;
use crate::sources::table::Row;
use crate::sources::{ImageRow, Listed, Listing, SourceProblem, Table, findings, parse_age};
use std::collections::HashSet;
use std::path::Path;
use xray_artifacts::Split;

pub(crate) const PATH: &[&str] =
    &["path", "image_path", "file", "filename", "file_name", "image", "image_id", "Image Index"];
pub(crate) const PATIENT: &[&str] = &["patient_id", "patient", "subject_id", "Patient ID"];
const FINDINGS: &[&str] = &["Finding Labels", "findings", "labels"];
pub(crate) const VIEW: &[&str] = &["view", "view_position", "ViewPosition", "AP/PA"];
pub(crate) const SEX: &[&str] = &["sex", "gender", "Patient Gender", "Patient Sex"];
pub(crate) const AGE: &[&str] = &["age", "Patient Age"];

/// Which columns mean what. A column that is named must be there; for the others the usual names are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvColumns {
    /// Path of the image, from the folder of images.
    pub path: Option<String>,
    /// The patient; without one the split is drawn by image and may leak.
    pub patient: Option<String>,
    /// `train`, `val` or `test`; not read unless it is named.
    pub split: Option<String>,
    /// Findings joined by `|`.
    pub findings: Option<String>,
    /// The findings to keep, in this order. Where empty: the columns named like one of the fourteen, or all
    /// fourteen for a joined column.
    pub labels: Vec<String>,
}

/// Reads a table of any layout.
pub fn read(table: &Path, columns: &CsvColumns) -> Result<Listing> {
    let table = Table::read(table)?;
    let path = named_or_usual(&table, columns.path.as_deref(), PATH)?;
    let path = path.map_or_else(|| table.require(PATH), Ok)?;
    let patient = named_or_usual(&table, columns.patient.as_deref(), PATIENT)?;
    let split = columns.split.as_deref().map(|name| table.require(&[name])).transpose()?;
    let (labels, places) = label_columns(&table, columns)?;
    let [view, sex, age] = [VIEW, SEX, AGE].map(|names| table.column(names));
    let rows = table.rows().map(|row| {
        let file = row.filled(path)?.to_owned();
        let listed = ImageRow {
            patient_id: row.optional(patient).map(str::to_owned),
            labels: places.read(row, &labels, &file)?,
            split: split.map(|column| split_cell(row, column)).transpose()?,
            view: row.optional(view).map(str::to_owned),
            sex: row.optional(sex).and_then(findings::sex),
            age: row.optional(age).and_then(parse_age),
            image_id: file_name(&file).to_owned(),
        };
        Ok(Listed { row: listed, file, line: row.line })
    });
    let mut rows = rows.collect::<Result<Vec<_>>>()?;
    name_by_path_if_needed(&mut rows);
    Listing { rows, table: table.path, kind: "csv", labels, warnings: Vec::new() }.unique()
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

/// Where a table keeps its labels.
enum LabelPlaces {
    /// Joined in one column.
    Joined(usize),
    /// One column per label.
    Columns(Vec<usize>),
}

impl LabelPlaces {
    fn read(&self, row: Row<'_>, labels: &[String], image_id: &str) -> Result<Vec<Label>> {
        match self {
            LabelPlaces::Joined(column) => findings::joined(row, *column, labels, image_id),
            LabelPlaces::Columns(columns) => columns.iter().map(|&c| findings::cell(row, c)).collect(),
        }
    }
}

fn named_or_usual(table: &Table, named: Option<&str>, usual: &[&str]) -> Result<Option<usize>> {
    named.map_or_else(|| Ok(table.column(usual)), |name| table.require(&[name]).map(Some))
}

/// The labels and their columns. A joined column that was named wins, then one column per label, then a
/// joined column with a usual name.
fn label_columns(table: &Table, columns: &CsvColumns) -> Result<(Vec<String>, LabelPlaces)> {
    let wanted = if columns.labels.is_empty() { nih_14() } else { columns.labels.clone() };
    if let Some(name) = &columns.findings {
        return Ok((wanted, LabelPlaces::Joined(table.require(&[name])?)));
    }
    let found: Vec<Option<usize>> = wanted.iter().map(|label| table.column(&[label])).collect();
    let any = found.iter().any(Option::is_some);
    match table.column(FINDINGS) {
        Some(column) if !any => Ok((wanted, LabelPlaces::Joined(column))),
        _ if !columns.labels.is_empty() => {
            let places = wanted.iter().map(|label| table.require(&[label])).collect::<Result<_>>()?;
            Ok((wanted, LabelPlaces::Columns(places)))
        }
        _ if any => Ok(usual_columns(found)),
        _ => {
            let columns = table.headers().map(str::to_owned).collect();
            Err(table.problem(1, SourceProblem::NoLabels { columns }))
        }
    }
}

fn usual_columns(found: Vec<Option<usize>>) -> (Vec<String>, LabelPlaces) {
    let pairs = NIH_14.iter().zip(found).filter_map(|(label, column)| Some(((*label).to_owned(), column?)));
    let (labels, places) = pairs.unzip();
    (labels, LabelPlaces::Columns(places))
}

fn split_cell(row: Row<'_>, column: usize) -> Result<Split> {
    let value = row.filled(column)?;
    split_name(value).ok_or_else(|| {
        let (column, value) = (row.header(column).to_owned(), value.to_owned());
        row.problem(SourceProblem::SplitName { column, value })
    })
}

/// `train`, `val` (also `valid`, `validation`, `dev`) or `test`, in any case.
pub(crate) fn split_name(value: &str) -> Option<Split> {
    match plain(value).as_str() {
        "train" | "training" => Some(Split::Train),
        "val" | "valid" | "validation" | "dev" => Some(Split::Val),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Negative, Positive, Uncertain, Unknown};
    use std::fs;
    use xray_artifacts::one_line;

    fn read_text(text: &str, columns: &CsvColumns) -> Result<Listing> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("rows.csv");
        fs::write(&path, text).expect("writable");
        read(&path, columns)
    }

    fn check_refused(text: &str, columns: &CsvColumns, expected: &str) {
        let message = one_line(&read_text(text, columns).expect_err(expected));
        assert!(message.ends_with(expected), "{message}");
    }

    #[test]
    fn label_cells_are_read_in_every_spelling() {
        let text =
            "path,patient,Mass,Effusion,Nodule\na.png,1,1,0,-1\nb.png,1,true,FALSE,\nc.png,2,1.0,0.0,-1.0\n";
        let listing = read_text(text, &CsvColumns::default()).expect("a good table");
        assert_eq!(listing.labels, ["Effusion", "Mass", "Nodule"]); // the usual order, not the table's
        for listed in &listing.rows {
            let last = if listed.file == "b.png" { Unknown } else { Uncertain };
            assert_eq!(listed.row.labels, [Negative, Positive, last], "{}", listed.file);
        }
    }

    #[test]
    fn named_columns_and_a_joined_one_are_read() {
        let columns = CsvColumns {
            path: Some("where".into()),
            findings: Some("what".into()),
            split: Some("split".into()),
            labels: vec!["Fracture".into(), "Mass".into()],
            ..CsvColumns::default()
        };
        let text = "where,what,subject_id,split\nx/a.png,Mass|Fracture,7,valid\nb.png,Hernia,7,val\n";
        let listing = read_text(text, &columns).expect("a good table");
        assert_eq!(listing.rows[0].row.labels, [Positive, Positive]);
        assert_eq!(listing.rows[1].row.labels, [Negative, Negative]); // known, but not asked for
        assert_eq!(listing.rows[0].row.split, Some(Split::Val));
        assert_eq!(listing.rows[0].row.patient_id.as_deref(), Some("7"));
    }

    #[test]
    fn images_are_named_by_file_or_else_by_path() {
        let check = |paths: [&str; 2], expected: [&str; 2]| {
            let text = format!("path,Mass\n{},1\n{},1\n", paths[0], paths[1]);
            let listing = read_text(&text, &CsvColumns::default()).expect("a good table");
            let ids: Vec<_> = listing.rows.iter().map(|listed| listed.row.image_id.as_str()).collect();
            assert_eq!(ids, expected);
        };
        check(["x/a.png", "x/b.png"], ["a.png", "b.png"]);
        check(["p1/view.jpg", "./p2/view.jpg"], ["p1_view.jpg", "p2_view.jpg"]);
    }

    #[test]
    fn a_bad_cell_or_column_is_named() {
        let usual = CsvColumns::default();
        check_refused("path,Mass\na.png,2\n", &usual, "line 2: `2` in column `Mass` is no label");
        let split = CsvColumns { split: Some("split".into()), ..CsvColumns::default() };
        check_refused(
            "path,Mass,split\na.png,1,trian\n",
            &split,
            "line 2: `trian` in column `split` is no split",
        );
        check_refused("path,Massive\na.png,1\n", &usual, "line 1: no column holds labels");
        let effusion = CsvColumns { labels: vec!["Efusion".into()], ..CsvColumns::default() };
        check_refused(
            "path,Effusion\na.png,1\n",
            &effusion,
            "line 1: no column `Efusion`; nearest is `Effusion`",
        );
    }
}
