//! Whether a folder of records can be trained on: every byte of it is read, every image decoded.

mod across;
mod file;

use crate::build::refuse_unfinished;
use crate::error::{Error, Result};
use crate::schema::{FeatureNames, FeatureProblem, Preset, Resolved};
use crate::sources::tfrecord::{Listed, detect, incomplete, list};
use crate::tfrecord::RecordFile;
pub use file::LabelProblem;

use file::{Checked, File};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{DatasetManifest, FileError, ManifestProblem, read_json};

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
/// A folder without records, with a build that is not finished, or with a manifest of another format.
pub fn check(
    folder: &Path,
    names: Option<FeatureNames>,
    progress: &(dyn Fn() + Sync),
) -> Result<CheckReport> {
    refuse_unfinished(folder)?;
    let path = folder.join(DatasetManifest::FILE_NAME);
    let manifest = match path.exists() {
        true => Some(read_json::<DatasetManifest>(&path)?),
        false => None,
    };
    let (files, mut problems, mut warnings) = match &manifest {
        Some(manifest) => (listed_files(folder, manifest), own_problems(path, manifest)?, Vec::new()),
        None => found_files(folder)?,
    };
    let features = match &manifest {
        Some(manifest) => Resolved::of(FeatureNames::xray(&manifest.labels)),
        None => detect_names(&files, names, &mut problems)?,
    };
    warnings.extend(features.notes.iter().cloned());
    let checked: Vec<Checked> = files.par_iter().map(|file| file::check(file, &features, progress)).collect();
    let mut report = across::report(folder, manifest.as_ref(), &files, checked);
    problems.append(&mut report.problems);
    warnings.append(&mut report.warnings);
    Ok(CheckReport { problems, warnings, ..report })
}

/// What the manifest says against itself: wrong counts are told like others, and the files are read; without labels
/// or with names that are none, there is nothing to read.
fn own_problems(path: PathBuf, manifest: &DatasetManifest) -> Result<Vec<CheckProblem>> {
    match manifest.check() {
        Ok(()) => Ok(Vec::new()),
        Err(
            problem @ (ManifestProblem::NoLabels
            | ManifestProblem::Label { .. }
            | ManifestProblem::File { .. }),
        ) => Err(FileError::Manifest { path, problem }.into()),
        Err(problem) => {
            Ok(vec![CheckProblem { place: path.display().to_string(), problem: problem.to_string() }])
        }
    }
}

/// The files of a folder without a manifest, what is wrong with them as a whole, and what should be known.
fn found_files(folder: &Path) -> Result<(Vec<File>, Vec<CheckProblem>, Vec<String>)> {
    let found = list(folder)?;
    let missing = incomplete(&found.files);
    let missing = missing.map(|(path, problem)| CheckProblem { place: path.display().to_string(), problem });
    let file = |Listed { path, split }| File { path, split, entry: None };
    let files = found.files.into_iter().map(file).collect();
    Ok((files, missing.into_iter().collect(), found.warnings))
}

/// How many records a check will read, where a manifest tells.
pub fn expected_records(folder: &Path) -> Option<u64> {
    let manifest = DatasetManifest::read(folder).ok()?;
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

/// The features' names. Labels that nobody named are a problem, and are looked at with the others.
fn detect_names(
    files: &[File],
    names: Option<FeatureNames>,
    problems: &mut Vec<CheckProblem>,
) -> Result<Resolved> {
    // A file that cannot be opened is a problem of that file alone, which its own check names.
    let open = |file: &File| RecordFile::open(&file.path).ok().map(Arc::new);
    let readable: Vec<_> = files.iter().filter_map(open).collect();
    let usual = || names.clone().unwrap_or_else(|| Preset::KaggleNih.feature_names());
    match detect(&readable, names.clone(), Vec::new()) {
        // The first record is damaged, or no file can be read: the check itself will say so.
        Err(Error::Record { .. } | Error::NoRecords { .. }) => Ok(Resolved::of(usual())),
        Err(Error::Feature { place, problem: FeatureProblem::OtherLabels { labels, others } }) => {
            let all = [labels.clone(), others.clone()].concat();
            let problem = FeatureProblem::OtherLabels { labels, others }.to_string();
            problems.push(CheckProblem { place: place.to_string(), problem });
            detect(&readable, names, all)
        }
        resolved => resolved,
    }
}
