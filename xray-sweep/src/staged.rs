//! Files that belong together appear together: they are written in a folder that nobody reads, and moved when the last
//! of them is on the disk.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use xray_artifacts::{Exit, Failure, FileError, sync_folder};

/// The folder in the target in which files grow. Always of one name, so that what a killed process left is cleared.
const GROWING: &str = ".new";

/// Another process that writes to the same place is waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Files of a folder that nobody sees yet. Dropped before they are published, they leave nothing.
pub(crate) struct Staged {
    target: PathBuf,
    /// Where the files are: `.new` in the target, later beside it.
    folder: PathBuf,
    /// Let go when the files have their names. Some file systems know no locks.
    _lock: Option<File>,
}

impl Staged {
    /// Makes `target` and the folder in it, once no other process writes there.
    pub(crate) fn new(target: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(target).map_err(elsewhere(target))?;
        let target = fs::canonicalize(target).map_err(refused(target, "find"))?;
        let lock = lock(&target)?;
        let folder = target.join(GROWING);
        for left in [Some(folder.clone()), beside(&target)].into_iter().flatten() {
            clear(&left).map_err(refused(&left, "remove"))?;
        }
        fs::create_dir(&folder).map_err(elsewhere(&target))?;
        Ok(Staged { target, folder, _lock: lock })
    }

    /// Where a file is written.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where it will be.
    pub(crate) fn later(&self, name: &str) -> PathBuf {
        self.target.join(name)
    }

    /// Puts the files of these names where they belong. A target that holds nothing else is exchanged as a whole, in
    /// one step. Where that cannot be, files are renamed one after the other in this order.
    ///
    /// # Errors
    /// Of a name that is not a file's, such as a device's; nothing is replaced then.
    pub(crate) fn publish<'a>(
        mut self,
        names: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
    ) -> Result<(), FileError> {
        let names = names.into_iter();
        for path in names.clone().map(|name| self.later(name)) {
            if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
                let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
                return Err(FileError::Io { path, action: "replace", source });
            }
        }
        sync(&self.folder)?;
        if !self.exchange(names.clone()) {
            for name in names {
                let path = self.later(name);
                fs::rename(self.path(name), &path).map_err(refused(&path, "write"))?;
            }
        }
        sync(&self.target)?;
        self.target.parent().map_or(Ok(()), sync)
    }

    /// Puts the whole folder in the place of the target, and the target where the folder was. Not for a mounted
    /// target, one beside which nothing can be made, or a file system that cannot exchange.
    fn exchange<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> bool {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let Some(beside) = beside(&self.target).filter(|_| self.holds_only(names)) else { return false };
        // Folders look alike to others afterwards.
        let alike = fs::metadata(&self.target)
            .and_then(|target| fs::set_permissions(&self.folder, target.permissions()));
        if alike.and_then(|()| fs::rename(&self.folder, &beside)).is_err() {
            return false;
        }
        self.folder = beside;
        renameat_with(CWD, &self.folder, CWD, &self.target, RenameFlags::EXCHANGE).is_ok()
    }

    /// Whether the target holds none but regular files of these names.
    fn holds_only<'a>(&self, names: impl Iterator<Item = &'a str>) -> bool {
        let own: Vec<OsString> = names.map(OsString::from).collect();
        let is_own = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| {
                let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
                entry.file_name() == GROWING || (is_file && own.contains(&entry.file_name()))
            })
        };
        fs::read_dir(&self.target).is_ok_and(|mut entries| entries.all(is_own))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Half-written files, or the ones of before, are worth nothing, and on a full disk their room is.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Where the whole folder is on its way to the target.
fn beside(target: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(target.file_name()?);
    name.push(GROWING);
    Some(target.with_file_name(name))
}

fn clear(left: &Path) -> io::Result<()> {
    match fs::remove_dir_all(left) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Takes the folder that holds the target: the target itself may be exchanged meanwhile.
fn lock(target: &Path) -> Result<Option<File>, Failure> {
    let Some(file) = target.parent().and_then(|parent| File::open(parent).ok()) else { return Ok(None) };
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(_)) => return Ok(None),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(50)),
            Err(TryLockError::WouldBlock) => {
                let message = format!("another process writes to {}", target.display());
                return Err(Failure::new(Exit::Usage, message).hint("wait for it or stop it"));
            }
        }
    }
}

