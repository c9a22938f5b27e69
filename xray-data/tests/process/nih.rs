//! Real X-rays, where they are: 621 images of ChestX-ray14 with their rows of the table.

use crate::workbench::Workbench;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The folder with `nih-sample` and `labels`; nothing where it is absent.
fn real_images() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("XRAY_TEST_DATA").map_or(beside, PathBuf::from);
    let there = folder.join("nih-sample/Data_Entry_2017.csv").exists();
    there.then_some(folder)
}

/// Positives per finding, counted here with string operations only.
fn positives(table: &str) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for row in table.lines().skip(1) {
        let findings = row.split(',').nth(1).expect("a second column");
        findings.split('|').for_each(|finding| *counts.entry(finding).or_default() += 1);
    }
    counts
}

#[test]
#[expect(clippy::print_stderr, reason = "says that it skips")]
fn real_images_are_built_checked_and_counted() {
    let Some(data) = real_images() else {
        eprintln!("skipped: no real X-rays");
        return;
    };
    let bench = Workbench::new();
    let sample = data.join("nih-sample");
    let table = fs::read_to_string(sample.join("Data_Entry_2017.csv")).expect("readable");
    let built = bench.json(&format!("build --nih {} --size 128 --out shards", sample.display()));
    let image = serde_json::json!({"encoding": "jpeg", "size": [128, 128], "resized": true});
    assert_eq!(built["manifest"]["image"], image);
    assert_eq!(built["manifest"]["split_rule"], "patient");
    bench.good("check shards");

    let stats = bench.json("stats shards");
    let splits = stats["splits"].as_array().expect("a list");
    let total = |name: &str| splits.iter().map(|split| split[name].as_u64().expect("a count")).sum::<u64>();
    let rows = table.lines().count() as u64 - 1;
    assert_eq!((total("images"), total("patients")), (rows, rows), "one image per patient");
    let expected = positives(&table);
    assert_eq!(total("no_finding"), expected["No Finding"]);
    for (place, label) in stats["labels"].as_array().expect("a list").iter().enumerate() {
        let label = label.as_str().expect("a name");
        let count =
            |split: &serde_json::Value| split["labels"][place]["positives"].as_u64().expect("a count");
        assert_eq!(splits.iter().map(count).sum::<u64>(), expected[label], "{label}");
        assert_eq!(stats["together"][place][place].as_u64(), Some(expected[label]), "{label}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "says that it skips")]
fn the_official_split_is_followed_without_images() {
    let Some(data) = real_images() else {
        eprintln!("skipped: no real X-rays");
        return;
    };
    let bench = Workbench::new();
    let file = |name: &str| data.join("labels").join(name).display().to_string();
    let [table, train, test] =
        ["Data_Entry_2017_v2020.csv.gz", "train_val_list.txt.gz", "test_list.txt.gz"].map(file);
    let lists = format!("--train-list {train} --test-list {test}");
    let split = bench.json(&format!("split --csv {table} {lists} --out split.csv"));
    let images = |place: usize| split["splits"][place]["images"].as_u64().expect("a count");
    let patients = |place: usize| split["splits"][place]["patients"].as_u64().expect("a count");
    // The published sizes of the official split.
    assert_eq!((images(0) + images(1), images(2)), (86_524, 25_596));
    assert_eq!((patients(0) + patients(1), patients(2)), (28_008, 2_797));
    assert!((2_600..3_000).contains(&patients(1)), "a tenth of the patients: {}", patients(1));

    // The lists the wrong way round still part the patients; a list that lacks images does not.
    let message =
        bench.refused(5, &format!("split --csv {table} --train-list {test} --test-list {test} --out no.csv"));
    assert!(message.contains("is in neither list") || message.contains("is in both lists"), "{message}");
}
