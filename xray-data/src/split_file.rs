//! A split as a table: `image_id,patient_id,split`. Written to be looked at, kept beside a paper, edited, and
//! built from.

use crate::error::{Error, Result};
use crate::sources::csv_table::split_name;
use crate::sources::{ImageRow, SourceProblem, Table, without_extension};
use crate::split::moved;
use std::collections::HashMap;
use std::path::Path;
use xray_artifacts::{Split, write_bytes};

const IMAGE: &str = "image_id";
const PATIENT: &str = "patient_id";
const SPLIT: &str = "split";

/// Writes one line per row.
///
/// # Errors
/// A file that cannot be written.
pub fn write(path: &Path, rows: &[&ImageRow], splits: &[Split]) -> Result<()> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let memory = "memory takes every byte, and all records have three fields";
    out.write_record([IMAGE, PATIENT, SPLIT]).expect(memory);
    for (row, split) in rows.iter().zip(splits) {
        let patient = row.patient_id.as_deref().unwrap_or_default();
        out.write_record([row.image_id.as_str(), patient, split.name()]).expect(memory);
    }
    let bytes = out.into_inner().map_err(|error| Error::io(path, "write")(error.into_error()))?;
    Ok(write_bytes(path, &bytes)?)
}

/// Gives rows the split that a table says; images are matched by name without extension. Rows that the table
/// does not name keep none, which [`assign`](crate::split::assign) refuses. Returns what a person should know.
///
/// # Errors
/// [`Error::Source`] naming the line.
pub fn apply<'a>(path: &Path, rows: impl IntoIterator<Item = &'a mut ImageRow>) -> Result<Vec<String>> {
    let table = Table::read(path)?;
    let (image, split) = (table.require(&[IMAGE])?, table.require(&[SPLIT])?);
    let mut splits = HashMap::new();
    for row in table.rows() {
        let value = row.filled(split)?;
        let split = split_name(value).ok_or_else(|| {
            row.problem(SourceProblem::SplitName { column: SPLIT.to_owned(), value: value.to_owned() })
        })?;
        let image = row.filled(image)?;
        if let Some(first) = splits.insert(without_extension(image), split).filter(|first| *first != split) {
            return Err(row.problem(SourceProblem::TwoSplits {
                image_id: image.to_owned(),
                first,
                second: split,
            }));
        }
    }
    let mut changes = Vec::new();
    for row in rows {
        let said = row.split.take();
        row.split = splits.get(without_extension(&row.image_id)).copied();
        changes.extend(row.split.map(|now| (said, now)));
    }
    Ok(moved(changes.into_iter()).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::{SplitPlan, assign};

    #[test]
    fn a_written_split_is_read_back_and_an_edited_one_checked() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("split.csv");
        let row = |image: &str, patient: &str| ImageRow {
            image_id: image.into(),
            patient_id: Some(patient.into()),
            labels: Vec::new(),
            no_finding: None,
            split: None,
            view: None,
            sex: None,
            age: None,
            source: None,
        };
        let mut rows = vec![row("a,1.png", "1"), row("b.png", "1"), row("c.png", "2")];
        let splits = [Split::Train, Split::Train, Split::Test];
        write(&path, &rows.iter().collect::<Vec<_>>(), &splits).expect("writable");
        rows[2].image_id = "c.jpg".into();
        apply(&path, &mut rows).expect("just written");
        let assigned = assign(&rows.iter().collect::<Vec<_>>(), &SplitPlan::Column, 0).expect("a good split");
        assert_eq!(assigned.splits, splits);

        std::fs::write(&path, "image_id,split\na,train\nb,val\na.png,test\n").expect("writable");
        let message = xray_artifacts::one_line(&apply(&path, &mut rows).expect_err("two splits"));
        assert!(message.ends_with("line 4: image `a.png` is in train and in test"), "{message}");

        write(&path, &rows.iter().collect::<Vec<_>>(), &splits).expect("writable");
        rows[1].image_id = "not listed.png".into();
        apply(&path, &mut rows).expect("just written");
        let error = assign(&rows.iter().collect::<Vec<_>>(), &SplitPlan::Column, 0).expect_err("not listed");
        assert!(error.to_string().contains("`not listed.png`"), "{error}");
    }
}
