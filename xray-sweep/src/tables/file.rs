//! One table as a Parquet file: written piece by piece and hashed on the way, read as a whole.

use super::Row;
use super::contained::contained;
use super::list::{Fingerprint, LIST};
use polars::prelude::*;
use std::fs::File;
use std::io::{self, BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use xray_artifacts::FileError;

/// Grows when a column changes its name, type or meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// The key of the files' metadata under which the version stands.
pub const SCHEMA_KEY: &str = "xray-sweep.schema";

/// The key that says that a list of the tables stands beside them: without it they are not whole.
const LIST_KEY: &str = "xray-sweep.list";

/// A Parquet file that is being written.
pub(crate) struct ParquetFile {
    /// Its later name, for messages.
    path: PathBuf,
    file: File,
    /// Buffered, because polars writes many a single byte.
    writer: BatchedWriter<BufWriter<Watched>>,
    written: Arc<Mutex<Written>>,
}

impl ParquetFile {
    /// Begins a table at `temporary` with the columns of `rows`; errors name `path`.
    pub(crate) fn create<R: Row>(temporary: &Path, path: PathBuf, rows: &[R]) -> Result<Self, FileError> {
        let file = File::create(temporary).map_err(io_error(&path))?;
        let written = Arc::default();
        let sink =
            Watched { file: file.try_clone().map_err(io_error(&path))?, written: Arc::clone(&written) };
        let version =
            vec![(SCHEMA_KEY.to_owned(), SCHEMA_VERSION.to_string()), (LIST_KEY.to_owned(), LIST.to_owned())];
        let writer = ParquetWriter::new(BufWriter::new(sink))
            .with_compression(ParquetCompression::Zstd(None))
            .with_key_value_metadata(Some(KeyValueMetadata::from_static(version)))
            .batched(table(rows).schema())
            .map_err(|error| refused(&path, &written, &error))?;
        Ok(ParquetFile { path, file, writer, written })
    }

    /// Adds rows.
    pub(crate) fn append<R: Row>(&mut self, rows: &[R]) -> Result<(), FileError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.writer.write_batch(&table(rows)).map_err(|error| refused(&self.path, &self.written, &error))
    }

    /// Completes the file, waits for the disk and says what was written.
    pub(crate) fn finish(self) -> Result<Fingerprint, FileError> {
        self.writer.finish().map_err(|error| refused(&self.path, &self.written, &error))?;
        self.file.sync_all().map_err(io_error(&self.path))?;
        let mut written = locked(&self.written);
        // The buffer may have been emptied when it was dropped, which is silent.
        if let Some(source) = written.refusal.take() {
            return Err(io_error(&self.path)(source));
        }
        let blake3 = written.hasher.finalize().to_hex().to_string();
        Ok(Fingerprint { bytes: written.hasher.count(), blake3 })
    }
}

/// What went to a file.
#[derive(Default)]
struct Written {
    /// Hash of the bytes that were handed over, so that a disk which stores others is found out.
    hasher: blake3::Hasher,
    /// The system's word on why a write failed, which polars turns into text.
    refusal: Option<io::Error>,
}

