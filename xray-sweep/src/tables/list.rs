//! `tables.json`: the hash of every table that was collected together. It is written last, so damage to a table, and
//! tables of two collections side by side, are seen before anything is believed.

use super::Row;
use super::file::rows;
use crate::sweep_dir::SweepDir;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, FileError, Versioned, read_json, warn_unsealed};
use xray_cli::shell;

/// The file's name.
pub const LIST: &str = "tables.json";

/// What `tables.json` holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableList {
    /// Tables by file name.
    pub(crate) tables: BTreeMap<String, Fingerprint>,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub(crate) bytes: u64,
    /// In hexadecimal.
    pub(crate) blake3: String,
}

impl Versioned for TableList {
    const FORMAT: u32 = 1;
    const KIND: &'static str = "list of tables";
}

/// Tables that were collected together.
pub(crate) struct Collection {
    folder: PathBuf,
    /// None of an older version.
    list: Option<TableList>,
    /// The command that collects.
    command: String,
}

impl Collection {
    /// Opens the tables of `dir` in `folder`.
    ///
    /// # Errors
    /// If the list is damaged.
    pub(crate) fn open(dir: &SweepDir, folder: &Path) -> Result<Collection, Failure> {
        let sweep = shell::path(dir.path());
        let command = match folder == dir.collected() {
            true => format!("xray-sweep collect {sweep}"),
            false => format!("xray-sweep collect {sweep} --out {}", shell::path(folder)),
        };
        let list = match read_json::<TableList>(&folder.join(LIST)) {
            Ok(list) => Some(list),
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            Err(error @ FileError::Io { .. }) => return Err(error.into()),
            Err(error) => return Err(Failure::from(error).hint(format!("collect again: {command}"))),
        };
        Ok(Collection { folder: folder.to_owned(), list, command })
    }

    /// Says so where nothing can show damage.
    pub(crate) fn warn(&self) {
        if self.list.is_none() {
            warn_unsealed(&self.folder);
        }
    }

    /// Reads a table.
    ///
    /// # Errors
    /// If it was not collected, or by another version, is not what was collected, or a column is not what the row says.
    pub(crate) fn read<R: Row>(&self) -> Result<Vec<R>, Failure> {
        let path = self.folder.join(R::FILE);
        let bytes = self.bytes(&path, R::FILE)?.ok_or_else(|| {
            Failure::new(Exit::NothingMatches, format!("{} is not there", path.display()))
                .hint(format!("collect first: {}", self.command))
        })?;
        let table = rows::<R>(bytes).map_err(|reason| self.unreadable(&path, &reason))?;
        if table.is_listed && self.list.is_none() {
            let list = self.folder.join(LIST);
            return Err(self.again(format!(
                "{} is missing, but {} was written with it",
                list.display(),
                R::FILE
            )));
        }
        Ok(table.rows)
    }

    /// That a table which nobody reads here is what was collected, if it is there.
    pub(crate) fn check<R: Row>(&self) -> Result<(), Failure> {
        match self.list {
            Some(_) => self.bytes(&self.folder.join(R::FILE), R::FILE).map(drop),
            None => Ok(()),
        }
    }

    /// The whole file, as the list says it is; none if it is not there.
    fn bytes(&self, path: &Path, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let refused = |source| FileError::Io { path: path.to_owned(), action: "read", source };
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // A pipe or a device would be waited for, or never end.
            Ok(found) if !found.is_file() => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
            }
            found => found,
        };
        let length = found.map_err(refused)?.len();
        let Some(list) = &self.list else { return Ok(Some(fs::read(path).map_err(refused)?)) };
        let Some(listed) = list.tables.get(name) else {
            return Err(self.again(format!("{} does not name {name}", self.folder.join(LIST).display())));
        };
        let differs = |what: &str| {
            self.again(format!("{} is not the table that was collected: its {what} differs", path.display()))
        };
        if length != listed.bytes {
            return Err(differs("size"));
        }
        let bytes = fs::read(path).map_err(refused)?;
        match blake3::hash(&bytes).to_hex().as_str() == listed.blake3 {
            true => Ok(Some(bytes)),
            false => Err(differs("checksum")),
        }
    }

    /// A fault of the tables, which collecting again mends.
    pub(crate) fn again(&self, message: String) -> Failure {
        Failure::new(Exit::BadData, message).hint(format!("collect again: {}", self.command))
    }

    fn unreadable(&self, path: &Path, reason: &str) -> Failure {
        self.again(format!("{} is not a table of this sweep: {reason}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::file::table;
    use crate::tables::{AttemptRow, RunRow, SCHEMA_KEY, SCHEMA_VERSION};
    use polars::prelude::{KeyValueMetadata, ParquetWriter};

    /// A table as it was before there were lists.
    fn older<R: Row>(folder: &Path, rows: &[R]) {
        let version = vec![(SCHEMA_KEY.to_owned(), SCHEMA_VERSION.to_string())];
        let file = fs::File::create(folder.join(R::FILE)).expect("writable");
        let writer = ParquetWriter::new(file);
        let writer = writer.with_key_value_metadata(Some(KeyValueMetadata::from_static(version)));
        writer.finish(&mut table(rows)).expect("writable");
    }

    #[test]
    fn tables_of_before_are_read_without_a_list_and_not_with_one_that_lacks_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = SweepDir::new("my sweep");
        older(folder.path(), &[RunRow { cell: "a1".into(), ..RunRow::default() }]);
        let tables = Collection::open(&dir, folder.path()).expect("no list");
        assert_eq!(tables.read::<RunRow>().expect("as before")[0].cell, "a1");
        tables.check::<RunRow>().expect("nothing to hold it against");
        let missing = tables.read::<AttemptRow>().expect_err("not collected");
        assert_eq!(missing.exit, Exit::NothingMatches);
        let hint = format!("collect first: xray-sweep collect 'my sweep' --out {}", folder.path().display());
        assert_eq!(missing.hint, Some(hint));
        xray_artifacts::write_json(&folder.path().join(LIST), &TableList::default()).expect("writable");
        let failure =
            Collection::open(&dir, folder.path()).expect("a list").read::<RunRow>().expect_err("not in it");
        assert!(
            failure.exit == Exit::BadData && failure.message.ends_with("does not name runs.parquet"),
            "{failure}"
        );
    }
}
