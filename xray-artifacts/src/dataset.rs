//! `dataset.json`: what a folder of shards holds. Written by `xray-data`, read by `xray-train` (which
//! records) and `xray-sweep` (which shards a worker needs).

use crate::Versioned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;

/// A folder of shards `train-00000-of-00042.tfrecord`, each with an index beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetManifest {
    /// The findings, in the order of a model's outputs.
    pub labels: Vec<String>,
    /// How the images are stored.
    pub image: ImageFormat,
    /// What each split holds.
    pub splits: BTreeMap<Split, SplitSummary>,
    /// How the splits were drawn.
    pub split_rule: SplitRule,
    /// Orders the train records and draws the splits.
    pub seed: u64,
    /// Where the images and labels came from.
    pub source: Source,
}

impl Versioned for DatasetManifest {
    const FORMAT: u32 = 2;
    const UNSEALED: Option<u32> = Some(1);
    const KIND: &'static str = "dataset manifest";
}

impl DatasetManifest {
    /// The file's name inside the folder of shards.
    pub const FILE_NAME: &'static str = "dataset.json";

    /// The train shards that hold `fraction` of the train records from `offset` on, past the end continued
    /// at the start: what a worker needs. In reading order.
    pub fn train_shards(&self, fraction: f64, offset: f64) -> Vec<&ShardEntry> {
        let Some(train) = self.splits.get(&Split::Train) else { return Vec::new() };
        let from = first_record(train.images, offset);
        let to = from + records_of_fraction(train.images, fraction);
        let wrapped = to.saturating_sub(train.images);
        let mut end = 0;
        let needed = train.shards.iter().filter(|shard| {
            let start = end;
            end += shard.records;
            (start < to && end > from) || start < wrapped
        });
        needed.collect()
    }

    /// The same data under names that say what each shard holds: `train-00000-of-00042.blake3-HASH.tfrecord`. A copy of
    /// another shard, from wherever it comes, then never has the name of this one.
    ///
    /// ```
    /// # use xray_artifacts::{DatasetManifest, ShardEntry};
    /// let shard = ShardEntry { file: "a.tfrecord".into(), records: 1, bytes: 20, blake3: "c0ffee".into() };
    /// assert_eq!(shard.published_name("val", 2, 7), "val-00002-of-00007.blake3-c0ffee.tfrecord");
    /// ```
    #[must_use]
    pub fn published(&self) -> DatasetManifest {
        let mut manifest = self.clone();
        for (split, summary) in &mut manifest.splits {
            let of = summary.shards.len();
            for (number, shard) in summary.shards.iter_mut().enumerate() {
                shard.file = shard.published_name(split.name(), number, of);
            }
        }
        manifest
    }

    /// All shards, split by split, in reading order.
    pub fn shards(&self) -> impl Iterator<Item = &ShardEntry> {
        self.splits.values().flat_map(|split| &split.shards)
    }

    /// A hash over labels and content, in hexadecimal: equal for equal data, wherever they lie.
    pub fn id(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.labels.join("|").as_bytes());
        for split in Split::ALL {
            let shards = self.splits.get(&split).map_or(&[][..], |summary| &summary.shards);
            hasher.update(b"\n").update(split.name().as_bytes());
            for shard in shards {
                hasher.update(b"\n").update(shard.blake3.as_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// The record at which an offset in [0, 1) begins.
pub fn first_record(records: u64, offset: f64) -> u64 {
    (records as f64 * offset) as u64
}

/// How many of `records` a fraction in (0, 1] is: rounded to nearest, at least one.
pub fn records_of_fraction(records: u64, fraction: f64) -> u64 {
    ((records as f64 * fraction).round() as u64).clamp(1.min(records), records)
}

/// The part of a data set that a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Weights are fitted here.
    Train,
    /// Settings, thresholds and calibration are chosen here.
    Val,
    /// Reported on, never fitted.
    Test,
}

impl Split {
    /// All three, in order.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// `train`, `val` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How images are stored in the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageFormat {
    /// `jpeg` or `png`.
    pub encoding: String,
    /// Width and height in pixels where all records agree.
    pub size: Option<[u32; 2]>,
    /// Whether the build squashed all images to that size; what would act on their own proportions came too late then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resized: bool,
    /// The value that was made white in images of 16 bits; where none, in each the end of its own range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub white_level: Option<NonZeroU16>,
}

/// What one split holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitSummary {
    /// Records.
    pub images: u64,
    /// Distinct patients; none where the source does not tell.
    pub patients: Option<u64>,
    /// Positive records per label, in the order of `labels`.
    pub positives: Vec<u64>,
    /// Records per label whose value is unknown (`-1` or absent in the source).
    pub unknown: Vec<u64>,
    /// In reading order.
    pub shards: Vec<ShardEntry>,
}

/// One file of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// Name inside the folder.
    pub file: String,
    /// How many records.
    pub records: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Hash of the file, in hexadecimal.
    pub blake3: String,
}

impl ShardEntry {
    /// What the shard is called where it is published, `number` from 0.
    pub fn published_name(&self, split: &str, number: usize, of: usize) -> String {
        format!("{split}-{number:05}-of-{of:05}.blake3-{}.tfrecord", self.blake3)
    }
}

/// How records were given to splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitRule {
    /// By a seeded draw over patients.
    Patient,
    /// By a seeded draw over images, because the source names no patients: it may leak.
    Image,
    /// Test is the official list; validation is drawn by patient from the rest.
    Official,
    /// As a column or feature of the source says.
    Column,
}

