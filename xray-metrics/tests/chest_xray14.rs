//! The trap of micro-averages on the real labels of ChestX-ray14. Needs the label files of the set in
//! `../shared/data` beside the workspace, or in the folder that `XRAY_TEST_DATA` names.

#![expect(clippy::print_stdout, reason = "a skipped test says so")]

use flate2::read::GzDecoder;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use xray_metrics::LabelCounts;
use xray_metrics::baseline::Baseline;

const FINDINGS: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
];

/// By scikit-learn's `roc_auc_score` on the same 25,596 x 14 pairs.
const MICRO_AUC: f64 = 0.728_697_752_023_807_7;

fn label_files() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("XRAY_TEST_DATA").map_or_else(beside, PathBuf::from).join("labels")
}

fn inflated(path: &Path) -> String {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text
}

/// How often the images that `wanted` takes have each finding.
fn counts(table: &str, wanted: impl Fn(&str) -> bool) -> Vec<LabelCounts> {
    // Two header names hold commas, so rows are longer than the header; the first two columns are sound.
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(table.as_bytes());
    let mut counts = vec![LabelCounts::default(); FINDINGS.len()];
    for row in rows.records().map(|row| row.expect("a row of the label file")).filter(|row| wanted(&row[0])) {
        let findings: HashSet<_> = row[1].split('|').collect();
        for (count, finding) in counts.iter_mut().zip(FINDINGS) {
            if findings.contains(finding) { count.positives += 1 } else { count.negatives += 1 }
        }
    }
    counts
}

#[test]
fn a_predictor_that_sees_no_image_reaches_a_micro_auc_of_0_73() {
    let folder = label_files();
    if !folder.join("Data_Entry_2017_v2020.csv.gz").exists() {
        println!("skipped: no ChestX-ray14 labels in {}", folder.display());
        return;
    }
    let table = inflated(&folder.join("Data_Entry_2017_v2020.csv.gz"));
    let test_list = inflated(&folder.join("test_list.txt.gz"));
    let test_images: HashSet<_> = test_list.lines().map(str::trim).collect();
    let train = counts(&table, |image| !test_images.contains(image));
    let test = counts(&table, |image| test_images.contains(image));
    let images = |counts: &[LabelCounts]| counts[0].positives + counts[0].negatives;
    assert_eq!((images(&train), images(&test)), (86_524, 25_596));

    let prevalences: Vec<_> = train.iter().map(|counts| counts.prevalence().expect("images")).collect();
    let micro_auc = Baseline::new(&prevalences, &test).expect("valid").micro_auc().expect("both classes");
    assert!((micro_auc - MICRO_AUC).abs() < 1e-9, "{micro_auc}");
}
