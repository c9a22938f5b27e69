//! Whether a folder of records can be trained on: every byte of it is read, every image decoded.

mod across;
mod file;

use crate::error::{Error, Result};
use crate::schema::FeatureNames;
use crate::sources::tfrecord::{detect, record_files};
use crate::tfrecord::RecordFile;
pub use file::LabelProblem;

use file::{Checked, File};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{DatasetManifest, read_json};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Files that were read.
    pub files: u64,
    /// Records that were read, good and bad.
    pub records: u64,
    /// Distinct patients, where the records name them.
    pub patients: u64,
    /// What makes the data unfit, in the order of the files.
    pub problems: Vec<CheckProblem>,
    /// What a person should know; the data can be used.
    pub warnings: Vec<String>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckProblem {
    /// The file, or the file and record.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Reads everything below `folder` that `dataset.json` lists, or, without one, all TFRecord files: checksums,
/// hashes and counts of the manifest, features, label values, images; then, across records, images stored
/// twice and patients on two sides of a split. Uses the current rayon pool; `progress` is told of every
/// record, from any thread. What is wrong is in the report.
///
/// # Errors
/// A folder without records or with a manifest of another format.
pub fn check(
    folder: &Path,
    names: Option<FeatureNames>,
    progress: &(dyn Fn() + Sync),
) -> Result<CheckReport> {
    let manifest_path = folder.join(DatasetManifest::FILE_NAME);
    let manifest = match manifest_path.exists() {
        true => Some(read_json::<DatasetManifest>(&manifest_path)?),
        false => None,
    };
    let files = match &manifest {
        Some(manifest) => listed_files(folder, manifest),
        None => {
            record_files(folder)?.into_iter().map(|path| File { path, split: None, entry: None }).collect()
        }
    };
    let names = match (&manifest, names) {
        (Some(manifest), _) => FeatureNames::xray(&manifest.labels),
        (None, Some(names)) => names,
        (None, None) => detect_names(folder, &files)?,
    };
    let checked: Vec<Checked> = files.par_iter().map(|file| file::check(file, &names, progress)).collect();
    Ok(across::report(folder, manifest.as_ref(), &files, checked))
}

/// How many records a check will read, where a manifest tells.
pub fn expected_records(folder: &Path) -> Option<u64> {
    let manifest: DatasetManifest = read_json(&folder.join(DatasetManifest::FILE_NAME)).ok()?;
    Some(manifest.splits.values().map(|split| split.images).sum())
}

fn listed_files(folder: &Path, manifest: &DatasetManifest) -> Vec<File> {
    let splits = manifest
        .splits
        .iter()
        .flat_map(|(split, summary)| summary.shards.iter().map(move |entry| (*split, entry.clone())));
    let file = |(split, entry): (_, xray_artifacts::ShardEntry)| File {
        path: folder.join(&entry.file),
        split: Some(split),
        entry: Some(entry),
    };
    splits.map(file).collect()
}

fn detect_names(folder: &Path, files: &[File]) -> Result<FeatureNames> {
    let open = |path: &PathBuf| RecordFile::open(path).map(Arc::new);
    let files = files.iter().map(|file| open(&file.path)).collect::<Result<Vec<_>>>();
    detect(folder, &files?).or_else(|error| match error {
        // The first record is damaged: the check itself will say so, by the names that are usual.
        Error::Record { .. } => Ok(crate::schema::Preset::KaggleNih.feature_names()),
        other => Err(other),
    })
}
