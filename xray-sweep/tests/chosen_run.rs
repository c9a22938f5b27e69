//! What a report says of single records: of the run that validation chose, by its predictions.

#[expect(dead_code, reason = "other tests and the example use the rest")]
mod fixture;

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use xray_artifacts::{Predictions, Split};
use xray_metrics::probability::sigmoid;
use xray_metrics::threshold::fit;
use xray_metrics::{
    Binning, Calibrator, Column, Method, Rule, Scores, TestScores, ValidationScores, calibrate, ece,
    operating_points, reliability,
};
use xray_sweep::cell::Cell;
use xray_sweep::collect::collect;
use xray_sweep::report::{ReportOptions, report};
use xray_sweep::state::survey;
use xray_sweep::sweep_dir::SweepDir;

const RECORDS: usize = 120;

/// Two findings. `shift` moves the logits, so that what is fitted on one split shows on another.
fn predictions(split: Split, shift: f32, skill: f32) -> Predictions {
    let mut predictions = Predictions::empty(split, vec!["Mass".into(), "Effusion".into()]);
    for record in 0..RECORDS {
        predictions.ids.push(format!("{split}-{record}"));
        predictions.patients.push(format!("{split}-{}", record / 2));
        predictions.views.push(if record % 3 == 0 { "AP" } else { "PA" }.into());
        predictions.sexes.push("F".into());
        predictions.ages.push(20.0 + record as f32);
        for label in 0..2 {
            let positive = (record / 2 + label) % 4 == 0;
            let noise = ((record * (7 + 5 * label) + 3) % 41) as f32 / 10.0;
            predictions.truth.push(f32::from(u8::from(positive)));
            predictions.logits.push(f64::from(shift + noise + if positive { skill } else { 0.0 }));
        }
    }
    predictions
}

fn both() -> [Predictions; 2] {
    [predictions(Split::Val, -3.0, 1.2), predictions(Split::Test, -1.5, 0.9)]
}

/// A collected sweep of one finished cell.
fn sweep(folder: &Path, name: &str, both: [Predictions; 2], edit: impl Fn(&mut Cell)) -> (SweepDir, Cell) {
    let dir = SweepDir::new(folder.join(name));
    let mut cell = fixture::cell(1.0, 1);
    edit(&mut cell);
    fixture::plan(&dir, std::slice::from_ref(&cell));
    fixture::finish_with(&dir, &cell, both);
    collect(&dir, &survey(&dir).expect("a sweep"), &dir.collected()).expect("a writable folder");
    (dir, cell)
}

/// `report.json`.
fn reported(dir: &SweepDir, options: &ReportOptions) -> Value {
    let [.., json] = report(dir, options).expect("collected");
    serde_json::from_str(&fs::read_to_string(json).expect("written")).expect("JSON")
}

fn section<'a>(report: &'a Value, id: &str) -> &'a Value {
    let sections = report["sections"].as_array().expect("sections");
    sections.iter().find(|section| section["id"] == id).unwrap_or(&Value::Null)
}

fn rows<'a>(report: &'a Value, id: &str, table: &str) -> &'a Vec<Value> {
    section(report, id)["tables"][table]["rows"].as_array().expect("rows")
}

fn texts(report: &Value, id: &str) -> String {
    section(report, id)["text"].to_string()
}

fn scores(predictions: &Predictions) -> Scores<'_> {
    Scores::new(&predictions.logits, &predictions.truth, 2).expect("valid")
}

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().expect("a number");
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn thresholds_of_the_report_are_chosen_on_validation_and_shown_on_test() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [val, test] = both();
    let (dir, _) = sweep(folder.path(), "s", both(), |_| ());
    for rule in [Rule::Youden, Rule::Sensitivity(0.9)] {
        let found = reported(&dir, &ReportOptions { rule, ..ReportOptions::default() });
        let fitted = fit(ValidationScores::new(scores(&val)), rule);
        let leaked = fit(ValidationScores::new(scores(&test)), rule);
        let patients = test.patient_numbers();
        let points = operating_points(TestScores::new(scores(&test)), &fitted, patients.as_deref());
        let points = points.expect("of two labels");
        let by_rule = rows(&found, "thresholds", "rules-by-finding");
        for (at, label) in ["Mass", "Effusion"].into_iter().enumerate() {
            assert_ne!(fitted[at], leaked[at], "otherwise this shows nothing");
            let (threshold, point) = (fitted[at].threshold().expect("one"), points[at].clone().expect("one"));
            let asked = &rows(&found, "thresholds", "thresholds")[at];
            let listed = by_rule
                .iter()
                .find(|row| row["label"] == label && row["rule"] == rule.to_string())
                .expect("every rule for every finding");
            for row in [asked, listed] {
                close(&row["threshold"], sigmoid(threshold));
                close(&row["sensitivity"]["value"], point.sensitivity.expect("positives").value);
                close(&row["specificity"]["value"], point.specificity.expect("negatives").value);
            }
            let ring = &section(&found, "curves")["charts"][format!("roc-{}", label.to_lowercase())];
            let ring = &ring["series"][1]["rings"][0];
            close(&ring[0], 1.0 - point.specificity.expect("negatives").value);
            close(&ring[1], point.sensitivity.expect("positives").value);
        }
    }
}