fn sync(folder: &Path) -> Result<(), FileError> {
    sync_folder(folder).map_err(refused(folder, "write"))
}

/// Advice for a user who may only read the sweep: write to a folder of their own.
fn elsewhere(target: &Path) -> impl FnOnce(io::Error) -> Failure {
    let refused = refused(target, "write to the folder");
    |source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Failure::from(refused(source)).hint("`--out DIR` names a folder of your own")
        }
        _ => refused(source).into(),
    }
}

fn refused(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { path, action, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    const NAMES: [&str; 2] = ["a", "b"];

    fn staged(target: &Path, text: &str) -> Staged {
        let staged = Staged::new(target).expect("a writable folder");
        NAMES.iter().for_each(|name| fs::write(staged.path(name), text).expect("a writable folder"));
        staged
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("readable");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn texts(target: &Path) -> [String; 2] {
        NAMES.map(|name| fs::read_to_string(target.join(name)).expect("published"))
    }

    #[test]
    fn files_are_exchanged_as_a_whole_and_leave_nothing_beside() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let target = parent.path().join("deep/target");
        staged(&target, "old").publish(NAMES).expect("a new folder");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o750)).expect("ours");
        let before = fs::metadata(&target).expect("there").ino();
        drop(staged(&target, "never"));
        assert_eq!(texts(&target), ["old", "old"]);
        staged(&target, "new").publish(NAMES).expect("exchanged");
        let after = fs::metadata(&target).expect("there");
        assert_eq!((texts(&target), after.mode() & 0o777), (["new", "new"].map(str::to_owned), 0o750));
        assert_ne!(before, after.ino(), "another folder");
        assert_eq!(
            (names(&target), names(&parent.path().join("deep"))),
            (NAMES.map(str::to_owned).into(), vec!["target".into()])
        );
    }

    #[test]
    fn what_a_killed_process_left_is_cleared_and_what_is_of_others_stays() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let target = parent.path().join("target");
        fs::create_dir_all(target.join(GROWING)).expect("writable");
        fs::write(target.join(GROWING).join("a"), "half").expect("writable");
        fs::create_dir_all(parent.path().join(".target.new/deep")).expect("writable");
        fs::write(target.join("notes"), "mine").expect("writable");
        let before = fs::metadata(&target).expect("there").ino();
        staged(&target, "new").publish(NAMES).expect("renamed one by one");
        assert_eq!(fs::metadata(&target).expect("there").ino(), before, "the same folder");
        assert_eq!(
            (texts(&target), names(&target)),
            (["new", "new"].map(str::to_owned), ["a", "b", "notes"].map(str::to_owned).into())
        );
        assert_eq!(names(parent.path()), ["target"]);
    }

    #[test]
    fn what_is_no_file_is_not_replaced_and_nothing_else_is() {
        let target = tempfile::tempdir().expect("a temporary folder");
        fs::write(target.path().join("a"), "old").expect("writable");
        fs::create_dir(target.path().join("b")).expect("writable");
        let error = staged(target.path(), "new").publish(NAMES).expect_err("a folder of this name");
        assert!(
            matches!(&error, FileError::Io { action: "replace", path, .. } if path.ends_with("b")),
            "{error}"
        );
        assert_eq!(fs::read_to_string(target.path().join("a")).expect("there"), "old");
        assert_eq!(names(target.path()), ["a", "b"]);
    }

    #[test]
    fn writers_of_one_folder_come_one_after_the_other() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let target = parent.path().join("target");
        std::thread::scope(|scope| {
            for text in ["1", "2", "3"] {
                let target = &target;
                scope.spawn(move || {
                    (0..5).for_each(|_| staged(target, text).publish(NAMES).expect("in turn"))
                });
            }
        });
        let [a, b] = texts(&target);
        assert_eq!((a, names(parent.path())), (b, vec!["target".to_owned()]));
    }
}
