//! How every file is written: under a temporary name beside it, to the disk, renamed, and the folder to the disk. A
//! reader, a kill and a loss of power see the old file or the new one, never half of one.

use crate::FileError;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that is being written. [`finish`](Self::finish) gives it its name; dropped before, it leaves nothing.
///
/// What is not a regular file is never replaced: a device or a pipe is written into as it is, a folder is refused. A
/// symbolic link stays, and the file that it names is written.
#[derive(Debug)]
pub struct NewFile {
    /// As the caller named it.
    path: PathBuf,
    file: Option<File>,
    /// The file that is replaced, and the name it grows under; none for a device.
    replaces: Option<(PathBuf, PathBuf)>,
}

impl NewFile {
    /// Begins a file; its folder must exist.
    ///
    /// # Errors
    /// [`FileError::Io`]: a folder of this name, and what the system refuses.
    pub fn create(path: &Path) -> Result<NewFile, FileError> {
        let error = |source| FileError::Io { path: path.to_owned(), action: "write", source };
        let (file, replaces) = begin(path).map_err(error)?;
        Ok(NewFile { path: path.to_owned(), file: Some(file), replaces })
    }

    /// Says who may read, write and start the file.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn set_permissions(&self, permissions: fs::Permissions) -> Result<(), FileError> {
        let file = self.file.as_ref().expect("only `finish` takes it");
        file.set_permissions(permissions).map_err(|source| FileError::Io {
            path: self.path.clone(),
            action: "write",
            source,
        })
    }

    /// Puts content and name on the disk.
    ///
    /// # Errors
    /// What the system refuses; the old file is then as it was.
    pub fn finish(mut self) -> Result<(), FileError> {
        let file = self.file.take().expect("only `finish` takes it");
        let finished = match &self.replaces {
            Some((target, temporary)) => file.sync_all().and_then(|()| fs::rename(temporary, target)),
            None => Ok(()),
        };
        let synced = finished.and_then(|()| match self.replaces.take() {
            Some((target, _)) => sync_folder_of(&target),
            None => Ok(()),
        });
        synced.map_err(|source| FileError::Io { path: self.path.clone(), action: "write", source })
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().expect("only `finish` takes it").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // What was not renamed is worth nothing, and on a full disk its room is.
        if let Some((_, temporary)) = &self.replaces {
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Writes a whole file, as [`NewFile`] does.
///
/// # Errors
/// What the system refuses; the old file is then as it was.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes).map_err(|source| FileError::Io {
        path: path.to_owned(),
        action: "write",
        source,
    })?;
    file.finish()
}

/// Puts the names in a folder on the disk: only then does a rename outlast a loss of power.
///
/// # Errors
/// What the system refuses; file systems that know no such thing are taken as they are.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        // A folder that may be written to but not read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

fn sync_folder_of(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync_folder(folder),
        _ => sync_folder(Path::new(".")),
    }
}

type Begun = (File, Option<(PathBuf, PathBuf)>);

fn begin(path: &Path) -> io::Result<Begun> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => Ok((OpenOptions::new().write(true).open(path)?, None)),
        _ => {
            let target = behind_links(path)?;
            let temporary = temporary_name(&target)?;
            let file = open_alone(&temporary)?;
            Ok((file, Some((target, temporary))))
        }
    }
}

/// The file that a link names, there or not.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    // As many as the system follows.
    for _ in 0..40 {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Always the same, so that what a killed process left is taken by the next one that writes this file.
fn temporary_name(target: &Path) -> io::Result<PathBuf> {
    let Some(name) = target.file_name() else { return Err(io::ErrorKind::InvalidFilename.into()) };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".tmp");
    Ok(target.with_file_name(temporary))
}

