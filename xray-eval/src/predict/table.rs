//! The table of predictions, written at once: CSV or Parquet, one row per image, with what its card makes of the logits.

mod csv_file;
mod parquet_file;
mod parquet_list;

use super::row::Row;
use csv_file::CsvFile;
pub(super) use parquet_file::ParquetFile;
use std::path::Path;
use xray_artifacts::{Exit, Failure};
use xray_bundle::{Card, said};
use xray_data::sources::GivenImage;

/// How the table is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Csv,
    Parquet,
}

impl Kind {
    /// The kind that the file's extension names.
    pub(super) fn of(out: &Path) -> Result<Kind, Failure> {
        let extension = out.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("csv") => Ok(Kind::Csv),
            Some("parquet") => Ok(Kind::Parquet),
            _ => Err(Failure::new(
                Exit::Usage,
                format!("{} is named neither .csv nor .parquet", out.display()),
            )
            .hint("the extension sets the format: --out predictions.csv or --out predictions.parquet")),
        }
    }
}

/// A value of a cell; the type is that of its column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(Option<String>),
    Integer(Option<i32>),
    /// A number of the network.
    Float(Option<f32>),
    Double(Option<f64>),
    Flag(Option<bool>),
    /// Numbers of the network; as many in every row.
    Floats(Option<Vec<f32>>),
}

/// The columns that do not depend on the model.
const KNOWN: [&str; 12] = [
    "id", "file", "split", "source", "patient", "view", "sex", "age", "width", "height", "warnings", "error",
];

/// Four columns per label, in this order.
const OF_LABEL: [&str; 4] = ["logit", "probability", "calibrated", "positive"];

/// The names of all columns.
fn columns(card: &Card) -> Vec<String> {
    let of_label = |label: &String| OF_LABEL.map(|what| format!("{what}_{label}"));
    KNOWN.map(str::to_owned).into_iter().chain(card.labels.iter().flat_map(of_label)).collect()
}

/// The cells of a row, in the order of the columns. An ensemble's probability is the mean of its members' calibrated ones
/// in both columns, and its logit the log-odds of that. `calibrated` and `positive` are empty without a calibration and
/// without a threshold; calls are made on logits.
fn cells(card: &Card, image: &GivenImage, row: &Row) -> Vec<Cell> {
    let text = |text: Option<&str>| Cell::Text(text.map(str::to_owned));
    let side = |at: usize| Cell::Integer(row.size.map(|size| size[at] as i32));
    let warnings = (!row.warnings.is_empty()).then(|| row.warnings.join("; "));
    let known = [
        text(Some(&image.id)),
        text(Some(&image.place)),
        text(image.split.map(|split| split.name())),
        text(image.about.source.as_deref()),
        text(row.patient.as_deref()),
        text(row.view.as_deref()),
        text(row.sex.as_deref()),
        Cell::Integer(row.age.map(i32::from)),
        side(0),
        side(1),
        text(warnings.as_deref()),
        text(row.error.as_deref()),
    ];
    let of_label = |at: usize| {
        let said = (!row.logits.is_empty()).then(|| said(card, &row.logits, at));
        let threshold = card.thresholds.get(at).and_then(|threshold| threshold.logit);
        [
            Cell::Float(said.map(|said| said.logit as f32)),
            Cell::Double(said.map(|said| said.probability)),
            Cell::Double(said.and_then(|said| said.calibrated)),
            Cell::Flag(said.zip(threshold).map(|(said, threshold)| said.logit >= f64::from(threshold))),
        ]
    };
    known.into_iter().chain((0..card.labels.len()).flat_map(of_label)).collect()
}

/// A table that is being written; nothing is there before it is finished.
pub(super) enum Table<'a> {
    Csv(&'a Card, Box<CsvFile>),
    Parquet(&'a Card, Box<ParquetFile>),
}

impl<'a> Table<'a> {
    /// Begins it.
    pub(super) fn create(kind: Kind, out: &Path, card: &'a Card) -> Result<Self, Failure> {
        let columns = columns(card);
        Ok(match kind {
            Kind::Csv => Table::Csv(card, Box::new(CsvFile::create(out, &columns)?)),
            Kind::Parquet => Table::Parquet(card, Box::new(ParquetFile::create(out, columns)?)),
        })
    }

    /// Adds a row.
    pub(super) fn add(&mut self, image: &GivenImage, row: &Row) -> Result<(), Failure> {
        match self {
            Table::Csv(card, file) => file.add(&cells(card, image, row)),
            Table::Parquet(card, file) => file.add(cells(card, image, row)),
        }
    }

    /// Puts it in its place.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Table::Csv(_, file) => file.finish(),
            Table::Parquet(_, file) => file.finish(),
        }
    }
}
