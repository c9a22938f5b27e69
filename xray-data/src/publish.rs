//! A copy of a data set that jobs fetch by URL: each shard under a name that says what it holds, so that no cache on the
//! way takes one for another. Shards are linked where the file system can, else copied, and compared with the manifest;
//! the manifest comes last. Whatever stopped it, the same again goes on.

use crate::build::refuse_unfinished;
use crate::dataset::{ShardProblem, compare_content};
use crate::error::{Error, Result};
use crate::regular;
use crate::tfrecord::{RecordFile, RecordIndex};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use xray_artifacts::{
    ContentName, DatasetManifest, Exit, FileError, NewFile, ShardEntry, sync_folder, write_bytes, write_json,
};

/// What was published.
#[derive(Clone, Debug, Serialize)]
pub struct Published {
    /// What the folder holds.
    pub manifest: DatasetManifest,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Shards that share their bytes on the disk with the original.
    pub linked: u64,
    /// Shards that were copied.
    pub copied: u64,
    /// Shards that were there already.
    pub kept: u64,
}

/// Why a folder cannot be published, or not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishProblem {
    /// No build of ours made the folder.
    #[error("there is no {} in {}", DatasetManifest::FILE_NAME, folder.display())]
    NotBuilt {
        /// The folder.
        folder: PathBuf,
    },
    /// Something else lies where it should be published.
    #[error("{} holds `{file}`, which is not part of what is published", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: String,
    },
    /// Another process publishes there.
    #[error("something else is being published in {}", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
}

impl PublishProblem {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            PublishProblem::NotBuilt { .. } => {
                "make shards with `xray-data build`; it takes TFRecords of others too"
            }
            PublishProblem::Foreign { .. } => {
                "choose an empty folder, or one in which the same data set was published before"
            }
            PublishProblem::Busy { .. } => "wait until it has ended, or choose another folder",
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            PublishProblem::NotBuilt { .. } => Exit::BadData,
            PublishProblem::Foreign { .. } | PublishProblem::Busy { .. } => Exit::Usage,
        }
    }
}

/// Publishes the shards of `folder` in `target`, in the current rayon pool. `progress` is told, from any thread, of every
/// shard that is there.
///
/// # Errors
/// [`Error::Publish`] before anything is written; [`Error::Shard`] for a shard that is not as its manifest says.
pub fn publish(folder: &Path, target: &Path, progress: &(dyn Fn() + Sync)) -> Result<Published> {
    refuse_unfinished(folder)?;
    if !folder.join(DatasetManifest::FILE_NAME).exists() {
        return Err(PublishProblem::NotBuilt { folder: folder.to_owned() }.into());
    }
    let original = DatasetManifest::read(folder)?;
    let manifest = original.published();
    manifest
        .check()
        .map_err(|problem| FileError::Manifest { path: folder.join(DatasetManifest::FILE_NAME), problem })?;
    fs::create_dir_all(target).map_err(Error::io(target, "create"))?;
    let _lock = lock(target)?;
    let is_there = refuse_foreign(target, &manifest)?;
    let pairs: Vec<_> = original.shards().zip(manifest.shards()).collect();
    let publish = |(from, to): &(&ShardEntry, &ShardEntry)| {
        let way = publish_shard(folder, from, target, to)?;
        publish_index(&folder.join(&from.file), &target.join(&to.file))?;
        progress();
        Ok(way)
    };
    let ways: Vec<Way> = pairs.par_iter().map(publish).collect::<Result<_>>()?;
    sync_folder(target).map_err(Error::io(target, "write"))?;
    if !is_there {
        write_json(&target.join(DatasetManifest::FILE_NAME), &manifest)?;
    }
    let count = |way| ways.iter().filter(|found| **found == way).count() as u64;
    let bytes = manifest.shards().map(|shard| shard.bytes).sum();
    let (linked, copied, kept) = (count(Way::Linked), count(Way::Copied), count(Way::Kept));
    Ok(Published { manifest, bytes, linked, copied, kept })
}

/// How a shard came to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Linked,
    Copied,
    Kept,
}

/// Held while this process publishes. File systems that know no locks are taken as they are: each file is written aside and
/// renamed.
fn lock(target: &Path) -> Result<File> {
    let folder = File::open(target).map_err(Error::io(target, "open"))?;
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => Err(PublishProblem::Busy { folder: target.to_owned() }.into()),
        _ => Ok(folder),
    }
}

