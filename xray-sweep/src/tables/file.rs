//! The tables' Parquet files. They appear all at once: they are written in a temporary folder and renamed when
//! the last of them is on the disk.

use super::Row;
use super::contained::contained;
use crate::sweep_dir::SweepDir;
use polars::prelude::*;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use xray_artifacts::{Exit, Failure, FileError};

/// Grows when a column changes its name, type or meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// The key of the files' metadata under which the version stands.
pub const SCHEMA_KEY: &str = "xray-sweep.schema";

/// A folder of files that nobody sees yet.
pub(crate) struct Staged {
    target: PathBuf,
    folder: PathBuf,
}

impl Staged {
    /// Makes `target` and the temporary folder in it.
    pub(crate) fn new(target: &Path) -> Result<Self, FileError> {
        let folder = target.join(format!(".new.{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        Ok(Staged { target: target.to_owned(), folder })
    }

    /// Writes a whole table.
    pub(crate) fn write<R: Row>(&self, rows: &[R]) -> Result<(), FileError> {
        let table = table(rows);
        let mut file = self.create(R::FILE, table.schema())?;
        file.append_table(&table)?;
        file.finish()
    }

    /// Opens a table's file for its rows piece by piece.
    pub(crate) fn file<R: Row>(&self) -> Result<ParquetFile, FileError> {
        self.create(R::FILE, table::<R>(&[]).schema())
    }

    fn create(&self, name: &str, schema: &Schema) -> Result<ParquetFile, FileError> {
        ParquetFile::create(&self.folder.join(name), self.target.join(name), schema)
    }

    /// Moves the files to where they belong.
    pub(crate) fn publish(self, names: &[&str]) -> Result<(), FileError> {
        for name in names {
            let path = self.target.join(name);
            fs::rename(self.folder.join(name), &path).map_err(io_error(&path))?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Half-written files are worth nothing, and on a full disk their room is.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A Parquet file that is being written.
pub(crate) struct ParquetFile {
    /// Its later name, for messages.
    path: PathBuf,
    file: File,
    writer: BatchedWriter<Remembering>,
    refusal: Refusal,
}

impl ParquetFile {
    fn create(temporary: &Path, path: PathBuf, schema: &Schema) -> Result<Self, FileError> {
        let file = File::create(temporary).map_err(io_error(&path))?;
        let refusal = Refusal::default();
        let sink =
            Remembering { file: file.try_clone().map_err(io_error(&path))?, refusal: Arc::clone(&refusal) };
        let version = vec![(SCHEMA_KEY.to_owned(), SCHEMA_VERSION.to_string())];
        let writer = ParquetWriter::new(sink)
            .with_compression(ParquetCompression::Zstd(None))
            .with_key_value_metadata(Some(KeyValueMetadata::from_static(version)))
            .batched(schema)
            .map_err(|error| refused(&path, &refusal, &error))?;
        Ok(ParquetFile { path, file, writer, refusal })
    }

    /// Adds rows.
    pub(crate) fn append<R: Row>(&mut self, rows: &[R]) -> Result<(), FileError> {
        self.append_table(&table(rows))
    }

    fn append_table(&mut self, table: &DataFrame) -> Result<(), FileError> {
        if table.height() == 0 {
            return Ok(());
        }
        self.writer.write_batch(table).map_err(|error| refused(&self.path, &self.refusal, &error))
    }

    /// Completes the file and waits for the disk.
    pub(crate) fn finish(self) -> Result<(), FileError> {
        self.writer.finish().map_err(|error| refused(&self.path, &self.refusal, &error))?;
        self.file.sync_all().map_err(io_error(&self.path))
    }
}

/// The system's word on why a write failed, which polars turns into text.
type Refusal = Arc<Mutex<Option<io::Error>>>;

/// A file that keeps it.
struct Remembering {
    file: File,
    refusal: Refusal,
}

impl Write for Remembering {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                *self.refusal.lock().expect("no writer panics") = Some(error);
            }
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn refused(path: &Path, refusal: &Refusal, error: &PolarsError) -> FileError {
    let source = refusal.lock().expect("no writer panics").take();
    io_error(path)(source.unwrap_or_else(|| io::Error::other(error.to_string())))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    |source| FileError::Io { path, action: "write", source }
}

fn table<R: Row>(rows: &[R]) -> DataFrame {
    let columns = R::write("", &rows.iter().collect::<Vec<_>>());
    DataFrame::new(rows.len(), columns).expect("columns of equal length and different names")
}

/// Reads a table of `collected/`.
///
/// # Errors
/// If it was not collected, or by another version, or a column is not what the row says.
pub(crate) fn read<R: Row>(dir: &SweepDir) -> Result<Vec<R>, Failure> {
    let path = dir.collected().join(R::FILE);
    let file = File::open(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(Exit::NothingMatches, format!("{} is not there", path.display()))
                .hint(format!("collect first: xray-sweep collect {}", dir.path().display()))
        }
        _ => FileError::Io { path: path.clone(), action: "read", source }.into(),
    })?;
    contained(|| rows(&path, file)).unwrap_or_else(|reason| Err(unreadable(&path, reason)))
}

fn rows<R: Row>(path: &Path, file: File) -> Result<Vec<R>, Failure> {
    let mut reader = ParquetReader::new(file);
    let version = version(&mut reader).map_err(|error| unreadable(path, error))?;
    if version.as_deref() != Some(SCHEMA_VERSION.to_string().as_str()) {
        let found = version.unwrap_or_else(|| "none".into());
        let message =
            format!("{} has schema version {found}, this build reads {SCHEMA_VERSION}", path.display());
        return Err(Failure::new(Exit::BadData, message).hint("collect again with this build"));
    }
    reader.finish().and_then(|table| R::read("", &table)).map_err(|error| unreadable(path, error))
}

fn version(reader: &mut ParquetReader<File>) -> PolarsResult<Option<String>> {
    let pairs = reader.get_metadata()?.key_value_metadata().iter().flatten();
    Ok(pairs.clone().find(|pair| pair.key == SCHEMA_KEY).and_then(|pair| pair.value.clone()))
}

fn unreadable(path: &Path, error: impl fmt::Display) -> Failure {
    Failure::new(Exit::BadData, format!("{} is not a table of this sweep: {error}", path.display()))
        .hint("collect again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::LabelRow;
    use xray_artifacts::Split;

    /// Damage anywhere gives rows or an error with the file's name; polars panics on some of it.
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
        let staged = Staged::new(dir.path()).expect("writable");
        staged.write(&written).expect("writable");
        staged.publish(&[LabelRow::FILE]).expect("writable");
        let path = dir.path().join(LabelRow::FILE);
        let good = fs::read(&path).expect("just written");
        let read = || {
            let file = File::open(&path).expect("just written");
            contained(|| rows::<LabelRow>(&path, file))
        };
        assert_eq!(read(), Ok(Ok(written)));
        let (mut refused, mut panicked, mut state) = (0, 0, 1u64);
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..2000 {
            let mut bytes = good.clone();
            for _ in 0..=draw(4) {
                let at = draw(bytes.len());
                bytes[at] = draw(256) as u8;
            }
            bytes.truncate(good.len() - if draw(10) == 0 { draw(good.len()) } else { 0 });
            fs::write(&path, &bytes).expect("writable");
            match read() {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => refused += 1,
                Err(_) => panicked += 1,
            }
        }
        assert!(refused > 0 && panicked > 0, "{refused} refused, {panicked} contained: nothing was tried");
    }
}
