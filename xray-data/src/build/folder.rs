//! The folder that shards are written to. They grow in a workplace beside it, `.NAME.building`, which takes its
//! place in one rename when all are there: whenever a build is stopped, the folder is as it was or as it should be.
//! A folder that cannot be renamed, such as one on which a disk is mounted, has its workplace in it, `.building`.

use super::BuildProblem;
use super::exchange::{can_be_renamed, exchange, move_in};
use super::workplace::{WORKPLACE, Workplace};
use crate::error::{Error, Result};
use crate::sources::Spill;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use xray_artifacts::{ContentName, DatasetManifest, write_json};

/// A folder that is being filled. Dropped before [`finish`](Self::finish), it is left as it was.
pub(super) struct OutputFolder {
    folder: PathBuf,
    workplace: Workplace,
    /// Whether the workplace holds what is not to be thrown away.
    keep: bool,
}

impl OutputFolder {
    /// Makes a workplace for the folder. A folder that is not empty is refused, unless a data set may be
    /// overwritten; what was not written by a build is never touched.
    pub(super) fn start(folder: &Path, overwrite: bool) -> Result<OutputFolder> {
        let folder = resolved(folder)?;
        let workplace = match fs::metadata(&folder) {
            Ok(_) => {
                move_in_what_waits(&folder)?;
                refuse_content(&folder, overwrite)?;
                claim(&folder, overwrite)?
            }
            Err(_) => {
                let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
                parent.map_or(Ok(()), |parent| {
                    fs::create_dir_all(parent).map_err(Error::io(parent, "create"))
                })?;
                Workplace::claim(&beside(&folder), overwrite)?
            }
        };
        Ok(OutputFolder { folder, workplace, keep: false })
    }

    /// Where shards are written until all are there.
    pub(super) fn workplace(&self) -> &Path {
        self.workplace.path()
    }

    /// Gives the new data set its place, and takes the old one away.
    pub(super) fn finish(mut self, manifest: &DatasetManifest) -> Result<()> {
        write_json(&self.workplace().join(DatasetManifest::FILE_NAME), manifest)?;
        self.workplace.complete()?;
        if self.workplace().parent() == Some(&self.folder) {
            self.keep = true;
            move_in(&self.folder)
        } else {
            // The old set has the workplace's name then; what of it could not be removed stays.
            exchange(self.workplace.path(), &self.folder).map(|()| self.keep = true)
        }
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        // After `finish` it is gone; after a failure its shards are worth nothing.
        if !self.keep {
            let _ = fs::remove_dir_all(self.workplace.path());
        }
    }
}

/// Refuses a folder that a build has not finished, whose shards would pass for all.
///
/// # Errors
/// [`BuildProblem::Unfinished`].
pub(crate) fn refuse_unfinished(folder: &Path) -> Result<()> {
    // The marker is a file; a folder of that name may wait beside an old data set that is whole.
    let marker = fs::symlink_metadata(folder.join(WORKPLACE));
    let is_whole = || folder.join(DatasetManifest::FILE_NAME).exists();
    match marker {
        Ok(marker) if !marker.is_dir() || !is_whole() => {
            Err(BuildProblem::Unfinished { folder: folder.to_owned() }.into())
        }
        _ => Ok(()),
    }
}

/// The folder by a name that it can be renamed by: links are followed.
fn resolved(folder: &Path) -> Result<PathBuf> {
    let is_link = fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_symlink());
    match folder.file_name() {
        Some(_) if !is_link => Ok(folder.to_owned()),
        _ => folder.canonicalize().map_err(Error::io(folder, "open")),
    }
}

/// `.NAME.building`
fn beside(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}{WORKPLACE}"))
}

/// A workplace for a folder that is there: beside it where the two can change places, else in it.
fn claim(folder: &Path, overwrite: bool) -> Result<Workplace> {
    let whole = folder.canonicalize().map_err(Error::io(folder, "open"))?;
    if whole.parent().is_some() && can_be_renamed(&whole) {
        match Workplace::claim(&beside(folder), overwrite) {
            Err(Error::Io { source, .. }) if is_forbidden(&source) => {}
            claimed => return claimed,
        }
    }
    Workplace::claim(&folder.join(WORKPLACE), overwrite)
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Ends what a build began that was killed while its shards moved up.
fn move_in_what_waits(folder: &Path) -> Result<()> {
    let inside = folder.join(WORKPLACE);
    if !inside.is_dir() {
        return Ok(());
    }
    let lock = File::open(&inside).map_err(Error::io(&inside, "open"))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => Err(BuildProblem::Busy { folder: folder.to_owned() }.into()),
        _ => move_in(folder),
    }
}

