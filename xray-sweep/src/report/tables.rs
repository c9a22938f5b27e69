//! The collected tables, opened and checked.

use crate::collect::{SCHEMA_KEY, SCHEMA_VERSION};
use crate::sweep_dir::SweepDir;
use polars::prelude::*;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use xray_artifacts::{Exit, Failure, FileError};

/// Reads a table of `collected/` and takes `rows` of it.
pub(super) fn read<T>(
    dir: &SweepDir,
    name: &str,
    rows: impl Fn(&DataFrame) -> PolarsResult<Vec<T>>,
) -> Result<Vec<T>, Failure> {
    let path = dir.collected().join(name);
    let file = File::open(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => Failure::new(Exit::NothingMatches, format!("{} is not there", path.display()))
            .hint(format!("collect first: xray-sweep collect {}", dir.path().display())),
        _ => FileError::Io { path: path.clone(), action: "read", source }.into(),
    })?;
    let mut reader = ParquetReader::new(file);
    let version = version(&mut reader).map_err(|error| unreadable(&path, &error))?;
    if version.as_deref() != Some(SCHEMA_VERSION.to_string().as_str()) {
        let found = version.unwrap_or_else(|| "none".into());
        let message =
            format!("{} has schema version {found}, this build reads {SCHEMA_VERSION}", path.display());
        return Err(Failure::new(Exit::BadData, message).hint("collect again with this build"));
    }
    reader.finish().and_then(|table| rows(&table)).map_err(|error| unreadable(&path, &error))
}

fn version(reader: &mut ParquetReader<File>) -> PolarsResult<Option<String>> {
    let pairs = reader.get_metadata()?.key_value_metadata().iter().flatten();
    Ok(pairs.clone().find(|pair| pair.key == SCHEMA_KEY).and_then(|pair| pair.value.clone()))
}

fn unreadable(path: &Path, error: &PolarsError) -> Failure {
    Failure::new(Exit::BadData, format!("{} is not a table of this sweep: {error}", path.display()))
        .hint("collect again")
}
