//! Where shards grow: a folder of its own, locked by the build that fills it, with a marker in it until all are
//! there. What a build left that was killed is cleared by the next one.

use super::BuildProblem;
use super::folder::{file_names, is_part};
use crate::error::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use xray_artifacts::{DatasetManifest, sync_folder};

/// While a file of this name is in a folder, the folder is not finished; a folder of this name holds what is to
/// take the place of the data set around it.
pub(crate) const WORKPLACE: &str = ".building";

/// A folder that this process alone fills.
pub(super) struct Workplace {
    path: PathBuf,
    /// Lock on the folder; the system releases it when the process ends, however it ends.
    _lock: File,
}

impl Workplace {
    /// Makes the folder, or takes over what a build left there that was killed.
    ///
    /// # Errors
    /// [`BuildProblem::Busy`] while another build is at work there; [`BuildProblem::Unfinished`] where the file
    /// system has no locks to tell; [`BuildProblem::Foreign`] where it holds what no build wrote.
    pub(super) fn claim(path: &Path, overwrite: bool) -> Result<Workplace> {
        let is_new = match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            made => made.map(|()| true).map_err(Error::io(path, "create"))?,
        };
        let lock = File::open(path).map_err(Error::io(path, "open"))?;
        let folder = || path.to_owned();
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(BuildProblem::Busy { folder: folder() }.into()),
            Err(TryLockError::Error(_)) if !is_new && !overwrite => {
                return Err(BuildProblem::Unfinished { folder: folder() }.into());
            }
            _ => {}
        }
        // The build that held the lock before may have given the folder its name meanwhile.
        let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let here = lock.metadata().map(inode).map_err(Error::io(path, "open"))?;
        if fs::metadata(path).map(inode).ok() != Some(here) {
            return Err(BuildProblem::Busy { folder: folder() }.into());
        }
        let workplace = Workplace { path: path.to_owned(), _lock: lock };
        // The marker first: what is cleared must not pass for a data set half-way.
        let marker = workplace.marker();
        if marker.is_dir() {
            // What was in an old data set that was to be thrown away.
            fs::remove_dir_all(&marker).map_err(Error::io(&marker, "remove"))?;
        }
        File::create(&marker).map_err(Error::io(&marker, "create"))?;
        clear(path)?;
        Ok(workplace)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn marker(&self) -> PathBuf {
        self.path.join(WORKPLACE)
    }

    /// Says that all is there. Whatever happens from now on, the content is a whole data set.
    pub(super) fn complete(&self) -> Result<()> {
        sync(&self.path)?;
        let marker = self.marker();
        fs::remove_file(&marker).map_err(Error::io(&marker, "remove"))?;
        sync(&self.path)
    }
}

/// Whether a workplace holds a whole data set, which waits for its name.
pub(super) fn is_complete(workplace: &Path) -> bool {
    workplace.join(DatasetManifest::FILE_NAME).exists() && !workplace.join(WORKPLACE).exists()
}

/// Removes what builds write from a folder, the manifest first.
///
/// # Errors
/// [`BuildProblem::Foreign`] before anything is removed.
pub(super) fn clear(folder: &Path) -> Result<()> {
    let mut files = file_names(folder)?;
    files.retain(|file| file != WORKPLACE);
    if let Some(file) = files.iter().find(|file| !is_part(file)) {
        return Err(BuildProblem::Foreign { folder: folder.to_owned(), file: file.clone() }.into());
    }
    files.sort_by_key(|file| file != DatasetManifest::FILE_NAME);
    files.iter().try_for_each(|file| remove_if_there(&folder.join(file)))
}

pub(super) fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path, "remove")(error)),
        _ => Ok(()),
    }
}

/// Brings names in a folder, new and gone, to the disk.
pub(super) fn sync(folder: &Path) -> Result<()> {
    sync_folder(folder).map_err(Error::io(folder, "write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_build_at_a_time_and_what_a_killed_one_left_is_cleared() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join(".shards.building");
        let first = Workplace::claim(&path, false).expect("a new folder");
        fs::write(path.join(".train-00000-of-00001.tfrecord.tmp"), "half").expect("writable");
        let error = Workplace::claim(&path, true).err().expect("the other one is at work").to_string();
        assert!(error.starts_with("another build is at work in "), "{error}");
        drop(first);
        let second = Workplace::claim(&path, false).expect("the other one is gone");
        assert_eq!(file_names(&path).expect("readable"), [WORKPLACE]);
        assert!(!is_complete(&path));
        fs::write(path.join(DatasetManifest::FILE_NAME), "").expect("writable");
        assert!(!is_complete(&path));
        second.complete().expect("writable");
        assert!(is_complete(&path));
    }

    #[test]
    fn what_no_build_wrote_is_left_alone() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for file in ["notes.txt", "dataset.json"] {
            fs::write(dir.path().join(file), "").expect("writable");
        }
        let error = Workplace::claim(dir.path(), true).err().expect("not ours").to_string();
        assert!(error.ends_with("holds `notes.txt`, which is not part of a data set"), "{error}");
        assert!(dir.path().join("dataset.json").exists(), "nothing was removed");
    }
}