/// Without leave to overwrite, a folder may hold what a killed build left, and no more.
fn refuse_content(folder: &Path, overwrite: bool) -> Result<()> {
    let files = file_names(folder)?;
    let refused = |problem| Err(Error::Build(problem));
    let (marks, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file == WORKPLACE);
    let foreign = files.iter().find(|file| !is_part(file));
    let is_left_over =
        !marks.is_empty() && foreign.is_none() && !files.iter().any(|f| f == DatasetManifest::FILE_NAME);
    if !files.is_empty() && !overwrite && !is_left_over {
        return refused(BuildProblem::NotEmpty { folder: folder.to_owned() });
    }
    match foreign {
        Some(file) => refused(BuildProblem::Foreign { folder: folder.to_owned(), file: file.clone() }),
        None => Ok(()),
    }
}

pub(super) fn file_names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
    let names = entries.map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(Error::io(folder, "list"))?;
    names.sort_unstable();
    Ok(names)
}

/// Whether a build writes files of this name: `dataset.json`, `val-00003-of-00007.tfrecord` and its `.idx`, the names
/// that they have until they are whole, and where images are kept meanwhile.
pub(super) fn is_part(name: &str) -> bool {
    if name == Spill::NAME {
        return true;
    }
    let name = whole_name(name);
    is_shard(name.strip_suffix(".idx").unwrap_or(name)) || name == DatasetManifest::FILE_NAME
}

/// Whether this is what a build calls a file of records, or what it is called where it is published.
pub(crate) fn is_shard(name: &str) -> bool {
    let shard = name.strip_suffix(".tfrecord");
    let shard = shard.map(|shard| match shard.split_once('.') {
        Some((shard, content)) if ContentName::try_from(content.to_owned()).is_ok() => shard,
        _ => shard,
    });
    let numbers =
        shard.and_then(|s| ["train-", "val-", "test-"].iter().find_map(|split| s.strip_prefix(split)));
    let is_number = |n: &str| n.len() >= 5 && n.bytes().all(|b| b.is_ascii_digit());
    numbers.and_then(|n| n.split_once("-of-")).is_some_and(|(a, b)| is_number(a) && is_number(b))
}