#[test]
fn calibrations_of_the_report_are_fitted_on_validation() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [val, test] = both();
    let (dir, _) = sweep(folder.path(), "s", both(), |_| ());
    let found = reported(&dir, &ReportOptions::default());
    let error = |calibrator: &Calibrator, label: usize| {
        let (probabilities, truth) = scores(&test)
            .column(label)
            .iter()
            .map(|(logit, positive)| (calibrator.probability(logit), positive))
            .unzip();
        let column = Column::new(probabilities, truth).expect("finite");
        ece(&reliability(&column, None, Binning::EqualCount, 10).expect("probabilities")).expect("records")
    };
    for (at, row) in rows(&found, "calibration", "calibration").iter().enumerate() {
        let of = |split: &Predictions| {
            let patients = split.patient_numbers();
            let fitted = calibrate(ValidationScores::new(scores(split)), patients.as_deref(), Method::Platt);
            error(&fitted.expect("patients")[at].as_ref().expect("calibrated").calibrator, at)
        };
        assert!((of(&val) - of(&test)).abs() > 0.01, "otherwise this shows nothing");
        close(&row["ece_calibrated"], of(&val));
    }
    for row in rows(&found, "calibration", "brier") {
        let number = |key: &str| row[key].as_f64().expect("a number");
        let sum = number("reliability") - number("resolution") + number("uncertainty") + number("residual");
        close(&row["brier"], sum);
    }
    for row in rows(&found, "calibration", "calibration") {
        let number = |key: &str| row[key].as_f64().expect("a number");
        assert!(number("ece_debiased") <= number("ece") && number("ece_by_chance") > 0.0, "{row}");
        close(&row["ece_baseline"], 0.25 - 0.1);
        assert_eq!(
            row["bins"].as_array().map(|bins| bins.iter().filter_map(Value::as_u64).sum()),
            Some(120_u64)
        );
    }
    let notes = section(&found, "calibration")["tables"]["calibration"]["notes"].to_string();
    let shifted = "Mass: calibrated by a shift of the log-odds alone: only 15 patients with it and 45 without; platt \
                   needs 20 of each.";
    assert!(notes.contains(shifted) && notes.contains("by patient"), "{notes}");
    // Calibrated on validation, a model that says too much on test is worth less than it thinks.
    let benefits = rows(&found, "net-benefit", "net-benefit");
    assert_eq!(benefits.len(), 6);
    assert!(benefits.iter().all(|row| row["treat_none"] == 0.0 && row["model"].is_f64()), "{benefits:?}");
}

#[test]
fn the_findings_of_the_chosen_run_stand_beside_what_no_image_gets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [_, test] = both();
    let (dir, _) = sweep(folder.path(), "s", both(), |_| ());
    let found = reported(&dir, &ReportOptions::default());
    let row = &rows(&found, "findings", "findings")[0];
    close(&row["auc"], xray_metrics::auc(&scores(&test).column(0)).expect("both classes"));
    assert_eq!(
        (&row["positives"], &row["negatives"], &row["no_image"]),
        (&json!(30), &json!(90), &json!(0.5))
    );
    // Of a quarter with the finding, and a training prevalence of 0.1.
    close(&row["brier_baseline"], 0.25 * 0.81 + 0.75 * 0.01);
    assert!(row["metadata"].is_f64() && row["auc_interval"][0].is_f64(), "{row}");
    let card = &section(&found, "headline")["cards"][0];
    assert!(card["detail"].as_str().is_some_and(|text| text.contains("95 % interval over test patients")));
    assert!(card["value"]["value"].is_f64(), "{card}");
}

