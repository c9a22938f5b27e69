//! The folder that shards are written to. They grow in a subfolder and move up when all are there,
//! `dataset.json` last, so that a build that was stopped is not mistaken for a data set.

use super::BuildProblem;
use crate::error::{Error, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xray_artifacts::{DatasetManifest, write_json};

/// Where shards grow. While it is there, the folder above holds no finished data set.
pub(crate) const WORKPLACE: &str = ".building";

/// A folder that is being filled. Dropped before [`finish`](Self::finish), it is left as it was.
pub(super) struct OutputFolder {
    folder: PathBuf,
    workplace: PathBuf,
}

impl OutputFolder {
    /// Makes the folder. One that is not empty is refused, unless a data set may be overwritten; what was
    /// not written by a build is never touched.
    pub(super) fn start(folder: &Path, overwrite: bool) -> Result<OutputFolder> {
        fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let files = file_names(folder)?;
        let refused = |problem| Err(Error::Build(problem));
        if files.iter().any(|file| file == WORKPLACE) && !overwrite {
            return refused(BuildProblem::Unfinished { folder: folder.to_owned() });
        }
        if !files.is_empty() && !overwrite {
            return refused(BuildProblem::NotEmpty { folder: folder.to_owned() });
        }
        if let Some(file) = files.iter().find(|file| *file != WORKPLACE && !is_part(file)) {
            return refused(BuildProblem::Foreign { folder: folder.to_owned(), file: file.clone() });
        }
        let workplace = folder.join(WORKPLACE);
        match fs::remove_dir_all(&workplace) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(&workplace, "remove")(error));
            }
            _ => fs::create_dir(&workplace).map_err(Error::io(&workplace, "create"))?,
        }
        Ok(OutputFolder { folder: folder.to_owned(), workplace })
    }

    /// Where shards are written until all are there.
    pub(super) fn workplace(&self) -> &Path {
        &self.workplace
    }

    /// Takes the old data set away and moves the new one in, its manifest last.
    pub(super) fn finish(self, manifest: &DatasetManifest) -> Result<()> {
        // The old manifest goes first: without it nobody takes a mixture of old and new shards for a set.
        let manifest_path = self.folder.join(DatasetManifest::FILE_NAME);
        remove_if_there(&manifest_path)?;
        for file in file_names(&self.folder)?.iter().filter(|file| is_part(file)) {
            remove_if_there(&self.folder.join(file))?;
        }
        for file in file_names(&self.workplace)? {
            let target = self.folder.join(&file);
            fs::rename(self.workplace.join(&file), &target).map_err(Error::io(&target, "write"))?;
        }
        write_json(&manifest_path, manifest)?;
        Ok(())
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        // After `finish` it is empty; after a failure its shards are worth nothing.
        let _ = fs::remove_dir_all(&self.workplace);
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path, "remove")(error)),
        _ => Ok(()),
    }
}

fn file_names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
    let names = entries.map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(Error::io(folder, "list"))?;
    names.sort_unstable();
    Ok(names)
}

/// Whether a build writes files of this name: `dataset.json`, `val-00003-of-00007.tfrecord` and its `.idx`.
fn is_part(name: &str) -> bool {
    let shard = name.strip_suffix(".idx").unwrap_or(name).strip_suffix(".tfrecord");
    let numbers =
        shard.and_then(|s| ["train-", "val-", "test-"].iter().find_map(|split| s.strip_prefix(split)));
    let is_number = |n: &str| n.len() >= 5 && n.bytes().all(|b| b.is_ascii_digit());
    let is_shard =
        numbers.and_then(|n| n.split_once("-of-")).is_some_and(|(a, b)| is_number(a) && is_number(b));
    is_shard || name == DatasetManifest::FILE_NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_files_of_a_build_are_parts() {
        let check = |name, expected| assert_eq!(is_part(name), expected, "{name}");
        check("dataset.json", true);
        check("train-00000-of-00042.tfrecord", true);
        check("test-00041-of-00042.tfrecord.idx", true);
        check("train-00000-of-00042.tfrecord.gz", false);
        check("000-438.tfrec", false);
        check("train-a-of-b.tfrecord", false);
        check("notes.txt", false);
    }

    fn check_refused(files: &[&str], overwrite: bool, expected: &str) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            fs::write(dir.path().join(file), "").expect("writable");
        }
        let error = OutputFolder::start(dir.path(), overwrite).err().expect(expected).to_string();
        assert!(error.ends_with(expected), "{error}");
        assert_eq!(file_names(dir.path()).expect("readable").len(), files.len(), "nothing was touched");
    }

    #[test]
    fn a_folder_in_use_is_refused_and_left_alone() {
        check_refused(&["dataset.json"], false, "is not empty");
        check_refused(&["notes.txt"], false, "is not empty");
        check_refused(&[WORKPLACE], false, "holds an unfinished build");
        check_refused(
            &["notes.txt", "dataset.json"],
            true,
            "holds `notes.txt`, which is no part of a data set",
        );
    }

    #[test]
    fn a_dropped_build_leaves_the_old_set() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("dataset.json"), "old").expect("writable");
        let folder = OutputFolder::start(dir.path(), true).expect("may be overwritten");
        fs::write(folder.workplace().join("train-00000-of-00001.tfrecord"), "new").expect("writable");
        drop(folder);
        assert_eq!(file_names(dir.path()).expect("readable"), ["dataset.json"]);
    }
}
