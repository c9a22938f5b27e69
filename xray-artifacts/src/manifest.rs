//! Reading `dataset.json`. What it says sizes memory and decides who is tested, so it is compared with
//! itself before anybody believes it.

use crate::files::{FileError, read_json};
use crate::{DatasetManifest, Split, SplitSummary};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Component, Path};

/// The most records of a data set. A loader keeps eight bytes for each; the largest public sets of X-rays
/// have a million.
const MAX_RECORDS: u64 = 1 << 24;

/// The frame of a record: no file holds more records than this goes into its size.
const FRAME: u64 = 16;

/// Why a manifest cannot be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestProblem {
    /// No labels: nothing could be learnt.
    NoLabels,
    /// A label without a name, or with the name of another.
    Label {
        /// The name.
        label: String,
    },
    /// A name that leads out of the folder, or to none.
    File {
        /// The name.
        file: String,
    },
    /// A shard that is listed twice: its records would be counted twice, or be trained on and tested.
    Twice {
        /// The shard and its split.
        first: (String, Split),
        /// The same file, or one of the same content.
        second: (String, Split),
    },
    /// A shard with more records than its bytes can hold.
    Records {
        /// The shard.
        file: String,
        /// Records, as listed.
        records: u64,
        /// Size in bytes, as listed.
        bytes: u64,
    },
    /// More records than any program here reads.
    TooMany {
        /// The split that goes beyond.
        split: Split,
    },
    /// The records of a split's shards are not those of the split.
    Images {
        /// The split.
        split: Split,
        /// In its shards.
        found: u64,
        /// Of the split, as listed.
        expected: u64,
    },
    /// Counts of a split that fit neither its labels nor its images.
    Counts {
        /// The split.
        split: Split,
    },
}

impl fmt::Display for ManifestProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestProblem::NoLabels => f.write_str("it lists no labels"),
            ManifestProblem::Label { label } if label.trim().is_empty() => {
                f.write_str("it lists a label without a name")
            }
            ManifestProblem::Label { label } => write!(f, "it lists the label `{label}` twice"),
            ManifestProblem::File { file } => write!(f, "`{file}` is not the name of a file in its folder"),
            ManifestProblem::Twice { first: (a, of_a), second: (b, of_b) } if a == b => {
                write!(f, "the shard {a} is listed in {of_a} and again in {of_b}")
            }
            ManifestProblem::Twice { first: (a, of_a), second: (b, of_b) } => {
                write!(f, "the shards {a} in {of_a} and {b} in {of_b} have the same content")
            }
            ManifestProblem::Records { file, records, bytes } => {
                write!(f, "the shard {file} is listed with {records} records in {bytes} bytes")
            }
            ManifestProblem::TooMany { split } => {
                write!(f, "{split} brings the data set above {MAX_RECORDS} records")
            }
            ManifestProblem::Images { split, found, expected } => {
                write!(f, "{split} is listed with {expected} images, its shards with {found} records")
            }
            ManifestProblem::Counts { split } => {
                write!(f, "the counts of {split} do not fit its images and labels")
            }
        }
    }
}

impl std::error::Error for ManifestProblem {}

impl DatasetManifest {
    /// Reads the manifest of a folder of shards.
    ///
    /// # Errors
    /// A file that is absent, no manifest, of another format, or that contradicts itself.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join(Self::FILE_NAME);
        let manifest: DatasetManifest = read_json(&path)?;
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err(problem) => Err(FileError::Manifest { path, problem }),
        }
    }

    /// Whether the manifest can be true.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), ManifestProblem> {
        if self.labels.is_empty() {
            return Err(ManifestProblem::NoLabels);
        }
        let mut labels = HashSet::new();
        for label in &self.labels {
            if label.trim().is_empty() || !labels.insert(label) {
                return Err(ManifestProblem::Label { label: label.clone() });
            }
        }
        self.check_shards()?;
        let mut total = 0u64;
        for (&split, summary) in &self.splits {
            let records = self.check_split(split, summary)?;
            total = total.saturating_add(records);
            if total > MAX_RECORDS {
                return Err(ManifestProblem::TooMany { split });
            }
        }
        Ok(())
    }

    /// Each file and each content stands in one place, and holds what it can.
    fn check_shards(&self) -> Result<(), ManifestProblem> {
        let (mut files, mut contents) = (HashMap::new(), HashMap::new());
        for (&split, summary) in &self.splits {
            for shard in &summary.shards {
                let file = &shard.file;
                if !is_file_name(file) {
                    return Err(ManifestProblem::File { file: file.clone() });
                }
                if shard.records > shard.bytes / FRAME {
                    let (records, bytes) = (shard.records, shard.bytes);
                    return Err(ManifestProblem::Records { file: file.clone(), records, bytes });
                }
                let here = (file.clone(), split);
                let same_content = match shard.records {
                    0 => None, // shards without records are all alike
                    _ => contents.insert(&shard.blake3, here.clone()),
                };
                if let Some(first) = files.insert(file, here.clone()).or(same_content) {
                    return Err(ManifestProblem::Twice { first, second: here });
                }
            }
        }
        Ok(())
    }

    /// The records of a split.
    fn check_split(&self, split: Split, summary: &SplitSummary) -> Result<u64, ManifestProblem> {
        let found = summary.shards.iter().fold(0u64, |sum, shard| sum.saturating_add(shard.records));
        if found != summary.images {
            return Err(ManifestProblem::Images { split, found, expected: summary.images });
        }
        let fits = |counts: &[u64]| {
            (counts.is_empty() || counts.len() == self.labels.len()) && counts.iter().all(|&n| n <= found)
        };
        if !fits(&summary.positives) || !fits(&summary.unknown) || summary.patients > Some(found) {
            return Err(ManifestProblem::Counts { split });
        }
        Ok(found)
    }
}