/// Patients 0 and 1 of every four are of the north: all with Mass, since patient 0 of four has it.
#[test]
fn figures_within_sources_stand_beside_those_over_all() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut both = both();
    for split in &mut both {
        let place = |at: usize| if at / 2 % 4 < 2 { "north" } else { "south" };
        split.sources = (0..RECORDS).map(|at| place(at).to_owned()).collect();
    }
    let [_, test] = &both;
    let (dir, _) = sweep(folder.path(), "s", both.clone(), |_| ());
    let found = reported(&dir, &ReportOptions::default());
    let expected = xray_metrics::by_source(
        &test.labels,
        (TestScores::new(scores(test)), &test.sources),
        test.patient_numbers().as_deref(),
        Some((ValidationScores::new(scores(&both[0])), &both[0].sources)),
    );
    let expected = expected.expect("a source per record").expect("two sources");
    let within = rows(&found, "sources", "within-sources");
    close(&within[0]["within_auc"], expected.labels[0].within_auc.expect("both classes"));
    close(&within[2]["within_auc"], expected.within_macro_auc.expect("both classes"));
    close(&within[2]["within_auc_interval"][0], expected.within_macro_auc_interval.expect("60 patients")[0]);
    close(&within[0]["source_alone_auc"], expected.labels[0].source_alone_auc.expect("validation"));
    let positives = rows(&found, "sources", "positives-by-source");
    assert_eq!((&positives[0]["source"], &positives[0]["positives"]), (&json!("north"), &json!(30)));
    // Nobody of the south has Mass.
    assert_eq!((&positives[1]["source"], &positives[1]["auc"]), (&json!("south"), &Value::Null));
    let notes = section(&found, "sources")["tables"]["positives-by-source"]["notes"].to_string();
    assert!(notes.contains("2 rows with fewer than 10 positives or negatives"), "{notes}");
    let (dir, _) = sweep(folder.path(), "t", self::both(), |_| ());
    assert_eq!(section(&reported(&dir, &ReportOptions::default()), "sources"), &Value::Null);
}

#[test]
fn predictions_that_are_not_those_of_the_tables_are_not_shown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let check = |name: &str, spoil: &dyn Fn(&Path), expected: &str| {
        let (dir, cell) = sweep(folder.path(), name, both(), |_| ());
        spoil(&dir.cell(&cell.id).run());
        let found = reported(&dir, &ReportOptions::default());
        let said = texts(&found, "curves");
        assert!(said.contains(expected), "{said}");
        assert_eq!(section(&found, "thresholds"), &Value::Null);
        assert!(section(&found, "headline")["cards"][0]["value"]["value"].is_f64(), "the tables know it");
    };
    check("gone", &|run| fs::remove_dir_all(run).expect("there"), "the folder of cell");
    check("torn", &|run| fs::write(run.join("predictions-val.safetensors"), "x").expect("there"), "is not a");
    let swapped = |run: &Path| {
        let [val, test] = ["val", "test"].map(|split| run.join(format!("predictions-{split}.safetensors")));
        fs::copy(&test, val).expect("there");
    };
    check("swapped", &swapped, "split");
    let other = |run: &Path| {
        let repeated = predictions(Split::Test, 0.0, 2.0);
        repeated.save(&run.join("predictions-test.safetensors")).expect("writable");
    };
    check("repeated", &other, "are not those that were collected (Mass: its AUC); collect again");
    let twice = |run: &Path| {
        // Ranks are the same.
        let mut other = predictions(Split::Test, -1.5, 0.9);
        other.logits.iter_mut().for_each(|logit| *logit *= 2.0);
        other.save(&run.join("predictions-test.safetensors")).expect("writable");
    };
    check("twice", &twice, "are not those that were collected (Mass: its Brier score); collect again");
    let nan = |run: &Path| {
        let mut bad = predictions(Split::Test, -1.5, 0.9);
        bad.logits[5] = f64::NAN;
        bad.save(&run.join("predictions-test.safetensors")).expect("writable");
    };
    check("nan", &nan, "record 2, label 1: the score is NaN");
}

#[test]
fn patients_on_two_sides_and_patients_that_nobody_names_are_warned_of() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let check = |name: &str, edit: &dyn Fn(&mut Predictions), expected: &str| {
        let mut both = both();
        both.iter_mut().for_each(edit);
        let (dir, _) = sweep(folder.path(), name, both, |_| ());
        let found = reported(&dir, &ReportOptions::default());
        let said = texts(&found, "data");
        assert!(said.contains(expected), "{said}");
        found
    };
    check("apart", &|_| (), "Patients in both validation and test: 0 (of 60 and 60).");
    let shared = |of: &mut Predictions| of.patients[..10].fill("both".into());
    check("shared", &shared, "validation and test: 1 (of 56 and 56). Thresholds");
    let nameless = |of: &mut Predictions| of.patients.clear();
    let found = check("nameless", &nameless, "The records do not name their patients");
    let detail = section(&found, "headline")["cards"][0]["detail"].to_string();
    assert!(detail.contains("over test records (patients unknown: too narrow if they recur)"), "{detail}");
}

