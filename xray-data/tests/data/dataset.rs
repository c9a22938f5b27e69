//! Data sets on disk: what is selected, what is read, and what is said when something is missing.

use crate::shards::{LABELS, labels, sample_labels, write_dataset, write_shard};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use xray_artifacts::{Exit, Split, one_line};
use xray_data::{
    Dataset, Draw, Error, FeatureNames, Label, LabelCounts, OpenOptions, RecordId, ShardProblem,
};

fn ours() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write_dataset(dir.path());
    dir
}

/// The same records without a manifest: TFRecords that someone else wrote.
fn foreign() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write_shard(&dir.path().join("000-40.tfrec"), 0..40);
    write_shard(&dir.path().join("001-60.tfrec"), 40..100);
    dir
}

fn foreign_options() -> OpenOptions {
    let names = FeatureNames::xray(&labels());
    OpenOptions { names: Some(names), ..OpenOptions::default() }
}

fn open(dir: &Path, options: &OpenOptions) -> Dataset {
    Dataset::open(dir, options).expect("a good data set")
}

fn train(dataset: &Dataset, fraction: f64, offset: f64) -> Vec<RecordId> {
    dataset.select(Split::Train, &Draw { fraction, offset, seed: 0 }).expect("enough records")
}

/// The number that the record was written with.
fn number(dataset: &Dataset, id: RecordId) -> usize {
    let name = dataset.sample(id).expect("undamaged").image_id;
    name[6..10].parse().expect("image-NUMBER.png")
}

fn numbers(dataset: &Dataset, ids: &[RecordId]) -> Vec<usize> {
    ids.iter().map(|&id| number(dataset, id)).collect()
}

#[test]
fn a_fraction_of_our_shards_is_a_prefix() {
    let dir = ours();
    let dataset = open(dir.path(), &OpenOptions::default());
    let check = |fraction, offset, expected: Vec<usize>| {
        assert_eq!(numbers(&dataset, &train(&dataset, fraction, offset)), expected);
    };
    check(1.0, 0.0, (0..50).collect());
    check(0.1, 0.0, (0..5).collect());
    check(0.5, 0.0, (0..25).collect());
    check(0.001, 0.0, vec![0]);
    check(0.1, 0.5, (25..30).collect());
    check(0.2, 0.9, (45..50).chain(0..5).collect());
    let val = dataset.select(Split::Val, &Draw { fraction: 0.1, ..Draw::default() }).expect("not empty");
    assert_eq!(numbers(&dataset, &val), (50..56).collect::<Vec<_>>(), "val is always whole");
    assert!(dataset.warnings().is_empty());
    assert_eq!(dataset.labels(), LABELS);
    assert_eq!(dataset.len(), 65);
}

#[test]
fn records_keep_their_numbers_and_places() {
    let dir = ours();
    let dataset = open(dir.path(), &OpenOptions::default());
    let all: Vec<_> = Split::ALL
        .iter()
        .flat_map(|&split| dataset.select(split, &Draw::default()).expect("not empty"))
        .collect();
    let places: Vec<_> = all.iter().map(|&id| dataset.ordinal(id)).collect();
    assert_eq!(places, (0..65).collect::<Vec<_>>());
    assert_eq!(all.iter().map(|id| id.key()).collect::<BTreeSet<_>>().len(), 65);
    let sample = dataset.peek(all[7]).expect("undamaged");
    assert_eq!(sample.labels, sample_labels(7));
    assert_eq!(sample, dataset.sample(all[7]).expect("undamaged"));
    assert_eq!(sample.patient_id.as_deref(), Some("patient-2"));
}

#[test]
fn a_shard_may_be_absent_until_it_is_needed() {
    let dir = ours();
    fs::remove_file(dir.path().join("train-00001-of-00003.tfrecord")).expect("there");
    let dataset = open(dir.path(), &OpenOptions { verify: true, ..OpenOptions::default() });
    assert_eq!(train(&dataset, 0.4, 0.0).len(), 20);
    let error =
        dataset.select(Split::Train, &Draw { fraction: 0.42, ..Draw::default() }).expect_err("absent");
    assert!(one_line(&error).ends_with("train-00001-of-00003.tfrecord: the shard is absent"), "{error:?}");
    assert_eq!(error.exit(), Exit::BadData);
}

