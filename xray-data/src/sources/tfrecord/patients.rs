//! A table that says whose images the records are, joined by the images' names.

use crate::error::Result;
use crate::sources::table::{Row, patient_name};
use crate::sources::{
    SourceImage, SourceProblem, SourceSet, Table, csv_table, findings, parse_age, without_extension,
};
use std::collections::HashMap;
use std::path::Path;
use xray_display::counted;

/// Fills in whose images they are, and what else the table knows. `paths` are the images' names as the records
/// have them: a row with the same path is meant, else the one row with the same file name.
///
/// # Errors
/// A table that names none of the images; two rows for an image, or a patient in the record and another in the
/// table. Images that the table does not name keep what they had.
pub(super) fn join(set: &mut SourceSet, paths: &[String], table: &Path) -> Result<()> {
    let table = Table::read(table)?;
    let (image, patient) = (table.require(csv_table::PATH)?, table.require(csv_table::PATIENT)?);
    let [view, sex, age] = [csv_table::VIEW, csv_table::SEX, csv_table::AGE].map(|c| table.column(c));
    let rows = Rows::of(&table, image);
    let mut unknown = 0u64;
    for (SourceImage { row, .. }, path) in set.images.iter_mut().zip(paths) {
        let Some(found) = rows.find(path, patient)? else {
            unknown += 1;
            continue;
        };
        let named = patient_name(found.filled(patient)?);
        if let Some(said) = row.patient_id.as_deref().filter(|said| *said != named) {
            let (image_id, first, second) = (row.image_id.clone(), said.to_owned(), named.to_owned());
            return Err(found.problem(SourceProblem::TwoPatients { image_id, first, second }));
        }
        row.patient_id = Some(named.to_owned());
        row.view = row.view.take().or_else(|| found.optional(view).map(str::to_owned));
        row.sex = row.sex.take().or_else(|| found.optional(sex).and_then(findings::sex));
        row.age = row.age.or_else(|| found.optional(age).and_then(parse_age));
    }
    match set.images.first() {
        Some(first) if unknown == set.images.len() as u64 => {
            let image_id = first.row.image_id.clone();
            Err(table.problem(1, SourceProblem::NoMatch { image_id }))
        }
        _ => {
            let note = || format!("no row in {} for {}", table.path.display(), counted(unknown, "image"));
            set.warnings.extend((unknown > 0).then(note));
            Ok(())
        }
    }
}

/// Rows by the whole path and by the file name, both without extension.
struct Rows<'a> {
    by_path: HashMap<String, Vec<Row<'a>>>,
    by_file: HashMap<String, Vec<Row<'a>>>,
}

impl<'a> Rows<'a> {
    fn of(table: &'a Table, image: usize) -> Rows<'a> {
        let mut rows = Rows { by_path: HashMap::new(), by_file: HashMap::new() };
        for row in table.rows() {
            let path = path_key(row.field(image));
            rows.by_file.entry(file_key(&path)).or_default().push(row);
            rows.by_path.entry(path).or_default().push(row);
        }
        rows
    }

    /// The row of an image. Several are one where they name one patient.
    fn find(&self, path: &str, patient: usize) -> Result<Option<Row<'a>>> {
        let path = path_key(path);
        let rows = self.by_path.get(&path).or_else(|| self.by_file.get(&file_key(&path)));
        let Some([first, others @ ..]) = rows.map(Vec::as_slice) else { return Ok(None) };
        match others.iter().find(|row| patient_name(row.field(patient)) != patient_name(first.field(patient)))
        {
            None => Ok(Some(*first)),
            Some(other) => Err(other.problem(SourceProblem::TwoPatients {
                image_id: path,
                first: first.field(patient).to_owned(),
                second: other.field(patient).to_owned(),
            })),
        }
    }
}

fn path_key(name: &str) -> String {
    let name = name.replace('\\', "/");
    without_extension(name.trim_start_matches("./")).to_owned()
}

fn file_key(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
