//! Folds of a data set: whom they hold, what stays as it was, and what cannot be cut.

use crate::shards::{labels, write_dataset, write_shard};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tempfile::TempDir;
use xray_artifacts::{Exit, Split};
use xray_data::{Dataset, Draw, FeatureNames, Fold, OpenOptions, RecordId};

/// Ours, and the same kind of records without a manifest: 19 and about 27 patients in the pool.
fn both() -> [(TempDir, OpenOptions); 2] {
    let [ours, foreign] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    write_dataset(ours.path());
    write_shard(&foreign.path().join("000-40.tfrec"), 0..40);
    write_shard(&foreign.path().join("001-60.tfrec"), 40..100);
    let names = Some(FeatureNames::xray(&labels()));
    [(ours, OpenOptions::default()), (foreign, OpenOptions { names, ..OpenOptions::default() })]
}

fn fold(dir: &Path, options: &OpenOptions, index: u64, of: u64) -> Dataset {
    let fold = Some(Fold::new(index, of).expect("a fold"));
    Dataset::open(dir, &OpenOptions { fold, ..options.clone() }).expect("a good data set")
}

fn records(dataset: &Dataset, split: Split) -> Vec<RecordId> {
    dataset.select(split, &Draw::default()).expect("not empty")
}

fn patients(dataset: &Dataset, ids: &[RecordId]) -> Vec<String> {
    let patient = |&id: &RecordId| dataset.sample(id).expect("undamaged").patient_id.expect("written");
    ids.iter().map(patient).collect()
}

fn set<T: Ord + Clone>(values: &[T]) -> BTreeSet<T> {
    values.iter().cloned().collect()
}

#[test]
fn each_patient_of_the_pool_validates_once_and_test_stays() {
    for (dir, options) in both() {
        let whole = Dataset::open(dir.path(), &options).expect("a good data set");
        let pool: Vec<_> =
            [Split::Train, Split::Val].iter().flat_map(|&split| records(&whole, split)).collect();
        for of in [2, 3, 5] {
            let mut validated: BTreeMap<String, u64> = BTreeMap::new();
            let mut seen = Vec::new();
            for index in 0..of {
                let dataset = fold(dir.path(), &options, index, of);
                let (train, val) = (records(&dataset, Split::Train), records(&dataset, Split::Val));
                assert_eq!(records(&dataset, Split::Test), records(&whole, Split::Test));
                assert_eq!(dataset.id(), whole.id());
                assert_eq!(set(&[&train[..], &val[..]].concat()), set(&pool), "fold {index} of {of}");
                assert!(set(&patients(&dataset, &train)).is_disjoint(&set(&patients(&dataset, &val))));
                for patient in set(&patients(&dataset, &val)) {
                    let other = validated.insert(patient.clone(), index);
                    assert_eq!(other, None, "{patient} is in two folds");
                }
                seen.extend(val);
            }
            assert_eq!((seen.len(), set(&seen)), (pool.len(), set(&pool)), "each record once");
            let sizes: Vec<_> =
                (0..of).map(|index| validated.values().filter(|&&of| of == index).count()).collect();
            let (least, most) = (sizes.iter().min(), sizes.iter().max());
            assert!(most <= least.map(|least| least + 1).as_ref(), "{sizes:?}");
        }
    }
}

#[test]
fn a_fraction_of_the_other_folds_is_a_prefix_by_patient() {
    for (dir, options) in both() {
        let dataset = fold(dir.path(), &options, 1, 3);
        let all = records(&dataset, Split::Train);
        let owners = patients(&dataset, &all);
        assert_eq!(
            owners.chunk_by(|a, b| a == b).count(),
            set(&owners).len(),
            "records lie by patient: {owners:?}"
        );
        let number = |owner: &String| owner.rsplit('-').next().and_then(|number| number.parse::<u64>().ok());
        assert!(!owners.is_sorted_by_key(number), "patients are random: {owners:?}");
        for fraction in [0.1, 0.2, 0.5] {
            let draw = Draw { fraction, ..Draw::default() };
            let part = dataset.select(Split::Train, &draw).expect("not empty");
            assert_eq!(part, all[..(all.len() as f64 * fraction).round() as usize]);
        }
        let again = fold(dir.path(), &options, 1, 3);
        assert_eq!(records(&again, Split::Train), all, "the same in every run");
        let val = records(&dataset, Split::Val);
        assert!(val.is_sorted(), "validation is read in the order of the files");
    }
}

#[test]
fn what_cannot_be_cut_is_refused() {
    let check = |index, of, expected: &str| {
        let error = Fold::new(index, of).expect_err("impossible");
        assert_eq!((error.to_string().as_str(), error.exit()), (expected, Exit::Usage));
    };
    check(0, 0, "there is no fold 0 of 0");
    check(0, 1, "there is no fold 0 of 1");
    check(3, 3, "there is no fold 3 of 3");
    for ((dir, options), folds) in both().into_iter().zip([19, 27]) {
        let cut = |of| {
            let fold = Some(Fold::new(0, of).expect("a fold"));
            Dataset::open(dir.path(), &OpenOptions { fold, ..options.clone() })
        };
        let whole = Dataset::open(dir.path(), &options).expect("a good data set");
        let pool: Vec<_> =
            [Split::Train, Split::Val].iter().flat_map(|&split| records(&whole, split)).collect();
        let people = set(&patients(&whole, &pool)).len() as u64;
        assert!(people.abs_diff(folds) < 6, "{people}");
        let val = records(&cut(people).expect("one patient each"), Split::Val);
        assert_eq!(set(&patients(&whole, &val)).len(), 1);
        let error = cut(people + 1).expect_err("one too many");
        let expected = format!("{} folds cannot be cut of {people} patients", people + 1);
        assert_eq!((error.to_string(), error.exit()), (expected, Exit::Usage));
        assert!(error.hint().is_some());
    }
}
