//! Which files of a folder hold records, and what their names say: the split they belong to, and the
//! number of files that they are one of.

use crate::build::{is_shard, refuse_unfinished};
use crate::error::{Error, Result};
use crate::sources::csv_table::split_name;
use crate::tfrecord::RecordIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use xray_artifacts::{DatasetManifest, Split};
use xray_display::counted;

const EXTENSIONS: [&str; 3] = ["tfrec", "tfrecord", "tfrecords"];
const PACKED: [&str; 4] = ["gz", "gzip", "zlib", "zz"];

/// A file of records and what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    /// The split in its name, or in that of its folder.
    pub(crate) split: Option<Split>,
}

/// The files of records of a folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordFiles {
    /// Those of the folder itself by name, then those of the folders below it that are named for a split.
    pub(crate) files: Vec<Listed>,
    /// What a person should know.
    pub(crate) warnings: Vec<String>,
}

/// The TFRecord files of a folder: `*.tfrec`, `*.tfrecord`, `*.tfrecords`, also packed, or in numbered parts
/// `*.tfrecord-00000-of-00002`; those of the folder itself, and of folders in it named `train`, `val` or
/// `test`. A folder that a build has not finished has none: some of its shards would pass for all.
///
/// # Errors
/// A folder that cannot be listed, or that holds none; [`Error::NoManifest`] where a build wrote them.
pub fn record_files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(list(folder)?.files.into_iter().map(|file| file.path).collect())
}

/// [`record_files`] with what their names say.
pub(crate) fn list(folder: &Path) -> Result<RecordFiles> {
    refuse_unfinished(folder)?;
    if !folder.join(DatasetManifest::FILE_NAME).exists() {
        refuse_ours(folder)?;
    }
    let mut found = RecordFiles::default();
    let mut unclear = Vec::new();
    let (files, below) = entries(folder)?;
    let mut add = |files: Vec<PathBuf>, of_folder: Option<Split>| {
        for path in files {
            let of_file = splits_of(&name(&path));
            let split = match (of_folder, of_file.as_slice()) {
                (None, []) => None,
                (None, [one]) => Some(*one),
                (Some(split), []) => Some(split),
                (Some(split), [one]) if split == *one => Some(split),
                _ => {
                    unclear.push(name(&path));
                    None
                }
            };
            found.files.push(Listed { path, split });
        }
    };
    add(files, None);
    let mut others = Vec::new();
    for folder in below {
        if let [split] = *splits_of(&name(&folder)) {
            refuse_unfinished(&folder)?;
            refuse_ours(&folder)?;
            let (files, below) = entries(&folder)?;
            add(files, Some(split));
            others.extend(below);
        } else {
            others.push(folder);
        }
    }
    found.warnings.extend(others.iter().filter_map(|folder| unread(folder)));
    if let [first, ..] = unclear.as_slice() {
        let more = match unclear.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        found.warnings.push(format!(
            "the name of {first}{more} does not name exactly one split: rename it where train, val or test is meant"
        ));
    }
    if found.files.is_empty() {
        return Err(Error::NoRecords { folder: folder.to_owned() });
    }
    Ok(found)
}

/// A single file of records, if its name says that it is one.
pub(crate) fn listed_file(path: &Path) -> Option<Listed> {
    let name = name(path);
    let split = match *splits_of(&name) {
        [split] => Some(split),
        _ => None,
    };
    is_record_file(&name).then(|| Listed { path: path.to_owned(), split })
}

/// Refuses the shards of a build without its `dataset.json`: it says which of them are a set, and whose labels they
/// hold. They are known by the index that a build writes beside each.
fn refuse_ours(folder: &Path) -> Result<()> {
    let (files, _) = entries(folder)?;
    match files.iter().any(|file| is_shard(&name(file)) && RecordIndex::is_beside(file)) {
        true => Err(Error::NoManifest { folder: folder.to_owned() }),
        false => Ok(()),
    }
}

/// Says what a folder that is not searched holds; one that cannot be listed, such as `lost+found`, is passed over.
fn unread(folder: &Path) -> Option<String> {
    let files = entries(folder).map_or(0, |(files, _)| files.len());
    (files > 0).then(|| {
        format!(
            "not read, as {} is not named for a split: {}",
            folder.display(),
            counted(files, "record file")
        )
    })
}

