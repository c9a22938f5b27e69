//! One file of records, looked at record by record.

use super::CheckProblem;
use crate::error::{Error, Result};
use crate::example::Example;
use crate::labels::is_finding;
use crate::regular;
use crate::schema::{FeatureNames, Label, Resolved, Sample};
use crate::tfrecord::{Record, RecordFile, RecordIndex};
use std::path::PathBuf;
use xray_artifacts::{ShardEntry, Split, one_line};
use xray_display::counted;
use xray_image::{GrayImage, check_range, decode_gray};

/// A file to check.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) split: Option<Split>,
    /// What the manifest says of it.
    pub(super) entry: Option<ShardEntry>,
}

/// What one file holds.
#[derive(Default)]
pub(super) struct Checked {
    /// Good and bad.
    pub(super) records: u64,
    /// The good ones.
    pub(super) seen: Vec<Seen>,
    pub(super) problems: Vec<CheckProblem>,
}

/// What is compared across records.
pub(super) struct Seen {
    pub(super) number: u64,
    pub(super) image_id: String,
    pub(super) patient_id: Option<String>,
    pub(super) labels: Vec<Label>,
    /// Hash of width, height and pixels: a lossless copy in another encoding is the same image.
    pub(super) pixels: blake3::Hash,
}

pub(super) fn check(file: &File, features: &Resolved, progress: &(dyn Fn() + Sync)) -> Checked {
    let mut checked = Checked::default();
    let place = file.path.display().to_string();
    let mut blame = |place: String, problem: String| checked.problems.push(CheckProblem { place, problem });
    if let Err(problem) = check_entry(file) {
        blame(place.clone(), problem);
    }
    let records = match RecordFile::open(&file.path) {
        Ok(records) => records,
        Err(error) => {
            blame(place, one_line(&error));
            return checked;
        }
    };
    let is_ours = file.entry.is_some();
    for record in records.iter() {
        checked.records += 1;
        match record.and_then(|record| look_at(&records, &record, features, is_ours)) {
            Ok(seen) => checked.seen.push(seen),
            Err(error) => checked.problems.push(described(&error, &place)),
        }
        progress();
    }
    checked.problems.extend(check_counts(file, &records, checked.records));
    checked
}

/// The error with its place taken apart: `place: problem` is how every error of a record reads.
fn described(error: &Error, file: &str) -> CheckProblem {
    let line = one_line(error);
    let place = error.to_string();
    match line.strip_prefix(&place).and_then(|rest| rest.strip_prefix(": ")) {
        Some(problem) => CheckProblem { problem: problem.to_owned(), place },
        None => CheckProblem { place: file.to_owned(), problem: line },
    }
}

/// Size and hash.
fn check_entry(file: &File) -> std::result::Result<(), String> {
    let Some(entry) = &file.entry else { return Ok(()) };
    let mut hasher = blake3::Hasher::new();
    let (content, _) = regular::open(&file.path).map_err(|error| match error {
        Error::Io { source, .. } => format!("cannot be read: {source}"),
        other => one_line(&other),
    })?;
    let read = hasher.update_reader(content).map(|hasher| hasher.count());
    let bytes = read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes != entry.bytes {
        return Err(format!("has {bytes} bytes where dataset.json says {}", entry.bytes));
    }
    if hasher.finalize().to_hex().as_str() != entry.blake3 {
        return Err("its content is not what dataset.json says: the blake3 differs".to_owned());
    }
    Ok(())
}

/// Number of records, and whether the index beside the file finds them.
fn check_counts(file: &File, records: &RecordFile, found: u64) -> Vec<CheckProblem> {
    let place = file.path.display().to_string();
    let mut problems = Vec::new();
    if let Some(entry) = file.entry.as_ref().filter(|entry| entry.records != found) {
        let problem = format!("has {} where dataset.json says {}", counted(found, "record"), entry.records);
        problems.push(CheckProblem { place: place.clone(), problem });
    }
    if let (Ok(scanned), Ok(loaded)) = (RecordIndex::scan(records), RecordIndex::load_or_scan(records))
        && scanned.entries() != loaded.entries()
    {
        let problem = "the index beside it finds other records: delete the .idx file".to_owned();
        problems.push(CheckProblem { place, problem });
    }
    problems
}

fn look_at(file: &RecordFile, record: &Record<'_>, features: &Resolved, is_ours: bool) -> Result<Seen> {
    let place = || file.place(record.number, record.offset);
    let example =
        Example::parse(record.payload).map_err(|problem| Error::Example { place: place(), problem })?;
    let bad = |problem| Error::Feature { place: place(), problem };
    let sample = features.names.read(&example).map_err(bad)?;
    features.contradictions(&example, &sample).map_err(bad)?;
    check_labels(&sample, &features.names, is_ours)
        .map_err(|problem| Error::Label { place: place().to_string(), problem })?;
    let image = decode_gray(sample.image).and_then(|image| check_range(&image).map(|()| image));
    let image = image.map_err(|problem| Error::Image { place: place().to_string(), problem })?;
    Ok(Seen {
        number: record.number,
        pixels: hash(&image),
        image_id: sample.image_id,
        patient_id: sample.patient_id,
        labels: sample.labels,
    })
}

/// `No Finding` and the findings must not contradict each other, and a record must say anything at all, unless it is of a
/// set of ours: a table was read then, and its blank rows were told of.
fn check_labels(
    sample: &Sample<'_>,
    names: &FeatureNames,
    is_ours: bool,
) -> std::result::Result<(), LabelProblem> {
    let healthy = sample.no_finding == Some(Label::Positive);
    if !is_ours && !healthy && !sample.labels.iter().any(|label| label.is_known()) {
        return Err(LabelProblem::AllUnknown);
    }
    let mut labels = names.labels.iter().zip(&sample.labels);
    let found = labels.any(|((name, _), label)| *label == Label::Positive && is_finding(name));
    if healthy && found { Err(LabelProblem::Contradiction) } else { Ok(()) }
}

fn hash(image: &GrayImage) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&image.width.to_le_bytes()).update(&image.height.to_le_bytes());
    hasher.update(&image.pixels).finalize()
}

/// What can be wrong with the labels of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelProblem {
    /// No label is known.
    #[error("no label is known")]
    AllUnknown,
    /// `No Finding` beside a finding.
    #[error("`No Finding` is 1 and so is a finding")]
    Contradiction,
}