/// Opens a temporary file that no other process is writing, and empties it.
fn open_alone(temporary: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(temporary)?;
        // Some file systems know no locks. There the last of two writers wins, as with any rename.
        let _ = file.lock();
        // Whoever had it before may have renamed it: then this is the finished file, which is not ours to empty.
        let same = fs::symlink_metadata(temporary).and_then(|named| {
            let opened = file.metadata()?;
            Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino()))
        });
        let emptied = match same {
            Ok(true) => file.set_len(0),
            Ok(false) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => Err(error),
        };
        // What was opened and cannot be written is not left.
        return emptied.inspect_err(|_| drop(fs::remove_file(temporary))).map(|()| file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, symlink};
    use tempfile::{TempDir, tempdir};

    fn folder() -> TempDir {
        tempdir().expect("a temporary folder")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("readable");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn until_it_is_finished_the_old_file_stands() {
        let dir = folder();
        let path = dir.path().join("note");
        write_bytes(&path, b"old").expect("writable");
        let mut file = NewFile::create(&path).expect("writable");
        file.write_all(b"new").expect("writable");
        assert_eq!(fs::read(&path).expect("still there"), b"old");
        drop(file);
        assert_eq!(
            (fs::read(&path).expect("still there"), names(dir.path())),
            (b"old".into(), vec!["note".into()])
        );
        write_bytes(&path, b"new").expect("writable");
        assert_eq!(
            (fs::read(&path).expect("there"), names(dir.path())),
            (b"new".into(), vec!["note".into()])
        );
    }

    #[test]
    fn what_a_killed_process_left_is_taken() {
        let dir = folder();
        fs::write(dir.path().join(".note.tmp"), "of a longer text that was never finished")
            .expect("writable");
        write_bytes(&dir.path().join("note"), b"new").expect("writable");
        assert_eq!(names(dir.path()), ["note"]);
        assert_eq!(fs::read(dir.path().join("note")).expect("there"), b"new");
    }

    #[test]
    fn writers_of_one_file_come_one_after_the_other() {
        let dir = folder();
        let path = dir.path().join("note");
        std::thread::scope(|scope| {
            for text in [b'a', b'b', b'c', b'd'] {
                let path = &path;
                scope
                    .spawn(move || (0..50).for_each(|_| write_bytes(path, &[text; 9000]).expect("writable")));
            }
        });
        let found = fs::read(&path).expect("there");
        assert!(found.len() == 9000 && found.iter().all(|byte| *byte == found[0]));
        assert_eq!(names(dir.path()), ["note"]);
    }

    #[test]
    fn a_folder_is_refused_and_a_pipe_is_written_into() {
        let dir = folder();
        let error = write_bytes(dir.path(), b"x").expect_err("a folder");
        assert!(
            matches!(&error, FileError::Io { source, .. } if source.kind() == io::ErrorKind::IsADirectory)
        );

        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).and_then(|mut pipe| pipe.read_to_string(&mut text)).map(|_| text)
            }
        });
        write_bytes(&pipe, b"through").expect("someone reads");
        assert_eq!(reader.join().expect("no panic").expect("readable"), "through");
        assert!(fs::symlink_metadata(&pipe).expect("there").file_type().is_fifo());
        assert_eq!(names(dir.path()), ["pipe"]);
    }

    #[test]
    fn a_device_stays_a_device() {
        for device in ["/dev/null", "/dev/stderr"] {
            write_bytes(Path::new(device), b"").expect("writable");
        }
        let found = fs::metadata("/dev/null").expect("there");
        assert!(found.file_type().is_char_device());
        let error = write_bytes(Path::new("/dev/full"), b"x").expect_err("full");
        assert!(
            matches!(&error, FileError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
        );
    }

    #[test]
    fn a_link_stays_and_its_file_is_written() {
        let dir = folder();
        fs::create_dir(dir.path().join("there")).expect("writable");
        symlink("there/file", dir.path().join("link")).expect("writable");
        symlink("link", dir.path().join("second")).expect("writable");
        symlink("loop", dir.path().join("loop")).expect("writable");
        for text in ["first", "again"] {
            write_bytes(&dir.path().join("second"), text.as_bytes()).expect("writable");
            assert_eq!(fs::read_to_string(dir.path().join("there/file")).expect("there"), text);
        }
        assert!(fs::symlink_metadata(dir.path().join("second")).expect("there").is_symlink());
        write_bytes(&dir.path().join("loop"), b"").expect_err("a link to itself");
    }
}