/// Whether a name stays in its folder.
fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(only)), None) if only == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageFormat, ShardEntry, Source, SplitRule, write_json};
    use std::collections::BTreeMap;

    fn shard(file: &str, records: u64) -> ShardEntry {
        ShardEntry { file: file.into(), records, bytes: 100 * records, blake3: format!("of {file}") }
    }

    fn summary(shards: Vec<ShardEntry>) -> SplitSummary {
        let images = shards.iter().map(|shard| shard.records).sum();
        SplitSummary { images, positives: vec![1], unknown: vec![0], shards, patients: Some(1) }
    }

    fn manifest() -> DatasetManifest {
        DatasetManifest {
            labels: vec!["Mass".into()],
            image: ImageFormat { encoding: "jpeg".into(), size: None, resized: false, white_level: None },
            splits: BTreeMap::from([
                (Split::Train, summary(vec![shard("a", 10), shard("b", 10)])),
                (Split::Test, summary(vec![shard("c", 10)])),
            ]),
            split_rule: SplitRule::Patient,
            seed: 0,
            source: Source { kind: "csv".into(), labels_blake3: String::new(), notes: Vec::new() },
        }
    }

    fn check(change: impl FnOnce(&mut DatasetManifest), expected: &str) {
        let mut manifest = manifest();
        change(&mut manifest);
        let dir = tempfile::tempdir().expect("a temporary folder");
        write_json(&dir.path().join(DatasetManifest::FILE_NAME), &manifest).expect("writable");
        let found = match DatasetManifest::read(dir.path()) {
            Ok(read) => {
                assert_eq!(read, manifest);
                String::new()
            }
            Err(error) => crate::one_line(&error),
        };
        assert!(found.ends_with(expected) && found.is_empty() == expected.is_empty(), "{found}");
    }

    fn train(manifest: &mut DatasetManifest) -> &mut SplitSummary {
        manifest.splits.get_mut(&Split::Train).expect("there is one")
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        check(|_| (), "");
        check(|m| train(m).positives.clear(), "");
        check(|m| m.labels.clear(), "it lists no labels");
        check(|m| m.labels.push("Mass".into()), "it lists the label `Mass` twice");
        check(|m| m.labels.push(" ".into()), "it lists a label without a name");
        check(|m| train(m).positives.push(0), "the counts of train do not fit its images and labels");
        check(|m| train(m).unknown[0] = 21, "the counts of train do not fit its images and labels");
        check(|m| train(m).patients = Some(21), "the counts of train do not fit its images and labels");
        for images in [0, 1 << 63] {
            let expected = format!("train is listed with {images} images, its shards with 20 records");
            check(|m| train(m).images = images, &expected);
        }
    }

    #[test]
    fn counts_are_not_believed_beyond_the_bytes() {
        for records in [63, 1 << 32, u64::MAX] {
            let expected = format!("the shard a is listed with {records} records in 1000 bytes");
            check(|m| train(m).shards[0].records = records, &expected);
        }
        let records = (1 << 24) + 1;
        let huge = |m: &mut DatasetManifest| *train(m) = summary(vec![shard("a", records)]);
        check(huge, "train brings the data set above 16777216 records");
    }

    #[test]
    fn a_shard_stands_in_one_split_only() {
        let twice = |manifest: &mut DatasetManifest, copy: &str| {
            let copy = ShardEntry { file: copy.into(), ..shard("b", 10) };
            *manifest.splits.get_mut(&Split::Test).expect("there is one") = summary(vec![copy]);
        };
        check(|m| twice(m, "b"), "the shard b is listed in train and again in test");
        check(|m| twice(m, "d"), "the shards b in train and d in test have the same content");
        check(|m| train(m).shards[1].file = "a".into(), "the shard a is listed in train and again in train");
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_folder() {
        for name in ["", ".", "..", "/etc/passwd", "../x", "x/y", "x/"] {
            let expected = format!("`{name}` is not the name of a file in its folder");
            check(|m| train(m).shards[0].file = name.into(), &expected);
        }
    }
}
