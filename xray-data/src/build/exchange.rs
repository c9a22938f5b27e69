//! A finished data set takes its place: by one rename, or, where a folder cannot be renamed, file by file in an
//! order that can be taken up again.

use super::BuildProblem;
use super::folder::{file_names, is_part};
use super::workplace::{WORKPLACE, clear, is_complete, remove_if_there, sync};
use crate::error::{Error, Result};
use rustix::fs::{AtFlags, CWD, RenameFlags, StatxAttributes, StatxFlags, renameat_with, statx};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use xray_artifacts::DatasetManifest;

/// Whether a folder can change its name. One on which a file system is mounted cannot; the folder in which this
/// process was started, or one around it, can, but whoever started it would find himself in the old one.
pub(super) fn can_be_renamed(folder: &Path) -> bool {
    let stat = statx(CWD, folder, AtFlags::empty(), StatxFlags::empty());
    let is_mount = stat.is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    // Kernels before 5.8 do not say it.
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let is_other_device = folder.parent().is_some_and(|parent| device(parent) != device(folder));
    let holds_us = std::env::current_dir().is_ok_and(|here| here.starts_with(folder));
    !is_mount && !is_other_device && !holds_us
}

/// Gives `workplace`, which is complete and lies beside `folder`, its name. What was there before stays whole until
/// one rename exchanges the two, and is then removed.
///
/// # Errors
/// What the system refuses. Then the old data set is as it was.
pub(super) fn exchange(workplace: &Path, folder: &Path) -> Result<()> {
    let write = |error: io::Error| Error::io(folder, "write")(error);
    if let Ok(old) = fs::metadata(folder) {
        // Who may read the data set stays as it was; a group that this user is not in cannot be given.
        let set = fs::set_permissions(workplace, old.permissions());
        set.map_err(Error::io(workplace, "set the permissions of"))?;
        let _ = chown(workplace, None, Some(old.gid()));
    }
    // Onto a folder that is absent or empty.
    match fs::rename(workplace, folder) {
        Err(error) if is_taken(&error) => {}
        renamed => {
            renamed.map_err(write)?;
            return sync_parent(folder);
        }
    }
    refuse_foreign(folder)?;
    if let Err(error) = renameat_with(CWD, workplace, CWD, folder, RenameFlags::EXCHANGE) {
        // An old kernel or a network's file system.
        let inside = folder.join(WORKPLACE);
        let _ = fs::remove_dir_all(&inside); // of a build that was killed in it, or nothing
        fs::rename(workplace, inside).map_err(|_| write(error.into()))?;
        return move_in(folder);
    }
    sync_parent(folder)?;
    // The old data set has the workplace's name now. Whatever cannot be removed is left to the next build.
    if clear(workplace).is_ok() {
        let _ = fs::remove_dir_all(workplace);
    }
    Ok(())
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

fn sync_parent(folder: &Path) -> Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new(".")))
}

/// Files that appeared while the build was at work are not thrown away with the old data set.
fn refuse_foreign(folder: &Path) -> Result<()> {
    match file_names(folder)?.into_iter().find(|file| file != WORKPLACE && !is_part(file)) {
        Some(file) => Err(BuildProblem::Foreign { folder: folder.to_owned(), file }.into()),
        None => Ok(()),
    }
}

/// Moves what is complete in `folder/.building` up, its manifest last. From the removal of the old manifest to the
/// arrival of the new one the folder holds no data set, and says so; what was cut in between is taken up again by
/// calling this again. Does nothing where nothing is complete.
pub(super) fn move_in(folder: &Path) -> Result<()> {
    let workplace = folder.join(WORKPLACE);
    if !is_complete(&workplace) {
        return Ok(());
    }
    refuse_foreign(folder)?;
    let manifest = DatasetManifest::read(&workplace)?;
    remove_if_there(&folder.join(DatasetManifest::FILE_NAME))?;
    sync(folder)?;
    let names = manifest.shards().flat_map(|shard| [shard.file.clone(), format!("{}.idx", shard.file)]);
    let listed: HashSet<String> = names.collect();
    for old in file_names(folder)?.iter().filter(|file| is_part(file) && !listed.contains(*file)) {
        remove_if_there(&folder.join(old))?;
    }
    let up = |file: &str| {
        let target = folder.join(file);
        fs::rename(workplace.join(file), &target).map_err(Error::io(&target, "write"))
    };
    file_names(&workplace)?.iter().filter(|file| listed.contains(*file)).try_for_each(|file| up(file))?;
    sync(folder)?;
    up(DatasetManifest::FILE_NAME)?;
    sync(folder)?;
    let _ = fs::remove_dir(&workplace);
    Ok(())
}
