//! Predictions as CSV: numbers to the digits that tell them apart, nothing where nothing is known, 1 and 0 for calls.

use super::Cell;
use crate::predict::cannot_write;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use xray_artifacts::{Failure, NewFile};

/// The file.
pub(in crate::predict) struct CsvFile {
    path: PathBuf,
    writer: csv::Writer<BufWriter<NewFile>>,
}

impl CsvFile {
    pub(super) fn create(path: &Path, columns: &[String]) -> Result<CsvFile, Failure> {
        let file = BufWriter::new(NewFile::create(path)?);
        let mut file = CsvFile { path: path.to_owned(), writer: csv::Writer::from_writer(file) };
        file.write(columns.iter().map(String::as_str))?;
        Ok(file)
    }

    pub(super) fn add(&mut self, cells: &[Cell]) -> Result<(), Failure> {
        let cells: Vec<String> = cells.iter().map(text).collect();
        self.write(cells.iter().map(String::as_str))
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        let cannot = cannot_write(&self.path);
        let buffer = self.writer.into_inner().map_err(|error| cannot(error.into_error()))?;
        Ok(buffer.into_inner().map_err(|error| cannot(error.into_error()))?.finish()?)
    }

    fn write<'a>(&mut self, cells: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
        self.writer.write_record(cells).map_err(|error| cannot_write(&self.path)(error.into()))
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Text(value) => value.clone().unwrap_or_default(),
        Cell::Integer(value) => value.map(|value| value.to_string()).unwrap_or_default(),
        Cell::Float(value) => value.map(|value| value.to_string()).unwrap_or_default(),
        Cell::Double(value) => value.map(|value| value.to_string()).unwrap_or_default(),
        Cell::Floats(value) => value.as_ref().map(|values| format!("{values:?}")).unwrap_or_default(),
        Cell::Flag(value) => value.map(|value| u8::from(value).to_string()).unwrap_or_default(),
    }
}
