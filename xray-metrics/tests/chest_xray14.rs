//! The trap of micro-averages on the real labels of ChestX-ray14. Needs the label files of the set in
//! `../shared/data` beside the workspace, or in the folder that `XRAY_TEST_DATA` names.

#![expect(clippy::print_stdout, reason = "a skipped test says so")]

use flate2::read::GzDecoder;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use xray_metrics::{Evaluation, Metadata, Scores, TestScores, ValidationScores, evaluate, metadata_baseline};

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

/// What the label file says of one image.
struct Row {
    image: String,
    truth: [bool; 14],
    age: f32,
    sex: String,
    view: String,
}

fn rows(table: &str) -> Vec<Row> {
    // Two header names hold commas, so rows are longer than the header; the columns before them are sound.
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(table.as_bytes());
    let row = |row: csv::StringRecord| {
        let findings: HashSet<_> = row[1].split('|').collect();
        Row {
            image: row[0].to_owned(),
            truth: FINDINGS.map(|finding| findings.contains(finding)),
            age: row[4].parse().expect("an age"),
            sex: row[5].to_owned(),
            view: row[6].to_owned(),
        }
    };
    reader.records().map(|record| row(record.expect("a row of the label file"))).collect()
}

/// All rows and the names of the official test images; none without the files.
fn label_rows() -> Option<(Vec<Row>, HashSet<String>)> {
    let folder = label_files();
    if !folder.join("Data_Entry_2017_v2020.csv.gz").exists() {
        println!("skipped: no ChestX-ray14 labels in {}", folder.display());
        return None;
    }
    let rows = rows(&inflated(&folder.join("Data_Entry_2017_v2020.csv.gz")));
    assert_eq!(rows.len(), 112_120);
    let test_list = inflated(&folder.join("test_list.txt.gz"));
    Some((rows, test_list.lines().map(|line| line.trim().to_owned()).collect()))
}

/// Training rows and test rows.
fn split(rows: &[Row], is_test: impl Fn(&Row) -> bool) -> (Vec<&Row>, Vec<&Row>) {
    let (test, train): (Vec<_>, Vec<_>) = rows.iter().partition(|row| is_test(row));
    (train, test)
}

fn prevalences(train: &[&Row]) -> Vec<f64> {
    let share = |label| train.iter().filter(|row| row.truth[label]).count() as f64 / train.len() as f64;
    (0..14).map(share).collect()
}

fn truth(rows: &[&Row]) -> Vec<f32> {
    rows.iter().flat_map(|row| row.truth.map(|truth| f32::from(u8::from(truth)))).collect()
}

/// What `evaluate` says of the predictor that gives every test image the training prevalences.
fn evaluated(train: &[&Row], test: &[&Row]) -> Evaluation {
    let prevalences = prevalences(train);
    let logits: Vec<f64> = prevalences.iter().map(|p| (p / (1.0 - p)).ln()).collect();
    let (logits, truth) = (logits.repeat(test.len()), truth(test));
    let scores = Scores::new(&logits, &truth, 14).expect("valid");
    evaluate(&FINDINGS.map(str::to_owned), scores, &prevalences, None).expect("valid")
}

fn close(found: Option<f64>, expected: f64, tolerance: f64) {
    let found = found.expect("defined");
    assert!((found - expected).abs() < tolerance, "{found} is not {expected}");
}

#[test]
fn the_prevalence_predictor_reaches_a_micro_auc_of_0_7456_and_a_macro_auc_of_one_half() {
    let Some((rows, test_images)) = label_rows() else { return };
    // A fifth of the images, by a hash of their names: as a split by image would draw them.
    let drawn = |row: &Row| {
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        row.image.bytes().fold(0xcbf2_9ce4_8422_2325, hash).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
            < 0x3333_3333
    };
    let (train, test) = split(&rows, drawn);
    assert!((22_000..22_900).contains(&test.len()), "{}", test.len());
    let random = evaluated(&train, &test);
    close(random.micro_auc, 0.7456, 2e-3);
    // All rows at once have no chance in them.
    let all: Vec<_> = rows.iter().collect();
    let whole = evaluated(&all, &all);
    close(whole.micro_auc, 0.7456, 5e-4);
    let (train, test) = split(&rows, |row| test_images.contains(&row.image));
    assert_eq!((train.len(), test.len()), (86_524, 25_596));
    let official = evaluated(&train, &test);
    close(official.micro_auc, MICRO_AUC, 1e-9);
    for evaluation in [random, whole, official] {
        assert_eq!(evaluation.macro_auc, Some(0.5));
        assert_eq!(evaluation.collapsed_labels.len(), 14);
        close(evaluation.micro_auc, evaluation.micro_auc_baseline.expect("defined"), 1e-12);
    }
}

#[test]
fn sex_age_and_view_alone_reach_a_macro_auc_of_0_605() {
    let Some((rows, test_images)) = label_rows() else { return };
    let (train, test) = split(&rows, |row| test_images.contains(&row.image));
    let (train, test) = (Columns::of(&train), Columns::of(&test));
    let fitted = metadata_baseline(
        (ValidationScores::new(train.scores()), train.metadata()),
        (TestScores::new(test.scores()), test.metadata()),
    );
    close(fitted.expect("metadata").macro_auc, 0.605, 5e-4);
}

/// Rows as the library takes them; the logits are those of no model.
struct Columns {
    sexes: Vec<String>,
    ages: Vec<f32>,
    views: Vec<String>,
    truth: Vec<f32>,
    logits: Vec<f64>,
}

impl Columns {
    fn of(rows: &[&Row]) -> Columns {
        Columns {
            sexes: rows.iter().map(|row| row.sex.clone()).collect(),
            ages: rows.iter().map(|row| row.age).collect(),
            views: rows.iter().map(|row| row.view.clone()).collect(),
            truth: truth(rows),
            logits: vec![0.0; 14 * rows.len()],
        }
    }

    fn scores(&self) -> Scores<'_> {
        Scores::new(&self.logits, &self.truth, 14).expect("valid")
    }

    fn metadata(&self) -> Metadata<'_> {
        Metadata { sexes: &self.sexes, ages: &self.ages, views: &self.views }
    }
}