/// Refuses a folder with anything but parts of what is to be published; whether its manifest is there.
fn refuse_foreign(target: &Path, manifest: &DatasetManifest) -> Result<bool> {
    let names = manifest.shards().flat_map(|shard| [shard.file.clone(), index_name(&shard.file)]);
    let names = names.chain([DatasetManifest::FILE_NAME.to_owned()]);
    let ours: HashSet<String> = names.flat_map(|name| [half_name(&name), name]).collect();
    let mut found = Vec::new();
    for entry in fs::read_dir(target).map_err(Error::io(target, "list"))? {
        let entry = entry.map_err(Error::io(target, "list"))?;
        found.push(entry.file_name().to_string_lossy().into_owned());
    }
    found.sort_unstable();
    let foreign = |file: String| Err(PublishProblem::Foreign { folder: target.to_owned(), file }.into());
    if let Some(file) = found.iter().find(|file| !ours.contains(*file)) {
        return foreign(file.clone());
    }
    if !found.iter().any(|file| file == DatasetManifest::FILE_NAME) {
        return Ok(false);
    }
    match DatasetManifest::read(target) {
        Ok(there) if there == *manifest => Ok(true),
        _ => foreign(DatasetManifest::FILE_NAME.to_owned()),
    }
}

fn index_name(file: &str) -> String {
    format!("{file}.idx")
}

/// What a file is called until it is whole, here as in [`NewFile`].
fn half_name(file: &str) -> String {
    format!(".{file}.tmp")
}

fn publish_shard(folder: &Path, from: &ShardEntry, target: &Path, to: &ShardEntry) -> Result<Way> {
    let place = target.join(&to.file);
    match compare_content(target, to) {
        Ok(()) => return Ok(Way::Kept),
        Err(Error::Shard { .. }) => {}
        Err(error) => return Err(error),
    }
    let (source, half) = (folder.join(&from.file), half_name(&to.file));
    if !link(&source, &target.join(&half)) {
        return copy(&source, from, &place).map(|()| Way::Copied);
    }
    // The link is compared, not the original, which may be replaced meanwhile.
    let compared = compare_content(target, &ShardEntry { file: half.clone(), ..to.clone() });
    let half = target.join(half);
    compared.map_err(|error| {
        let _ = fs::remove_file(&half);
        match error {
            Error::Shard { problem, .. } => Error::Shard { path: source, problem },
            other => other,
        }
    })?;
    fs::rename(&half, &place).map_err(Error::io(&place, "write"))?;
    Ok(Way::Linked)
}

/// Gives a file a second name, behind links; whether it has it now.
fn link(from: &Path, to: &Path) -> bool {
    let _ = fs::remove_file(to); // of a process that was killed, or nothing
    from.is_file() && fs::canonicalize(from).and_then(|from| fs::hard_link(from, to)).is_ok()
}

fn copy(from: &Path, entry: &ShardEntry, to: &Path) -> Result<()> {
    let problem = |problem| Error::Shard { path: from.to_owned(), problem };
    let (file, _) = regular::open(from).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => problem(ShardProblem::Absent),
        other => other,
    })?;
    let mut new = NewFile::create(to)?;
    let (found, bytes) = ContentName::copy(file, &mut new).map_err(Error::io(to, "write"))?;
    if bytes != entry.bytes {
        return Err(problem(ShardProblem::Bytes { expected: entry.bytes, found: bytes }));
    }
    if found.hash() != entry.blake3 {
        let found = found.hash().to_owned();
        return Err(problem(ShardProblem::Hash { expected: entry.blake3.clone(), found }));
    }
    Ok(new.finish()?)
}

/// Copies the index beside a shard, where there is one that fits: it spares whoever reads the published folder the comparing
/// of all of it.
fn publish_index(from: &Path, to: &Path) -> Result<()> {
    let index = RecordFile::open(from).map(|file| RecordIndex::load(&file));
    if !matches!(index, Ok(Some(_))) {
        return Ok(());
    }
    let from = RecordIndex::path_for(from);
    let content = fs::read(&from).map_err(Error::io(&from, "read"))?;
    let to = RecordIndex::path_for(to);
    if fs::read(&to).is_ok_and(|there| there == content) {
        return Ok(());
    }
    Ok(write_bytes(&to, &content)?)
}