/// All of one patient: nothing can be drawn.
#[test]
fn a_single_patient_has_scores_without_intervals() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut both = both();
    both.iter_mut().for_each(|split| split.patients.fill(format!("{}-one", split.split)));
    let (dir, _) = sweep(folder.path(), "s", both, |_| ());
    let found = reported(&dir, &ReportOptions::default());
    let card = &section(&found, "headline")["cards"][0];
    assert!(card["value"]["value"].is_f64() && card["value"]["interval"].is_null(), "{card}");
    assert!(card["detail"].to_string().contains("without an interval (too few test patients"), "{card}");
}

#[test]
fn a_finding_that_no_test_record_has_is_told_from_a_sweep_that_is_not_done() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut both = both();
    both[1].truth.iter_mut().step_by(2).for_each(|truth| *truth = 0.0);
    let (dir, _) = sweep(folder.path(), "s", both, |_| ());
    let all = reported(&dir, &ReportOptions::default());
    let detail = section(&all, "headline")["cards"][0]["detail"].to_string();
    assert!(detail.contains("the mean of 1 of 2 findings (no AUC for Mass"), "{detail}");
    assert!(texts(&all, "curves").contains("No curve for Mass: all test records are of one class."));
    let one = reported(&dir, &ReportOptions { label: Some("Mass".into()), ..ReportOptions::default() });
    let card = &section(&one, "headline")["cards"][0];
    assert_eq!(card["text"], "–");
    assert_eq!(card["detail"], "No finished run has this AUC: its test records are all of one class.");
    assert!(dir.path().join("report/Mass/report.html").exists(), "beside the report on all findings");
}

#[test]
fn a_model_that_says_the_same_of_every_image_is_not_calibrated_and_has_no_skill() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut both = both();
    both.iter_mut().for_each(|split| split.logits.fill(-1.0));
    let (dir, _) = sweep(folder.path(), "s", both, |_| ());
    let found = reported(&dir, &ReportOptions::default());
    assert_eq!(rows(&found, "findings", "findings")[0]["auc"], 0.5);
    let left_out = "Left out because they are not calibrated, for the reasons above: Mass, Effusion.";
    assert!(texts(&found, "net-benefit").contains(left_out), "{}", texts(&found, "net-benefit"));
    let notes = section(&found, "thresholds")["tables"]["thresholds"]["notes"].to_string();
    assert!(
        notes.contains("Mass: a specificity of 0.000 on validation, a specificity of 0.000 on test"),
        "{notes}"
    );
    let said = texts(&found, "fractions");
    assert!(said.contains("the same score for: Effusion (1 run), Mass (1 run)."), "{said}");
    assert!(rows(&found, "calibration", "calibration").iter().all(|row| row["ece_calibrated"].is_null()));
}

#[test]
fn two_models_are_compared_on_the_same_records_and_other_data_are_not_compared() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (weak, _) = sweep(folder.path(), "weak", both(), |_| ());
    let strong_both = [predictions(Split::Val, -3.0, 3.0), predictions(Split::Test, -1.5, 3.0)];
    let (strong, _) = sweep(folder.path(), "strong", strong_both, |_| ());
    let beside =
        |other: &SweepDir| ReportOptions { compare: Some(other.clone()), ..ReportOptions::default() };
    let found = reported(&weak, &beside(&strong));
    let paired = rows(&found, "comparison", "comparison-chosen");
    let of = |name: &str| paired.iter().find(|row| row["label"] == name).expect("a row");
    for name in ["macro", "Mass", "Effusion"] {
        let [a, b, difference] =
            ["a", "b", "difference"].map(|key| of(name)[key].as_f64().expect("a number"));
        assert!(a < b && (difference - (a - b)).abs() < 1e-12, "{name}: A is the sweep itself, B the other");
        assert!(of(name)["p"].as_f64().is_some_and(|p| p < 0.05), "{}", of(name));
    }
    assert!(rows(&found, "comparison", "comparison")[0]["difference"].as_f64().is_some_and(|it| it < 0.0));
    let notes = section(&found, "comparison")["tables"]["comparison-chosen"]["notes"].to_string();
    assert!(notes.contains("over other patients:"), "{notes}");

    let (other, _) = sweep(folder.path(), "other", both(), |cell| cell.dataset = "f".repeat(64));
    let found = reported(&weak, &beside(&other));
    assert!(
        texts(&found, "comparison").contains("of different data sets"),
        "{}",
        texts(&found, "comparison")
    );
    assert!(rows(&found, "comparison", "comparison")[0]["difference"].is_null());

    let mut fewer = both();
    fewer[1] = fewer[1].records(&(0..100).collect::<Vec<_>>());
    let (fewer, _) = sweep(folder.path(), "fewer", fewer, |_| ());
    let said = texts(&reported(&weak, &beside(&fewer)), "comparison");
    assert!(said.contains("cannot be compared record by record"), "{said}");
}