/// A file that keeps an eye on what is written.
struct Watched {
    file: File,
    written: Arc<Mutex<Written>>,
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = locked(&self.written);
        match self.file.write(bytes) {
            Ok(count) => {
                written.hasher.update(&bytes[..count]);
                Ok(count)
            }
            Err(error) => {
                let kind = error.kind();
                if kind != io::ErrorKind::Interrupted {
                    written.refusal = Some(error);
                }
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn locked(written: &Mutex<Written>) -> MutexGuard<'_, Written> {
    written.lock().expect("no writer panics")
}

fn refused(path: &Path, written: &Mutex<Written>, error: &PolarsError) -> FileError {
    let source = locked(written).refusal.take();
    io_error(path)(source.unwrap_or_else(|| io::Error::other(error.to_string())))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    |source| FileError::Io { path, action: "write", source }
}

pub(super) fn table<R: Row>(rows: &[R]) -> DataFrame {
    let columns = R::write("", &rows.iter().collect::<Vec<_>>());
    DataFrame::new(rows.len(), columns).expect("columns of equal length and different names")
}

/// A table as it was read.
#[derive(Debug, PartialEq)]
pub(super) struct Table<R> {
    pub(super) rows: Vec<R>,
    /// Whether it was written with a list beside it.
    pub(super) is_listed: bool,
}

/// Reads a table from a whole file, which may hold anything; in a sentence, why it cannot.
pub(super) fn rows<R: Row>(bytes: Vec<u8>) -> Result<Table<R>, String> {
    contained(|| parsed(bytes)).and_then(|table| table)
}

fn parsed<R: Row>(bytes: Vec<u8>) -> Result<Table<R>, String> {
    let mut reader = ParquetReader::new(Cursor::new(bytes));
    let pairs = match reader.get_metadata() {
        Ok(metadata) => metadata.key_value_metadata().clone().unwrap_or_default(),
        Err(error) => return Err(error.to_string()),
    };
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone());
    let version = value(SCHEMA_KEY).unwrap_or_else(|| "none".to_owned());
    if version != SCHEMA_VERSION.to_string() {
        return Err(format!("its schema version is {version}, this build reads {SCHEMA_VERSION}"));
    }
    let is_listed = value(LIST_KEY).is_some();
    let table = reader.finish().and_then(with_added::<R>).and_then(|table| R::read("", &table));
    table.map(|rows| Table { rows, is_listed }).map_err(|error| error.to_string())
}

/// With those columns as nulls that the table is too old to have.
pub(super) fn with_added<R: Row>(mut table: DataFrame) -> PolarsResult<DataFrame> {
    for (name, kind) in R::ADDED {
        if table.column(name).is_err() {
            table.with_column(Column::full_null((*name).into(), table.height(), kind))?;
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::LabelRow;
    use xray_artifacts::Split;

    /// Damage of a table that no list speaks of gives rows or an error; polars panics on some of it. In the footer,
    /// because damage of the values may make it ask for more memory than there is, which ends the process.
    #[test]
    fn a_damaged_table_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let row = |number: i64| LabelRow {
            cell: format!("c{number}"),
            fraction: 0.1,
            trial: number,
            split: Split::Test,
            label: "Mass".to_owned(),
            positives: number % 7,
            negatives: 50 - number,
            unknown: 0,
            prevalence: None,
            train_prevalence: Some(0.5),
            auc: Some(number as f64 / 50.0),
            auc_low: None,
            auc_high: None,
            average_precision: None,
            brier: Some(0.25),
            log_loss: None,
            logit_spread: None,
        };
        let written: Vec<LabelRow> = (0..50).map(row).collect();
        let path = dir.path().join(LabelRow::FILE);
        let mut file = ParquetFile::create(&path, path.clone(), &written).expect("writable");
        file.append(&written).expect("writable");
        let fingerprint = file.finish().expect("writable");
        let good = std::fs::read(&path).expect("just written");
        let blake3 = blake3::hash(&good).to_hex().to_string();
        assert_eq!(fingerprint, Fingerprint { bytes: good.len() as u64, blake3 });
        let read = |bytes: Vec<u8>| contained(|| parsed::<LabelRow>(bytes));
        assert_eq!(read(good.clone()), Ok(Ok(Table { rows: written, is_listed: true })));
        let (mut refused, mut panicked, mut state) = (0, 0, 1u64);
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let [.., a, b, c, d, _, _, _, _] = good[..] else { panic!("a Parquet file") };
        let footer = u32::from_le_bytes([a, b, c, d]) as usize + 8;
        for _ in 0..2000 {
            let mut bytes = good.clone();
            for _ in 0..=draw(4) {
                let at = good.len() - 1 - draw(footer);
                bytes[at] = draw(256) as u8;
            }
            bytes.truncate(good.len() - if draw(10) == 0 { draw(good.len()) } else { 0 });
            match read(bytes) {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => refused += 1,
                Err(_) => panicked += 1,
            }
        }
        assert!(refused > 0 && panicked > 0, "{refused} refused, {panicked} contained: nothing was tried");
    }
}