/// The files of records directly in a folder, and the folders in it, both by name. Hidden folders are left out.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
    let paths = entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.map_err(Error::io(folder, "list"))?;
    paths.sort_unstable();
    let (below, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| is_record_file(&name(path)));
    let below = below.into_iter().filter(|path| !name(path).starts_with('.'));
    Ok((files.collect(), below.collect()))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_record_file(name: &str) -> bool {
    let (name, numbered) = match part(name) {
        Some(Part { at_end: true, prefix, .. }) => (prefix, true),
        _ => (name, false),
    };
    match unpacked(name).rsplit_once('.') {
        Some((_, extension)) => EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()),
        None => numbered, // `train-00000-of-01024`, as TensorFlow's own scripts write
    }
}

fn unpacked(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if PACKED.contains(&extension.to_ascii_lowercase().as_str()) => stem,
        _ => name,
    }
}

/// A file's name without what says its format, in which a folder's files differ.
pub(super) fn stem(path: &Path) -> String {
    let name = name(path);
    match part(&name) {
        Some(Part { at_end: true, prefix, number, of }) => {
            let prefix = prefix.split('.').next().unwrap_or_default();
            format!("{prefix}-{number}-of-{of}")
        }
        _ => name.split('.').next().unwrap_or_default().to_owned(),
    }
}

/// The splits in a name, each once: of `nih-train.tfrecord-00000-of-00002` it is train. `train_val` is what
/// is not for testing: val is drawn from it. `eval` may mean either of two, so it says both.
pub(super) fn splits_of(name: &str) -> Vec<Split> {
    let words = name.split(|c: char| !c.is_alphabetic()).map(str::to_ascii_lowercase);
    let mut splits = BTreeSet::new();
    for word in words {
        let word = word.strip_suffix("set").unwrap_or(&word);
        match word {
            "eval" | "evaluation" => splits.extend([Split::Val, Split::Test]),
            "trainval" => splits.extend([Split::Train, Split::Val]),
            word => splits.extend(split_name(word)),
        }
    }
    if splits == BTreeSet::from([Split::Train, Split::Val]) {
        return vec![Split::Train];
    }
    splits.into_iter().collect()
}

/// One of several files: `PREFIX-00003-of-00010`.
#[derive(Debug, PartialEq, Eq)]
struct Part<'a> {
    prefix: &'a str,
    number: &'a str,
    of: &'a str,
    /// Whether nothing follows, not even an extension.
    at_end: bool,
}

fn part(name: &str) -> Option<Part<'_>> {
    let (before, after) = name.rsplit_once("-of-")?;
    let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    let (prefix, number) = before.rsplit_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (of, rest) = after.split_at(digits);
    let is_part = is_number(number) && is_number(of) && (rest.is_empty() || rest.starts_with('.'));
    is_part.then_some(Part { prefix, number, of, at_end: rest.is_empty() })
}

