//! Parquet files that appear all at once: they are written in a temporary folder and renamed when the last
//! of them is on the disk.

use polars::prelude::*;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use xray_artifacts::FileError;

/// Grows when a column changes its name, type or meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// The key of the files' metadata under which the version stands.
pub const SCHEMA_KEY: &str = "xray-sweep.schema";

/// A folder of files that nobody sees yet.
pub(super) struct Staged {
    target: PathBuf,
    folder: PathBuf,
}

impl Staged {
    /// Makes `target` and the temporary folder in it.
    pub(super) fn new(target: &Path) -> Result<Self, FileError> {
        let folder = target.join(format!(".new.{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        Ok(Staged { target: target.to_owned(), folder })
    }

    /// Writes a whole table.
    pub(super) fn write(&self, name: &str, table: DataFrame) -> Result<(), FileError> {
        let mut file = self.file(name, &table)?;
        file.write(&table)?;
        file.finish()
    }

    /// Opens a file for pieces of a table that has the columns of `like`.
    pub(super) fn file(&self, name: &str, like: &DataFrame) -> Result<ParquetFile, FileError> {
        ParquetFile::create(&self.folder.join(name), self.target.join(name), like.schema())
    }

    /// Moves the files to where they belong.
    pub(super) fn publish(self, names: &[&str]) -> Result<(), FileError> {
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
pub(super) struct ParquetFile {
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
    pub(super) fn write(&mut self, rows: &DataFrame) -> Result<(), FileError> {
        if rows.height() == 0 {
            return Ok(());
        }
        self.writer.write_batch(rows).map_err(|error| refused(&self.path, &self.refusal, &error))
    }

    /// Completes the file and waits for the disk.
    pub(super) fn finish(self) -> Result<(), FileError> {
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
