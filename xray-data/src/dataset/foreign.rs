//! TFRecords that someone else wrote: what their names do not say of the splits is drawn here, by patient.

use super::shard::Shard;
use super::{Dataset, Fold, RecordId};
use crate::error::Result;
use crate::schema::FeatureNames;
use crate::sources::tfrecord::{self, RecordOptions};
use crate::sources::{Origin, SourceSet};
use crate::split::{SplitPlan, assign};
use crate::tfrecord::{IndexEntry, RecordFile};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::Split;

/// How to open a data set. All but `verify` and `fold` is for TFRecords that someone else wrote: `dataset.json` says it
/// of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenOptions {
    /// Compare each shard's content with its hash, which reads all of it.
    pub verify: bool,
    /// The features' names; by default they are recognised.
    pub names: Option<FeatureNames>,
    /// The labels to keep, in this order; where empty, all that are known.
    pub labels: Vec<String>,
    /// A table that says whose images they are, such as `Data_Entry_2017.csv`.
    pub patients: Option<PathBuf>,
    /// Fraction of the patients in val.
    pub val: f64,
    /// Fraction of the patients in test.
    pub test: f64,
    /// Draws the splits.
    pub seed: u64,
    /// The fold that takes the place of val; none to leave train and val as they are.
    pub fold: Option<Fold>,
}

impl Default for OpenOptions {
    /// 70 % train, 10 % val, 20 % test; shards are believed.
    fn default() -> Self {
        OpenOptions {
            verify: false,
            names: None,
            labels: Vec::new(),
            patients: None,
            val: 0.1,
            test: 0.2,
            seed: 0,
            fold: None,
        }
    }
}

pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    let OpenOptions { names, labels, patients, .. } = options.clone();
    let source = tfrecord::read(path, &RecordOptions { names, labels, allow_empty: true, patients })?;
    let rows: Vec<_> = source.images.iter().map(|image| &image.row).collect();
    let plan = SplitPlan::Carried { val: options.val, test: options.test };
    let assigned = assign(&rows, &plan, options.seed)?;
    let records = records(&source);
    let (shards, ids) = shards(&records);
    let mut splits: BTreeMap<Split, Vec<RecordId>> = BTreeMap::new();
    for (id, split) in ids.into_iter().zip(assigned.splits) {
        splits.entry(split).or_default().push(id);
    }
    let names = records.first().map_or_else(|| FeatureNames::xray(&source.labels), |r| (*r.names).clone());
    Ok(Dataset {
        path: path.to_owned(),
        id: id(&source, &records)?,
        names,
        shards,
        splits,
        warnings: source.warnings.iter().cloned().chain(assigned.warnings).collect(),
        labels: source.labels,
        image: None,
        rows: source.images.into_iter().map(|image| image.row).collect(),
    })
}

/// Where one image of the source lies.
struct Located {
    file: Arc<RecordFile>,
    names: Arc<FeatureNames>,
    number: u64,
    entry: IndexEntry,
}

fn records(source: &SourceSet) -> Vec<Located> {
    let located = source.images.iter().filter_map(|image| {
        let Origin::Record { file, names, number, entry } = &image.origin else { return None };
        Some(Located { file: file.clone(), names: names.clone(), number: *number, entry: *entry })
    });
    located.collect()
}

/// One shard per file, and the records in the order of the source: file by file, each in its own order.
fn shards(records: &[Located]) -> (Vec<Shard>, Vec<RecordId>) {
    let mut shards: Vec<Shard> = Vec::new();
    let mut ids = Vec::with_capacity(records.len());
    for (place, record) in records.iter().enumerate() {
        if shards.last().is_none_or(|shard| shard.path != record.file.path()) {
            shards.push(Shard::new(record.file.path().to_owned(), place as u64, 0));
        }
        let shard = shards.len() as u32 - 1;
        shards[shard as usize].records += 1;
        ids.push(RecordId { shard, record: record.number as u32 });
    }
    (shards, ids)
}

/// The content is told by the checksums that the records carry, which is far less to read than the records.
fn id(source: &SourceSet, records: &[Located]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(source.labels.join("|").as_bytes());
    for record in records {
        let (payload, crc) = record.file.peek(record.number, record.entry)?;
        hasher.update(&(payload.len() as u64).to_le_bytes()).update(&crc.to_le_bytes());
        record.file.release(record.entry);
    }
    Ok(hasher.finalize().to_hex().to_string())
}