#[test]
fn a_shard_that_is_not_the_listed_one_is_refused() {
    let dir = ours();
    let path = dir.path().join("train-00002-of-00003.tfrecord");
    let mut bytes = fs::read(&path).expect("readable");
    bytes[100] ^= 1;
    fs::write(&path, &bytes).expect("writable");
    open(dir.path(), &OpenOptions::default()); // the size is right
    let verify = OpenOptions { verify: true, ..OpenOptions::default() };
    let error = Dataset::open(dir.path(), &verify).expect_err("another hash");
    assert!(matches!(error, Error::Shard { problem: ShardProblem::Hash { .. }, .. }), "{error:?}");
    fs::write(&path, &bytes[..500]).expect("writable");
    let error = Dataset::open(dir.path(), &OpenOptions::default()).expect_err("another size");
    assert!(one_line(&error).contains("the shard has 500 bytes, expected"), "{error:?}");
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let dir = ours();
    let dataset = open(dir.path(), &OpenOptions::default());
    let check = |fraction, offset, expected: &str| {
        let error =
            dataset.select(Split::Train, &Draw { fraction, offset, seed: 0 }).expect_err("impossible");
        assert_eq!((error.to_string().as_str(), error.exit()), (expected, Exit::Usage));
    };
    check(0.0, 0.0, "fraction 0 is not above 0 and at most 1");
    check(1.1, 0.0, "fraction 1.1 is not above 0 and at most 1");
    check(f64::NAN, 0.0, "fraction NaN is not above 0 and at most 1");
    check(1.0, 1.0, "fraction offset 1 is not at least 0 and below 1");
}

#[test]
fn labels_are_counted() {
    let (ours, foreign) = (ours(), foreign());
    for (dir, options) in [(ours, OpenOptions::default()), (foreign, foreign_options())] {
        let dataset = open(dir.path(), &options);
        let ids = train(&dataset, 1.0, 0.0);
        let mut expected = [LabelCounts::default(); 3];
        for label in numbers(&dataset, &ids).into_iter().map(sample_labels) {
            for (count, label) in expected.iter_mut().zip(label) {
                match label {
                    Label::Positive => count.positives += 1,
                    Label::Negative => count.negatives += 1,
                    Label::Uncertain | Label::Unknown => count.unknown += 1,
                }
            }
        }
        assert!(expected[2].unknown > 0);
        assert_eq!(dataset.label_counts(&ids).expect("undamaged"), expected);
    }
}

#[test]
fn foreign_records_are_split_by_patient() {
    let dir = foreign();
    let dataset = open(dir.path(), &foreign_options());
    let mut splits: BTreeMap<String, BTreeSet<Split>> = BTreeMap::new();
    let mut seen = 0;
    for split in Split::ALL {
        for id in dataset.select(split, &Draw::default()).expect("not empty") {
            let patient = dataset.sample(id).expect("undamaged").patient_id.expect("written");
            splits.entry(patient).or_default().insert(split);
            seen += 1;
        }
    }
    assert_eq!((seen, splits.len()), (100, 34));
    assert!(splits.values().all(|splits| splits.len() == 1), "{splits:?}");
}

#[test]
fn a_fraction_of_foreign_records_is_drawn_by_patient() {
    let dir = foreign();
    let dataset = open(dir.path(), &foreign_options());
    let all = train(&dataset, 1.0, 0.0);
    for fraction in [0.1, 0.2, 0.5, 0.77] {
        let part = train(&dataset, fraction, 0.0);
        assert_eq!(part, all[..part.len()], "a fraction is a prefix of a larger one");
        assert_eq!(part.len(), (all.len() as f64 * fraction).round() as usize);
    }
    // Each patient's records lie side by side.
    let patients: Vec<_> = numbers(&dataset, &all).into_iter().map(|number| number / 3).collect();
    let runs = patients.chunk_by(|a, b| a == b).count();
    assert_eq!(runs, patients.iter().collect::<BTreeSet<_>>().len());
    let other = dataset.select(Split::Train, &Draw { seed: 1, ..Draw::default() }).expect("not empty");
    assert_ne!(other, all);
    assert_eq!(other.into_iter().collect::<BTreeSet<_>>(), all.into_iter().collect());
}

#[test]
fn the_id_follows_the_content() {
    let (first, second) = (ours(), ours());
    let id = |dir: &TempDir, options: &OpenOptions| open(dir.path(), options).id().to_owned();
    assert_eq!(id(&first, &OpenOptions::default()), id(&second, &OpenOptions::default()));
    let (first, second) = (foreign(), foreign());
    assert_eq!(id(&first, &foreign_options()), id(&second, &foreign_options()));
    write_shard(&second.path().join("001-60.tfrec"), 41..101);
    assert_ne!(id(&first, &foreign_options()), id(&second, &foreign_options()));
}

/// Without this, all records would have an unknown label, or each image a patient of its own.
#[test]
fn a_misspelt_feature_is_refused() {
    let dir = foreign();
    let refused = |names| {
        let options = OpenOptions { names: Some(names), ..OpenOptions::default() };
        let error = Dataset::open(dir.path(), &options).expect_err("misspelt");
        (one_line(&error).replace(&*dir.path().to_string_lossy(), "DIR"), error.hint().unwrap_or_default())
    };
    let (message, hint) = refused(FeatureNames::xray(&["Mas".to_owned()]));
    assert_eq!(message, "DIR/000-40.tfrec: record 0 at byte 0: there is no feature `Mas`");
    assert!(hint.starts_with("the record has `Mass`"), "{hint}");
    let patient_id = Some("patient".to_owned());
    let (message, _) = refused(FeatureNames { patient_id, ..FeatureNames::xray(&labels()) });
    assert!(message.ends_with("there is no feature `patient`"), "{message}");
}