/// Where a data set came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// `csv`, `tfrecord`, `dicom`, `synthetic`, or a published data set such as `nih` or `chexpert`.
    pub kind: String,
    /// Hash over the source's label rows, in hexadecimal; tells whether two builds saw the same labels.
    pub labels_blake3: String,
    /// How its tables were read, in sentences: columns that are used and that are not and why, which names became which
    /// label and on whose word, what was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(records: &[u64]) -> DatasetManifest {
        let shards: Vec<_> = records
            .iter()
            .map(|&records| ShardEntry { file: String::new(), records, bytes: 0, blake3: String::new() })
            .collect();
        let train = SplitSummary { images: records.iter().sum(), shards, ..SplitSummary::default() };
        DatasetManifest {
            labels: vec!["Mass".into()],
            image: ImageFormat { encoding: "jpeg".into(), size: None, resized: false, white_level: None },
            splits: BTreeMap::from([(Split::Train, train)]),
            split_rule: SplitRule::Patient,
            seed: 0,
            source: Source { kind: "csv".into(), labels_blake3: String::new(), notes: Vec::new() },
        }
    }

    #[test]
    fn a_fraction_needs_a_run_of_the_shards() {
        let check = |fraction, offset, expected: &[usize]| {
            let mut manifest = manifest(&[10, 10, 10]);
            let train = manifest.splits.get_mut(&Split::Train).expect("there is one");
            for (at, shard) in train.shards.iter_mut().enumerate() {
                shard.file = at.to_string();
            }
            let names: Vec<_> = manifest.train_shards(fraction, offset).iter().map(|s| &s.file).collect();
            assert_eq!(
                names,
                expected.iter().map(usize::to_string).collect::<Vec<_>>().iter().collect::<Vec<_>>()
            );
        };
        check(1.0, 0.0, &[0, 1, 2]);
        check(0.34, 0.0, &[0]);
        check(0.35, 0.0, &[0, 1]); // 10.5 records round to 11
        check(0.001, 0.0, &[0]);
        check(0.3, 0.4, &[1, 2]); // records 12 to 20
        check(0.5, 0.7, &[0, 2]); // records 21 to 29 and 0 to 5
        check(1.0, 0.5, &[0, 1, 2]);
        assert!(manifest(&[]).train_shards(1.0, 0.0).is_empty());
    }

    #[test]
    fn a_published_set_is_the_same_set() {
        let original = manifest(&[10, 10]);
        let published = original.published();
        assert_eq!(published.id(), original.id());
        assert_eq!(published.published(), published);
        assert_ne!(published, original);
        let names: Vec<_> = published.shards().map(|shard| shard.file.as_str()).collect();
        assert_eq!(names, ["train-00000-of-00002.blake3-.tfrecord", "train-00001-of-00002.blake3-.tfrecord"]);
        let renamed = published.shards().zip(original.shards());
        let rest = |shard: &ShardEntry| (shard.records, shard.bytes, shard.blake3.clone());
        assert!(renamed.into_iter().all(|(a, b)| rest(a) == rest(b)));
    }

    #[test]
    fn other_content_is_another_data_set() {
        let (one, mut other) = (manifest(&[10]), manifest(&[10]));
        assert_eq!(one.id(), other.id());
        other.splits.get_mut(&Split::Train).expect("there is one").shards[0].blake3 = "f".into();
        assert_ne!(one.id(), other.id());
    }
}
