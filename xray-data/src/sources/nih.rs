//! ChestX-ray14 as NIH and its mirrors hand it out: `Data_Entry_2017.csv` (or `_v2020`) and folders
//! `images_001/images/*.png`; copies as JPEG match by name.
//!
//! Source of the columns: Wang et al., "ChestX-ray8", CVPR 2017, and the readme of the release.

use crate::error::{Error, Result};
use crate::labels::check_names;
use crate::sources::findings::{self, Lists};
use crate::sources::released::{Known, table_in};
use crate::sources::table::patient_name;
use crate::sources::{ImageRow, Listed, Listing, Lookup, SourceProblem, parse_age};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const IMAGE: &[&str] = &["Image Index"];
const FINDINGS: &[&str] = &["Finding Labels", "Finding Label"];
const PATIENT: &[&str] = &["Patient ID"];
const AGE: &[&str] = &["Patient Age"];
const SEX: &[&str] = &["Patient Gender", "Patient Sex"];
const VIEW: &[&str] = &["View Position"];
/// Two names that a comma splits, and the same of copies that quote them.
const SIZES: [&str; 6] = [
    "OriginalImage[Width",
    "Height]",
    "OriginalImagePixelSpacing[x",
    "y]",
    "OriginalImage[Width,Height]",
    "OriginalImagePixelSpacing[x,y]",
];
const TITLE: &str = "ChestX-ray14";

/// Reads a `Data_Entry` table. Two of its nine column names hold an unquoted comma, so that the header line
/// spans eleven fields, as every row does; columns are found by name. The first release gives ages as `058Y`
/// and has a few that are impossible, which are left out.
pub fn read(table: &Path, labels: &[String]) -> Result<Listing> {
    let mut known = Known::read(table, TITLE)?;
    check_names(labels).map_err(|problem| known.table.problem(1, SourceProblem::from(problem)))?;
    let image = known.need(IMAGE, "path")?;
    let patient = known.need(PATIENT, "patient")?;
    let findings = known.need(FINDINGS, "findings joined by `|`,")?;
    let (age, sex, view) = (known.may(AGE, "age")?, known.may(SEX, "sex")?, known.may(VIEW, "view")?);
    known.pass_over("nothing here needs it", &["Follow-up #"]);
    known.pass_over("the image tells its size", &SIZES);
    let described = known.described()?;
    let table = known.table;
    let lists = Lists::new(findings, '|', labels);
    let rows = table.rows().map(|row| {
        let image_id = row.filled(image)?.to_owned();
        row.filled(findings)?;
        let said = lists.read(row, &image_id, &mut BTreeMap::new())?;
        let listed = ImageRow {
            patient_id: Some(patient_name(row.filled(patient)?).to_owned()),
            labels: said.labels,
            no_finding: Some(said.no_finding),
            split: None,
            view: row.optional(view).map(str::to_owned),
            sex: row.optional(sex).and_then(findings::sex),
            age: row.optional(age).and_then(parse_age),
            source: None,
            image_id: image_id.clone(),
        };
        Ok(Listed { row: listed, file: image_id, table: 0, line: row.line })
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    Listing {
        rows,
        tables: vec![table.path],
        kind: "nih",
        labels: labels.to_vec(),
        lookup: Lookup::default(),
        notes: vec![described],
        warnings: table.notes,
    }
    .unique()
}

/// The `Data_Entry*.csv` (or `.csv.gz`) in a folder; of several the last by name, which is the newest release.
pub fn find_table(folder: &Path) -> Result<PathBuf> {
    let table = table_in(folder, |stem| stem.starts_with("Data_Entry"))?;
    table.ok_or_else(|| Error::NoTable {
        folder: folder.to_owned(),
        table: "Data_Entry*.csv",
        hint: "name the table with --labels-csv FILE",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::nih_14;
    use crate::schema::Label;
    use std::fs;
    use xray_artifacts::one_line;

    const HEADER: &str = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,\
                          View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]";

    fn read_rows(header: &str, rows: &[&str]) -> Result<Listing> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("Data_Entry_2017.csv");
        let text = format!("{header}\n{}\n", rows.join("\n"));
        fs::write(&path, text).expect("writable");
        read(&path, &nih_14())
    }

    fn check_refused(row: &str, expected: &str) {
        let good = "a_0.png,No Finding,0,1,58,M,PA,2682,2749,0.143,0.143";
        let message = one_line(&read_rows(HEADER, &[good, row]).expect_err(row));
        assert!(message.ends_with(expected), "{message}");
    }

    #[test]
    fn nine_names_over_eleven_fields_are_read() {
        let rows = ["00000001_001.png,Cardiomegaly|Emphysema,1,1,058Y,M,PA,2894,2729,0.143,0.143"];
        let listing = read_rows(HEADER, &rows).expect("a good table");
        let row = &listing.rows[0].row;
        assert_eq!((row.image_id.as_str(), row.patient_id.as_deref()), ("00000001_001.png", Some("1")));
        assert_eq!((row.age, row.sex.as_deref(), row.view.as_deref()), (Some(58), Some("M"), Some("PA")));
        let positive: Vec<usize> = (0..14).filter(|&i| row.labels[i] == Label::Positive).collect();
        assert_eq!(positive, [1, 10]);
    }

    #[test]
    fn other_spellings_of_the_header_are_read() {
        let kaggle = format!("{HEADER},"); // a comma at the end of every line
        read_rows(&kaggle, &["a.png,No Finding,0,1,58,M,PA,1,1,1,1,"]).expect("the mirror's table");
        let short = "Image Index,Finding Labels,Patient ID,Patient Sex";
        let listing = read_rows(short, &["a.png,Mass,1,F"]).expect("a table cut down to what is needed");
        assert_eq!(listing.rows[0].row.sex.as_deref(), Some("F"));
    }

    #[test]
    fn a_bad_row_is_named_by_line() {
        check_refused(
            "b_0.png,Efusion,0,2,58,M,PA,1,1,1,1",
            "line 3: unknown finding `Efusion` for image `b_0.png`; nearest is `Effusion`",
        );
        check_refused("b_0.png,,0,2,58,M,PA,1,1,1,1", "line 3: `Finding Labels` is empty");
        check_refused("b_0.png,Mass,0,,58,M,PA,1,1,1,1", "line 3: `Patient ID` is empty");
        check_refused(
            "b_0.png,No Finding|Mass,0,2,58,M,PA,1,1,1,1",
            "line 3: image `b_0.png` has `No Finding` and `Mass` at once",
        );
        check_refused(
            "a_0.jpg,Mass,0,2,58,M,PA,1,1,1,1",
            "line 3: image `a_0.jpg` is listed a second time, first on line 2",
        );
        check_refused("b_0.png,Mass,0,2", "line 3: 4 fields where the header line has 11");
    }

    #[test]
    fn the_newest_table_of_a_folder_is_taken() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        find_table(dir.path()).expect_err("an empty folder");
        for name in ["Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv", "notes.csv"] {
            fs::write(dir.path().join(name), "").expect("writable");
        }
        let table = find_table(dir.path()).expect("one is there");
        assert!(table.ends_with("Data_Entry_2017_v2020.csv"), "{}", table.display());
    }
}
