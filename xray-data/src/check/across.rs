//! What only shows when records are compared: images stored twice, patients on two sides, counts.

use super::file::{Checked, File, Seen};
use super::{CheckProblem, CheckReport};
use crate::build::WORKPLACE;
use crate::schema::Label;
use crate::sources::tfrecord::{Listed, strays};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use xray_artifacts::{DatasetManifest, Split, SplitSummary};
use xray_display::counted;

/// Number of duplicate pictures within a split that are named.
const SHOWN: usize = 5;

/// A good record and where it is.
#[derive(Clone, Copy)]
struct Placed<'a> {
    file: &'a File,
    seen: &'a Seen,
}

impl Placed<'_> {
    fn place(&self) -> String {
        format!("{}: record {} (`{}`)", self.file.path.display(), self.seen.number, self.seen.image_id)
    }
}

pub(super) fn report(
    folder: &Path,
    manifest: Option<&DatasetManifest>,
    files: &[File],
    mut checked: Vec<Checked>,
) -> CheckReport {
    let mut problems: Vec<CheckProblem> = checked.iter_mut().flat_map(|c| c.problems.drain(..)).collect();
    let mut warnings = stray_files(folder, manifest.is_some(), files);
    let records: Vec<Placed<'_>> = files
        .iter()
        .zip(&checked)
        .flat_map(|(file, checked)| checked.seen.iter().map(move |seen| Placed { file, seen }))
        .collect();
    warnings.extend(unlabelled(&records));
    duplicates(&records, &mut problems, &mut warnings);
    overlaps(&records, &mut problems);
    let read: u64 = checked.iter().map(|c| c.records).sum();
    // With records missing, every count differs: the missing records were named already.
    if let Some(manifest) = manifest.filter(|_| records.len() as u64 == read) {
        problems.extend(counts(folder, manifest, &records));
    }
    let patients: HashSet<_> = records.iter().filter_map(|r| r.seen.patient_id.as_ref()).collect();
    let (files, patients) = (files.len() as u64, patients.len() as u64);
    CheckReport { files, records: read, patients, problems, warnings }
}

/// Records without a label, as blank rows of a table make them.
fn unlabelled(records: &[Placed<'_>]) -> Option<String> {
    let count =
        records.iter().filter(|record| !record.seen.labels.iter().any(|label| label.is_known())).count();
    let (count, of) = (count as u64, records.len());
    (count > 0).then(|| {
        format!("{} of {of}: no label is known, so they count in no loss or figure", counted(count, "record"))
    })
}

/// One name or one picture under two records. The same picture within a split only counts twice; on two
/// sides it is an answer known in advance.
fn duplicates(records: &[Placed<'_>], problems: &mut Vec<CheckProblem>, warnings: &mut Vec<String>) {
    let (mut names, mut pictures) = (HashMap::new(), HashMap::new());
    let mut alike = Vec::new();
    for record in records {
        let problem = |problem| CheckProblem { place: record.place(), problem };
        if let Some(first) = names.insert(&record.seen.image_id, record) {
            problems.push(problem(format!("the image name is taken by {}", first.place())));
        }
        match pictures.insert(record.seen.pixels, record) {
            Some(first) if first.file.split != record.file.split => {
                problems.push(problem(format!("the same picture is in another split: {}", first.place())));
            }
            Some(first) => {
                alike.push(format!("{} is the same picture as {}", record.place(), first.place()));
            }
            None => {}
        }
    }
    let more = alike.len().saturating_sub(SHOWN);
    warnings.extend(alike.into_iter().take(SHOWN));
    warnings
        .extend((more > 0).then(|| format!("the same within a split: {}", counted(more, "more picture"))));
}

fn overlaps(records: &[Placed<'_>], problems: &mut Vec<CheckProblem>) {
    let mut sides: HashMap<&str, Placed<'_>> = HashMap::new();
    let mut named = HashSet::new();
    for record in records {
        let (Some(patient), Some(split)) = (&record.seen.patient_id, record.file.split) else { continue };
        let first = *sides.entry(patient).or_insert(*record);
        if let Some(other) = first.file.split.filter(|&other| other != split)
            && named.insert(patient)
        {
            let problem =
                format!("patient `{patient}` is in {split} and, with {}, in {other}", first.place());
            problems.push(CheckProblem { place: record.place(), problem });
        }
    }
}

fn counts(folder: &Path, manifest: &DatasetManifest, records: &[Placed<'_>]) -> Vec<CheckProblem> {
    let place = folder.join(DatasetManifest::FILE_NAME).display().to_string();
    let mut by_split: BTreeMap<Split, Vec<&Seen>> = BTreeMap::new();
    for record in records {
        by_split.entry(record.file.split.unwrap_or(Split::Train)).or_default().push(record.seen);
    }
    let differing = manifest.splits.iter().flat_map(|(split, said)| {
        let seen = by_split.get(split).map_or(&[][..], Vec::as_slice);
        count_differences(*split, said, seen, &manifest.labels)
    });
    differing.map(|problem| CheckProblem { place: place.clone(), problem }).collect()
}

fn count_differences(split: Split, said: &SplitSummary, seen: &[&Seen], labels: &[String]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: String, said: u64, found: u64| {
        if said != found {
            differences.push(format!("{split} has {found} {what} where it says {said}"));
        }
    };
    let count =
        |label: usize, is: fn(Label) -> bool| seen.iter().filter(|s| is(s.labels[label])).count() as u64;
    compare("records".into(), said.images, seen.len() as u64);
    if let Some(patients) = said.patients {
        let found: HashSet<_> = seen.iter().filter_map(|s| s.patient_id.as_ref()).collect();
        compare("patients".into(), patients, found.len() as u64);
    }
    for (label, name) in labels.iter().enumerate() {
        let listed = |counts: &[u64]| counts.get(label).copied().unwrap_or_default();
        compare(
            format!("images with {name}"),
            listed(&said.positives),
            count(label, |label| label == Label::Positive),
        );
        compare(
            format!("images with {name} unknown"),
            listed(&said.unknown),
            count(label, |label| !label.is_known()),
        );
    }
    differences
}

/// Files of records that the manifest does not list, and a build that did not finish.
fn stray_files(folder: &Path, has_manifest: bool, files: &[File]) -> Vec<String> {
    let mut warnings = Vec::new();
    if has_manifest {
        let listed: Vec<_> =
            files.iter().map(|file| Listed { path: file.path.clone(), split: file.split }).collect();
        warnings.extend(strays(folder, &listed));
    }
    if folder.join(WORKPLACE).exists() {
        warnings.push(format!("{} holds an unfinished build", folder.display()));
    }
    warnings
}