/// Files that say they are one of several, the others of which are not there: `1 of 2 files are here`.
pub(crate) fn incomplete(files: &[Listed]) -> Option<(PathBuf, String)> {
    let mut groups: BTreeMap<(PathBuf, String, u64), BTreeSet<u64>> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for Listed { path, .. } in files {
        let name = name(path);
        let Some(Part { prefix, number, of, .. }) = part(&name) else { continue };
        // Of numbers beyond all bounds there are never all files.
        let value = |digits: &str| digits.parse().unwrap_or(u64::MAX);
        let (number, of) = (value(number), value(of));
        let key = (path.parent().unwrap_or(Path::new("")).to_owned(), prefix.to_owned(), of);
        places.entry(key.clone()).or_insert_with(|| path.clone());
        groups.entry(key).or_default().insert(number);
    }
    // Some count from 0 and some from 1.
    let is_whole = |of: u64, numbers: &BTreeSet<u64>| {
        let first = numbers.first().copied().unwrap_or_default();
        numbers.len() as u64 == of && first <= 1 && numbers.last() == first.checked_add(of - 1).as_ref()
    };
    let (key, numbers) = groups.iter().find(|((_, _, of), numbers)| !is_whole(*of, numbers))?;
    let absent = (0..=numbers.len() as u64).find(|number| !numbers.contains(number)).unwrap_or_default();
    let (here, of) = (numbers.len(), key.2);
    Some((places[key].clone(), format!("{here} of {of} files are here; number {absent} is not")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Split::{Test, Train, Val};

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("writable");
            fs::write(path, "").expect("writable");
        }
        dir
    }

    #[test]
    fn files_of_records_are_known_by_name() {
        let check = |name, expected| assert_eq!(is_record_file(name), expected, "{name}");
        for name in ["a.tfrec", "a.tfrecord", "a.tfrecords.gz", "a.TFREC", "a.tfrecord.zlib"] {
            check(name, true);
        }
        for name in ["nih-train.tfrecord-00000-of-00002", "a.tfrec-1-of-2", "a.tfrecord.gz-00000-of-00001"] {
            check(name, true);
        }
        check("train-00000-of-01024", true);
        check("train-00000-of-00042.tfrecord", true);
        for name in ["a.csv", "a.tfrecord.idx", "train-00000-of-00002.parquet", "train-a-of-b", "notes"] {
            check(name, false);
        }
    }

    #[test]
    fn names_say_splits() {
        let check = |name: &str, expected: &[Split]| assert_eq!(splits_of(name), expected, "{name}");
        check("train_00-60.tfrec", &[Train]);
        check("nih-train.tfrecord-00000-of-00002", &[Train]);
        check("training01.tfrec", &[Train]);
        check("TestSet-3.tfrecord", &[Test]);
        check("testing.tfrecords", &[Test]);
        for name in ["val", "valid-00000-of-00001.tfrecord", "x_validation.tfrec", "dev.tfrecord.gz"] {
            check(name, &[Val]);
        }
        check("train_val.tfrec", &[Train]);
        check("trainval.tfrec", &[Train]);
        check("train_test.tfrec", &[Train, Test]);
        check("eval_0.tfrec", &[Val, Test]);
        for name in ["000-438.tfrec", "latest.tfrec", "trainer.tfrec", "contest_values.tfrec"] {
            check(name, &[]);
        }
    }

    #[test]
    fn folders_that_are_named_for_a_split_are_read_and_others_are_said() {
        let dir = folder(&["a.tfrec", "test/a.tfrec", "Valid/b.tfrecord", "old/c.tfrec", "notes/d.txt"]);
        let found = list(dir.path()).expect("there are some");
        let files = found.files.iter().map(|file| {
            (file.path.strip_prefix(dir.path()).expect("below").display().to_string(), file.split)
        });
        let expected = [("a.tfrec", None), ("Valid/b.tfrecord", Some(Val)), ("test/a.tfrec", Some(Test))];
        assert_eq!(files.collect::<Vec<_>>(), expected.map(|(name, split)| (name.to_owned(), split)));
        let [warning] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
        assert!(
            warning.starts_with("not read, as ") && warning.ends_with("split: 1 record file"),
            "{warning}"
        );
    }

    #[test]
    fn a_name_that_says_two_splits_says_none() {
        for files in [["train/test_1.tfrec"], ["train-test.tfrec"]] {
            let dir = folder(&files);
            let found = list(dir.path()).expect("there are some");
            assert_eq!(found.files[0].split, None);
            assert!(found.warnings[0].contains("does not name exactly one split"), "{:?}", found.warnings);
        }
    }

    #[test]
    fn files_that_are_not_there_are_missed() {
        let check = |files: &[&str], expected: Option<&str>| {
            let listed = files.iter().map(|file| Listed { path: file.into(), split: None });
            let found = incomplete(&listed.collect::<Vec<_>>()).map(|(_, what)| what);
            assert_eq!(found.as_deref(), expected, "{files:?}");
        };
        check(&["a-0-of-2.tfrec", "a-1-of-2.tfrec", "b.tfrec"], None);
        check(&["a.tfrec-1-of-2", "a.tfrec-2-of-2"], None);
        check(&["a.tfrecord-00001-of-00002"], Some("1 of 2 files are here; number 0 is not"));
        check(&["a-0-of-3.tfrec", "a-1-of-3.tfrec"], Some("2 of 3 files are here; number 2 is not"));
        check(&["a-0-of-0.tfrec"], Some("1 of 0 files are here; number 1 is not"));
        check(
            &["a-0-of-18446744073709551615.tfrec"],
            Some("1 of 18446744073709551615 files are here; number 1 is not"),
        );
        check(
            &["a-0-of-99999999999999999999.tfrec"],
            Some("1 of 18446744073709551615 files are here; number 1 is not"),
        );
    }
}