/// What a file will be called that is being written: `.NAME.tmp`, in earlier versions `NAME.PID.tmp`.
fn whole_name(name: &str) -> &str {
    let Some(stem) = name.strip_suffix(".tmp") else { return name };
    let of_before = stem.rsplit_once('.').filter(|(_, pid)| pid.bytes().all(|b| b.is_ascii_digit()));
    stem.strip_prefix('.').or(of_before.map(|(stem, _)| stem)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use xray_artifacts::{ImageFormat, ShardEntry, Source, Split, SplitRule, SplitSummary};

    #[test]
    fn only_the_files_of_a_build_are_parts() {
        let check = |name: &str, expected| assert_eq!(is_part(name), expected, "{name}");
        check("dataset.json", true);
        check("train-00000-of-00042.tfrecord", true);
        check("test-00041-of-00042.tfrecord.idx", true);
        check("train-00000-of-00042.tfrecord.gz", false);
        let published = format!("train-00000-of-00042.blake3-{}.tfrecord", "0f".repeat(32));
        check(published.as_str(), true);
        check("train-00000-of-00042.blake3-0f.tfrecord", false);
        check("000-438.tfrec", false);
        check("train-a-of-b.tfrecord", false);
        check("val-00000-of-00001.tfrecord.idx.4711.tmp", true);
        check("dataset.json.4711.tmp", true);
        check(".dataset.json.tmp", true);
        check("notes.4711.tmp", false);
        check(".notes.tmp", false);
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
        check_refused(
            &["notes.txt", "dataset.json"],
            true,
            "holds `notes.txt`, which is not part of a data set",
        );
    }

    const SHARDS: [&str; 3] = ["test-00000-of-00001", "train-00000-of-00001", "val-00000-of-00001"];

    /// A manifest of these shards; the seed tells one set from another.
    fn manifest(shards: &[&str], seed: u64) -> DatasetManifest {
        let entry = |(number, name): (usize, &&str)| {
            let (file, blake3) = (format!("{name}.tfrecord"), format!("{seed} {number}"));
            ShardEntry { file, records: 1, bytes: 16, blake3 }
        };
        let shards: Vec<_> = shards.iter().enumerate().map(entry).collect();
        let train = SplitSummary { images: shards.len() as u64, shards, ..SplitSummary::default() };
        DatasetManifest {
            labels: vec!["Mass".into()],
            image: ImageFormat { encoding: "png".into(), size: None, resized: false, white_level: None },
            splits: BTreeMap::from([(Split::Train, train)]),
            split_rule: SplitRule::Patient,
            seed,
            source: Source { kind: "csv".into(), labels_blake3: String::new(), notes: Vec::new() },
        }
    }

    fn fill(folder: &Path, shards: &[&str], seed: u64) {
        for shard in shards {
            for end in ["tfrecord", "tfrecord.idx"] {
                fs::write(folder.join(format!("{shard}.{end}")), seed.to_string()).expect("writable");
            }
        }
    }

    fn written(folder: &Path, shards: &[&str], seed: u64) {
        fs::create_dir_all(folder).expect("writable");
        fill(folder, shards, seed);
        write_json(&folder.join(DatasetManifest::FILE_NAME), &manifest(shards, seed)).expect("writable");
    }

    fn build(folder: &Path, overwrite: bool, shards: &[&str], seed: u64) -> Result<()> {
        let output = OutputFolder::start(folder, overwrite)?;
        fill(output.workplace(), shards, seed);
        output.finish(&manifest(shards, seed))
    }

    /// The seed of the set in the folder, all of whose files are there, and no others.
    fn whole(folder: &Path) -> Option<u64> {
        refuse_unfinished(folder).ok()?;
        let manifest = DatasetManifest::read(folder).ok()?;
        let shards = manifest.splits[&Split::Train].shards.iter();
        let mut expected: Vec<_> = shards.flat_map(|s| [s.file.clone(), format!("{}.idx", s.file)]).collect();
        for file in &expected {
            let content = fs::read_to_string(folder.join(file)).ok()?;
            assert_eq!(content, manifest.seed.to_string(), "{file} is of another set");
        }
        expected.push(DatasetManifest::FILE_NAME.to_owned());
        expected.sort_unstable();
        let files = file_names(folder).expect("readable");
        assert_eq!(files.into_iter().filter(|file| file != WORKPLACE).collect::<Vec<_>>(), expected);
        Some(manifest.seed)
    }

    #[test]
    fn a_dropped_build_leaves_the_old_set_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("shards");
        drop(OutputFolder::start(&folder, false).expect("a new folder"));
        assert_eq!(file_names(dir.path()).expect("readable"), [""; 0]);
        written(&folder, &SHARDS, 1);
        let output = OutputFolder::start(&folder, true).expect("may be overwritten");
        fill(output.workplace(), &SHARDS[..1], 2);
        drop(output);
        assert_eq!(whole(&folder), Some(1));
        assert_eq!(file_names(dir.path()).expect("readable"), ["shards"]);
    }

    #[test]
    fn an_exchange_leaves_the_new_set_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("shards");
        build(&folder, false, &SHARDS, 1).expect("writable");
        assert_eq!(whole(&folder), Some(1));
        fs::set_permissions(&folder, Permissions::from_mode(0o2750)).expect("ours");
        build(&folder, true, &SHARDS[..2], 2).expect("writable");
        assert_eq!(whole(&folder), Some(2));
        let mode = fs::metadata(&folder).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o2750, "who may read it stays as it was");
        let link = dir.path().join("link");
        symlink(&folder, &link).expect("writable");
        build(&link, true, &SHARDS, 3).expect("writable");
        assert_eq!((whole(&folder), link.is_symlink()), (Some(3), true));
        assert_eq!(file_names(dir.path()).expect("readable"), ["link", "shards"]);
    }

    /// Whatever a build beside the folder was at when it was killed, the old set is whole and the next build succeeds.
    #[test]
    fn a_build_beside_the_folder_may_be_killed_at_any_step() {
        type Step<'a> = &'a dyn Fn(&Path, &Path);
        let steps: [Step<'_>; 6] = [
            &|beside, _| fs::create_dir(beside).expect("writable"),
            &|beside, _| fs::write(beside.join(WORKPLACE), "").expect("writable"),
            &|beside, _| fill(beside, &SHARDS[..2], 2),
            &|beside, _| written(beside, &SHARDS, 2),
            &|beside, _| fs::remove_file(beside.join(WORKPLACE)).expect("there"),
            &|beside, folder| {
                let other = beside.with_extension("other");
                fs::rename(folder, &other).expect("writable");
                fs::rename(beside, folder).expect("writable");
                fs::rename(other, beside).expect("writable");
            },
        ];
        for killed_after in 0..=steps.len() {
            for is_there in [false, true] {
                let dir = tempfile::tempdir().expect("a temporary folder");
                let folder = dir.path().join("shards");
                if is_there {
                    written(&folder, &SHARDS, 1);
                } else if killed_after == steps.len() {
                    continue;
                }
                let place = beside(&folder);
                steps[..killed_after].iter().for_each(|step| step(&place, &folder));
                if (2..5).contains(&killed_after) {
                    assert_eq!(
                        whole(&place),
                        None,
                        "an unfinished folder is not a set, after step {killed_after}"
                    );
                }
                let expected = is_there.then_some(if killed_after == steps.len() { 2 } else { 1 });
                assert_eq!(whole(&folder), expected, "after step {killed_after}");
                build(&folder, is_there, &SHARDS, 3).expect("the next build succeeds");
                assert_eq!(whole(&folder), Some(3));
                assert_eq!(file_names(dir.path()).expect("readable"), ["shards"]);
            }
        }
    }

    /// A folder that cannot be renamed: from the removal of the old manifest to the arrival of the new one nobody takes
    /// it for a set, and the next build ends what was begun. Each step is made to fail in turn, by a folder in its way.
    #[test]
    fn moving_in_may_be_cut_at_any_step() {
        let files = SHARDS.iter().flat_map(|s| [format!("{s}.tfrecord"), format!("{s}.tfrecord.idx")]);
        for in_the_way in files.chain([DatasetManifest::FILE_NAME.to_owned()]) {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let folder = dir.path();
            written(folder, &["train-00007-of-00009", SHARDS[0]], 1);
            let inside = folder.join(WORKPLACE);
            written(&inside, &SHARDS, 2);
            assert_eq!(whole(folder), Some(1), "the old set is whole until then");
            let obstacle = folder.join(&in_the_way);
            let _ = fs::remove_file(&obstacle);
            fs::create_dir_all(obstacle.join("full")).expect("writable");
            let error = OutputFolder::start(folder, false).err().expect("cut").to_string();
            assert!(error.contains(&in_the_way), "{error}");
            assert_eq!(whole(folder), None);
            if in_the_way != DatasetManifest::FILE_NAME {
                refuse_unfinished(folder).expect_err("readers are told");
            }
            fs::remove_dir_all(&obstacle).expect("writable");
            let error = OutputFolder::start(folder, false).err().expect("a set is there").to_string();
            assert!(error.ends_with("is not empty"), "{error}");
            assert_eq!(whole(folder), Some(2), "the next build ended what was begun");
            assert!(!inside.exists());
        }
    }

    /// What earlier versions left, and builds in a folder that cannot be renamed.
    #[test]
    fn what_a_killed_build_left_in_the_folder_is_replaced() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("shards");
        fs::create_dir_all(folder.join(WORKPLACE)).expect("writable");
        fill(&folder.join(WORKPLACE), &SHARDS[1..], 1);
        fill(&folder, &SHARDS[..1], 1);
        refuse_unfinished(&folder).expect_err("unfinished");
        build(&folder, false, &SHARDS, 2).expect("nothing whole is lost");
        assert_eq!(whole(&folder), Some(2));
        fs::create_dir_all(folder.join(WORKPLACE)).expect("writable");
        let lock = File::open(folder.join(WORKPLACE)).expect("there");
        lock.lock().expect("it can be locked");
        let error = build(&folder, true, &SHARDS, 3).expect_err("another build is at work").to_string();
        assert!(error.starts_with("another build is at work"), "{error}");
        assert_eq!(whole(&folder), Some(2));
    }
}
