//! `dataset.json`: what a folder of shards holds. Written by `xray-data`, read by `xray-train` (which
//! records) and `xray-sweep` (which shards a worker needs).

use crate::Versioned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

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
    const FORMAT: u32 = 1;
    const KIND: &'static str = "dataset manifest";
}

impl DatasetManifest {
    /// The file's name inside the folder of shards.
    pub const FILE_NAME: &'static str = "dataset.json";

    /// The train shards that hold the first `fraction` of the train records: the prefix that a worker
    /// needs. Always at least one shard, unless the split is empty.
    pub fn train_shards(&self, fraction: f64) -> &[ShardEntry] {
        let Some(train) = self.splits.get(&Split::Train) else { return &[] };
        let wanted = records_of_fraction(train.images, fraction);
        let mut held = 0;
        let needed = train.shards.iter().take_while(|shard| {
            let before = held;
            held += shard.records;
            before < wanted
        });
        &train.shards[..needed.count()]
    }
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
    /// `nih`, `csv`, `tfrecord`, `dicom` or `synthetic`.
    pub kind: String,
    /// Hash over the source's label rows, in hexadecimal; tells whether two builds saw the same labels.
    pub labels_blake3: String,
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
            image: ImageFormat { encoding: "jpeg".into(), size: None },
            splits: BTreeMap::from([(Split::Train, train)]),
            split_rule: SplitRule::Patient,
            seed: 0,
            source: Source { kind: "csv".into(), labels_blake3: String::new() },
        }
    }

    #[test]
    fn a_fraction_needs_a_prefix_of_the_shards() {
        let check =
            |fraction, expected| assert_eq!(manifest(&[10, 10, 10]).train_shards(fraction).len(), expected);
        check(1.0, 3);
        check(0.34, 1);
        check(0.35, 2); // 10.5 records round to 11
        check(0.001, 1);
        assert!(manifest(&[]).train_shards(1.0).is_empty());
    }
}
