//! `xray-eval` on finished runs and on score files.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::{Value, json};
use std::time::Duration;
use xray_artifacts::{Exit, Predictions, Split};
use xray_image::{GrayImage, encode_png};
use xray_metrics::{Calibrator, Method, Rule, Scores, ValidationScores, threshold};
use xray_train::run::RunOptions;

#[test]
fn a_run_is_appraised_with_the_figures_of_its_result() {
    let workplace = Workplace::with_run();
    let json = workplace.eval(&["run", "run", "--format", "json"]);
    assert_exit(&json, Exit::Ok);
    let found: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(found["test"], workplace.json("run/result.json")["scores"]["test"]);
    assert_eq!(found["operating_points"]["rule"], "youden");
    let groups = found["subgroups"].as_array().expect("a list");
    assert!(groups.iter().any(|group| group["by"] == "sex"), "{groups:?}");

    let text = stdout(&workplace.eval(&["run", "run"]));
    assert!(found["metadata_baseline"]["macro_auc"].as_f64().is_some_and(|auc| auc > 0.0), "{found}");
    let records = |split| workplace.predictions(split).ids.len();
    let fitted_on = format!("logistic regressions fitted on {} validation records", records(Split::Val));
    for part in [
        "prevalence baseline",
        "validation prevalence",
        "sex, age and view alone",
        &fitted_on,
        "sex, age, view",
        "AUC − baseline",
        "positives  negatives  threshold",
        "intervals are Wilson's, by patient",
        "PPV and NPV hold at the test prevalence",
        "of training prevalence",
        "always no",
        "Calibration on test",
        "by chance",
        "The constant is the training prevalence",
        "Net benefit per 1,000 test records",
        "operating point",
        "sex F",
        "not shown, because no label has 10 positive and 10 negative records there",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert_eq!(found["metadata_baseline"]["fitted_on"], records(Split::Val));
    assert_eq!(found["beside_metadata"]["unit"], "patient");
    assert_eq!(found["net_benefit"].as_array().map(Vec::len), Some(14));
    let same = stdout(&workplace.eval(&["compare", "run", "run"]));
    assert!(same.contains("+0.000"), "{same}");
}

/// Metadata rank the first finding as the model does and know nothing of the second, which validation never has.
#[test]
fn the_model_stands_beside_its_metadata_on_the_labels_that_both_define() {
    let workplace = Workplace::empty();
    let mut rows = "id,patient,split,view,sick,rare,score_sick,score_rare\n".to_owned();
    for split in ["val", "test"] {
        for at in 0..80 {
            let ap = at % 4 < 2;
            let (sick, rare) = (u8::from(ap != (at % 10 == 0)), u8::from(split == "test" && at % 3 == 0));
            let (view, score) = if ap { ("AP", 0.8) } else { ("PA", 0.2) };
            rows += &format!("{split}{at},{split}{},{split},{view},{sick},{rare},{score},0.{at}\n", at / 2);
        }
    }
    std::fs::write(workplace.path("a.csv"), rows).expect("writable");
    let json = workplace.eval(&["score", "a.csv", "--format", "json"]);
    assert_exit(&json, Exit::Ok);
    let found: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let (sick, rare) = (&found["beside_metadata"]["labels"][0], &found["beside_metadata"]["labels"][1]);
    assert_eq!((&sick["difference"], &sick["p_value"]), (&json!(0.0), &Value::Null), "they rank alike");
    assert!(found["test"]["labels"][1]["auc"].is_number() && rare["a"].is_null(), "{rare}");
    assert_eq!(found["beside_metadata"]["macro_auc"]["a"], found["test"]["labels"][0]["auc"]);
    let text = stdout(&workplace.eval(&["score", "a.csv"]));
    let said =
        "fitted on 80 validation records, get a macro-AUC of 0.900 on the 1 of 2 labels that both define";
    assert!(text.contains(said), "{text}");
}

/// A validation file under the name of the test file would report thresholds on the records that chose them.
#[test]
fn swapped_files_of_predictions_are_refused() {
    let workplace = Workplace::with_run();
    let path = |name: &str| workplace.path(&format!("run/{name}.safetensors"));
    std::fs::rename(path("predictions-val"), path("kept")).expect("writable");
    std::fs::rename(path("predictions-test"), path("predictions-val")).expect("writable");
    std::fs::rename(path("kept"), path("predictions-test")).expect("writable");
    for command in ["run", "calibrate"] {
        let output = workplace.eval(&[command, "run"]);
        assert_exit(&output, Exit::BadData);
        let said = "predictions-val.safetensors holds the predictions of the test split, not of val";
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
}

#[test]
fn a_run_whose_patients_are_on_both_sides_says_so() {
    let workplace = Workplace::with_run();
    let shared = "patients in validation and in test:";
    let text = stdout(&workplace.eval(&["run", "run"]));
    assert!(!text.contains(shared), "{text}");
    let patient = workplace.predictions(Split::Val).patients[0].clone();
    workplace.edit(Split::Test, |test| test.patients[0] = patient);
    let text = stdout(&workplace.eval(&["run", "run"]));
    assert!(text.contains(&format!("note: {shared} 1;")), "{text}");
}

/// Of 200 validation rows at the high score a quarter is positive, of as many test rows all are: a calibration that had
/// seen the test rows would be right about them.
#[test]
fn calibrations_are_fitted_on_validation_and_judged_on_test() {
    let workplace = Workplace::empty();
    let mut rows = "split,Mass,score_Mass\n".to_owned();
    for (split, positives) in [("val", 50), ("test", 200)] {
        for at in 0..200 {
            rows += &format!("{split},{},0.9\n{split},0,0.1\n", u8::from(at < positives));
        }
    }
    std::fs::write(workplace.path("a.csv"), rows).expect("writable");
    let arguments = ["score", "a.csv", "--format", "json", "--calibration", "isotonic"];
    let output = workplace.eval(&arguments);
    assert_exit(&output, Exit::Ok);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let error = found["reliability"][0]["ece_calibrated"].as_f64().expect("calibrated");
    assert!((error - 0.75 / 2.0).abs() < 1e-6, "{error}");
    // At twice the validation prevalence of 1/8 the calibrated model acts on the high half; at four times, on nobody.
    let benefit =
        |at: usize| found["net_benefit"][0]["at_prevalence"][at]["model"].as_f64().expect("defined");
    assert!((benefit(2) - 0.5).abs() < 1e-9 && benefit(3) == 0.0, "{}", found["net_benefit"]);
}

/// 400 validation and 400 test rows, a patient each.
fn few(workplace: &Workplace, positives: usize, fall: bool) -> (Value, String) {
    let mut rows = "id,patient,split,Mass,score_Mass\n".to_owned();
    for (split, positives) in [("val", positives), ("test", 60)] {
        for at in 0..400 {
            let higher = if (at < positives) == fall { 0 } else { 30 };
            let score = 100 + at * 7919 % 40 + higher;
            rows += &format!("{split}{at},{split}{at},{split},{},0.{score}\n", u8::from(at < positives));
        }
    }
    std::fs::write(workplace.path("a.csv"), rows).expect("writable");
    let arguments = ["score", "a.csv", "--rule", "sensitivity>=0.9"];
    let json = workplace.eval(&[&arguments[..], &["--format", "json"]].concat());
    assert_exit(&json, Exit::Ok);
    (serde_json::from_slice(&json.stdout).expect("JSON"), stdout(&workplace.eval(&arguments)))
}

#[test]
fn few_positives_make_no_slope_and_the_reason_is_said() {
    let workplace = Workplace::empty();
    let (found, text) = few(&workplace, 4, false);
    let why = "only 4 patients with it and 396 without; a shift of the log-odds needs 5 of each";
    assert_eq!(found["reliability"][0]["uncalibrated"], why);
    assert!(text.contains(&format!("Mass: not calibrated: {why}")), "{text}");

    let (found, text) = few(&workplace, 12, false);
    let label = &found["reliability"][0];
    let why =
        "a shift of the log-odds alone: only 12 patients with it and 388 without; platt needs 20 of each";
    assert_eq!((&label["calibration_note"], &label["uncalibrated"]), (&json!(why), &Value::Null));
    assert_eq!(label["support"], json!({ "unit": "patient", "positives": 12, "negatives": 388 }));
    assert!(text.contains(&format!("Mass: calibrated by {why}")), "{text}");

    let (found, text) = few(&workplace, 40, false);
    let label = &found["reliability"][0];
    let bins = [44, 36, 45, 36, 43, 40, 44, 36, 36, 40];
    assert_eq!((&label["calibration_note"], &label["error"]["records"]), (&Value::Null, &json!(bins)));
    // The validation prevalence of 0.1 said of test, where 0.15 are positive.
    let constant = |key: &str| label["constant"][key].as_f64().expect("known");
    assert!((constant("ece") - 0.05).abs() < 1e-12, "{label}");
    assert!((constant("brier") - (0.15 * 0.81 + 0.85 * 0.01)).abs() < 1e-12, "{label}");
    assert_eq!(found["prevalence_of"], "val");
    assert_eq!(found["test"]["labels"][0]["brier_baseline"], label["constant"]["brier"]);
    assert!(
        text.contains("10 of 36 to 45") && text.contains("The constant is the validation prevalence"),
        "{text}"
    );
}

#[test]
fn a_threshold_that_calls_everybody_positive_is_warned_of() {
    let workplace = Workplace::empty();
    let (found, text) = few(&workplace, 40, true);
    let warning = found["operating_points"]["labels"][0]["warning"].as_str().expect("a warning");
    assert!(warning.starts_with("a specificity of 0.0") && warning.contains("on validation"), "{warning}");
    assert!(text.contains(&format!("warning: Mass: {warning}")), "{text}");
    let (found, text) = few(&workplace, 40, false);
    assert_eq!(found["operating_points"]["labels"][0]["warning"], Value::Null);
    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn flags_of_resampling_say_that_they_have_no_effect() {
    let workplace = Workplace::empty();
    let rows: String =
        (0..60).map(|at| format!("{at},p{},{},0.{}\n", at / 2, at % 2, at * 7 % 41 + 10)).collect();
    std::fs::write(workplace.path("a.csv"), "id,patient,Mass,score_Mass\n".to_owned() + &rows)
        .expect("writable");
    let scored = |flags: &[&str]| {
        let output = workplace.eval(&[&["score", "a.csv", "--format", "json"], flags].concat());
        assert_exit(&output, Exit::Ok);
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let plain = scored(&[]);
    let interval = &plain["test"]["labels"][0]["auc_interval"];
    assert!(interval.is_array() && plain["missing_intervals"] == json!([]), "{plain}");
    assert_eq!((&plain["delong"][0]["interval"], &plain["test"]["macro_auc_interval"]), (interval, interval));
    assert_eq!(plain["test"]["intervals"]["method"], "wilson_effective");
    for resamples in ["0", "99", "1000"] {
        let flagged = scored(&["--resamples", resamples, "--seed", "4"]);
        assert_eq!(flagged["test"], plain["test"]);
        let notes = flagged["notes"].to_string();
        assert!(
            notes.contains("--resamples has no effect") && notes.contains("--seed has no effect"),
            "{notes}"
        );
    }
    let text = stdout(&workplace.eval(&["score", "a.csv", "--resamples", "0"]));
    assert!(text.contains("note: --resamples has no effect"), "{text}");
    assert!(
        text.contains("Wilson's, of the effective number of patients); 60 records of 30 patients"),
        "{text}"
    );
}

/// One label of three positive patients makes more than half of what the mean does not know.
#[test]
fn a_mean_that_a_rare_label_decides_says_which() {
    let workplace = Workplace::empty();
    let mut rows = "id,patient,Mass,Hernia,score_Mass,score_Hernia\n".to_owned();
    for at in 0..80 {
        let (mass, hernia) = (u8::from(at % 2 == 0), u8::from(at < 3));
        rows += &format!("{at},p{at},{mass},{hernia},0.{},0.{}\n", 10 + at * 7 % 41, 10 + at * 11 % 59);
    }
    std::fs::write(workplace.path("a.csv"), rows).expect("writable");
    let output = workplace.eval(&["score", "a.csv", "--format", "json"]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["test"]["macro_auc_dominated_by"], json!(["Hernia"]));
    assert!(
        found["test"]["macro_auc_interval"].is_array() && found["missing_macro_interval"].is_null(),
        "{found}"
    );
    let text = stdout(&workplace.eval(&["score", "a.csv"]));
    assert!(text.contains("no interval for Hernia: only 3 patients with it and 77 without"), "{text}");
    assert!(text.contains("more than half of the macro-AUC's variance comes from Hernia"), "{text}");
}

#[test]
fn a_run_that_diverged_is_not_to_be_started_again() {
    let workplace = Workplace::new();
    let more = ["schedule.learning_rate=1e30", "schedule.warmup_steps=0"];
    let failure = workplace.train("run", &more, RunOptions::default()).expect_err("no weights stand that");
    assert_eq!(failure.exit, Exit::Diverged);
    for arguments in [&["run", "run"][..], &["calibrate", "run"], &["explain", "run", "chest.png"]] {
        let output = workplace.eval(arguments);
        assert_exit(&output, Exit::NothingMatches);
        let said = stderr(&output);
        assert!(said.contains("the run in run diverged: ") && said.contains("lower learning rate"), "{said}");
    }
    let checkpoint_exit = Some(Duration::from_millis(1));
    let options = RunOptions { checkpoint_exit, ..RunOptions::default() };
    let stopped = workplace.train("stopped", &[], options).expect("saved");
    assert_eq!(stopped.exit, Some(Exit::Checkpointed.code()));
    let output = workplace.eval(&["run", "stopped"]);
    assert_exit(&output, Exit::NothingMatches);
    assert!(stderr(&output).contains("is not finished"), "{}", stderr(&output));
    assert!(stderr(&output).contains("start it again: it continues"), "{}", stderr(&output));
}

#[test]
fn what_cannot_be_evaluated_says_why() {
    let workplace = Workplace::empty();
    std::fs::write(workplace.path("a.csv"), "id,Mass,score_Mass\n1,1,0.9\n2,0,1.5\n").expect("writable");
    let check = |arguments: &[&str], exit: Exit, message: &str| {
        let output = workplace.eval(arguments);
        assert_exit(&output, exit);
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    };
    check(&["run", "nowhere"], Exit::NothingMatches, "nowhere is not a run directory");
    check(
        &["score", "a.csv", "--scores", "probabilities"],
        Exit::BadData,
        "a.csv: row 2: the score of Mass is 1.5",
    );
    check(&["score", "a.csv", "--rule", "sensitivity>=2"], Exit::Usage, "sensitivity>=2");
    let leaky = "patient,split,Mass,score_Mass\np,val,1,0.9\nq,val,0,0.2\np,test,1,0.8\nr,test,0,0.1\n";
    std::fs::write(workplace.path("leaky.csv"), leaky).expect("writable");
    let text = stdout(&workplace.eval(&["score", "leaky.csv"]));
    assert!(text.contains("patients in validation and in test: 1;"), "{text}");
    check(
        &["score", "a.csv"],
        Exit::BadData,
        "a.csv: the scores of Mass are from 0.9 to 1.5 and none is below 0",
    );
    let output = workplace.eval(&["score", "a.csv", "--scores", "logits"]);
    assert_exit(&output, Exit::Ok);
    assert!(stdout(&output).contains("No operating points and no calibration"), "{}", stdout(&output));
}

#[test]
fn calibrations_and_thresholds_of_validation_go_into_the_bundle() {
    let workplace = Workplace::with_run();
    // As many patients as a calibration takes.
    workplace.edit(Split::Val, |val| {
        let records = val.ids.len();
        *val = val.records(&(0..20 * records).map(|at| at % records).collect::<Vec<_>>());
        val.ids = (0..val.ids.len()).map(|at| format!("val-{at}")).collect();
        val.patients = (0..val.ids.len()).map(|at| format!("of-val-{at}")).collect();
    });
    let before = workplace.json("run/model/model.json");
    assert_eq!((&before["calibration"], &before["thresholds"]), (&json!([]), &json!([])));
    let calibrate = |method: &str| {
        let rule = ["--rule", "sensitivity>=0.8"];
        workplace.eval(&[&["calibrate", "run", "--calibration", method][..], &rule].concat())
    };
    for method in ["temperature", "platt", "isotonic"] {
        assert_exit(&calibrate(method), Exit::Ok);
        let card = workplace.json("run/model/model.json");
        for key in ["model", "preprocessing", "labels", "provenance", "scores", "format"] {
            assert_eq!(card[key], before[key], "{key}");
        }
        let val = workplace.predictions(Split::Val);
        let scores = Scores::new(&val.logits, &val.truth, val.labels.len()).expect("finite");
        let fitted = threshold::fit(ValidationScores::new(scores), Rule::Sensitivity(0.8));
        let calibrators: Vec<Option<Calibrator>> = card["calibration"]
            .as_array()
            .expect("one per label")
            .iter()
            .map(|label| serde_json::from_value(label["calibrator"].clone()).expect("a calibrator or null"))
            .collect();
        assert!(calibrators.iter().any(Option::is_some), "{card}");
        for label in card["calibration"].as_array().expect("one per label") {
            let taught = label["support"]["positives"].as_u64();
            assert_eq!(taught.is_some(), label["calibrator"].is_object(), "{label}");
            let slope = label["calibrator"].get("scale").is_some();
            assert!(!slope || taught >= Some(20), "{label}");
        }
        let method: Method = method.parse().expect("a method");
        let patients = val.patient_numbers();
        let of_val = xray_metrics::calibrate(ValidationScores::new(scores), patients.as_deref(), method)
            .expect("a patient per record");
        let as_stored = |fitted: &Calibrator| {
            serde_json::from_value(serde_json::to_value(fitted).expect("finite")).expect("its own shape")
        };
        let of_val: Vec<Option<Calibrator>> =
            of_val.iter().map(|fitted| Some(as_stored(&fitted.as_ref().ok()?.calibrator))).collect();
        assert_eq!(calibrators, of_val, "of validation, whatever test says");
        for (at, fitted) in fitted.iter().enumerate() {
            let stored = &card["thresholds"][at];
            assert_eq!(stored["logit"].as_f64().map(|logit| f64::from(logit as f32)), fitted.threshold());
            assert_eq!(stored["undefined"].is_string(), fitted.threshold().is_none());
            assert_eq!((&stored["fitted_on"], &stored["rule"]), (&json!("val"), &json!("sensitivity>=0.8")));
            // Whoever is called positive by the logit is by the probability, too.
            let (Some(calibrator), Some(cut)) = (&calibrators[at], fitted.threshold()) else { continue };
            assert_eq!(stored["probability"].as_f64(), Some(calibrator.probability(cut)));
            for logit in scores.scores_of(at).filter(|logit| *logit >= cut) {
                assert!(calibrator.probability(logit) >= calibrator.probability(cut));
            }
        }
    }
    let bytes = || std::fs::read(workplace.path("run/model/model.json")).expect("a card");
    let first = bytes();
    assert_exit(&calibrate("isotonic"), Exit::Ok);
    assert!(first == bytes(), "the same again gives the same bytes");
    let nowhere = workplace.eval(&["calibrate", "nowhere"]);
    assert_exit(&nowhere, Exit::NothingMatches);

    // What cannot be reported on test is not written either.
    workplace.edit(Split::Test, |test| test.logits[0] = f64::NAN);
    let broken = calibrate("platt");
    assert_exit(&broken, Exit::BadData);
    assert!(first == bytes(), "the card stays as it was");
}

#[test]
fn a_finding_is_drawn_where_its_score_comes_from() {
    let workplace = Workplace::with_run();
    let image =
        GrayImage { width: 90, height: 70, pixels: (0..90 * 70).map(|at| (at % 251) as u8).collect() };
    std::fs::write(workplace.path("chest.png"), encode_png(&image)).expect("writable");
    let drawn = ["explain", "run", "chest.png", "--label", "Mass", "--out", "maps", "--format", "json"];
    let drawn = workplace.eval(&drawn);
    assert_exit(&drawn, Exit::Ok);
    let found: Value = serde_json::from_slice(&drawn.stdout).expect("JSON");
    assert_eq!((&found[0]["label"], &found[0]["picture"]), (&json!("Mass"), &json!("maps/chest-Mass.png")));
    assert_eq!(found[0]["findings"].as_array().map(Vec::len), Some(14));
    let header =
        xray_image::read_header(&std::fs::read(workplace.path("maps/chest-Mass.png")).expect("a picture"));
    let header = header.expect("a PNG");
    assert!(header.width > 2 * 512 && header.height >= 512, "{} x {}", header.width, header.height);

    let check = |arguments: &[&str], exit: Exit, message: &str| {
        let output = workplace.eval(arguments);
        assert_exit(&output, exit);
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    };
    // Two images of one name, in two folders.
    for folder in ["a", "b"] {
        std::fs::create_dir(workplace.path(folder)).expect("writable");
        std::fs::copy(workplace.path("chest.png"), workplace.path(&format!("{folder}/x.png")))
            .expect("writable");
    }
    let both =
        ["explain", "run", "a/x.png", "b/x.png", "--label", "Mass", "--out", "maps", "--format", "json"];
    let both: Value = serde_json::from_slice(&workplace.eval(&both).stdout).expect("JSON");
    let pictures = [&both[0]["picture"], &both[1]["picture"]];
    assert_eq!(pictures, [&json!("maps/x-Mass.png"), &json!("maps/x-Mass-2.png")]);
    assert!(workplace.path("maps/x-Mass-2.png").is_file());

    check(&["explain", "run", "chest.png", "--label", "mas"], Exit::Usage, "did you mean Mass?");
    check(&["explain", "run", "--test-records", "2"], Exit::Usage, "--label");
    check(&["explain", "run"], Exit::Usage, "<IMAGES>...");
    std::fs::write(workplace.path("broken.jpg"), b"\xff\xd8\xff").expect("writable");
    check(&["explain", "run", "broken.jpg"], Exit::BadData, "broken.jpg");
    check(&["explain", "nowhere", "chest.png"], Exit::NothingMatches, "there is no bundle in nowhere");
}

#[test]
fn the_test_records_that_score_highest_are_explained() {
    let workplace = Workplace::with_run();
    let arguments =
        ["explain", "run", "--label", "Effusion", "--out", "maps", "--format", "json", "--test-records", "3"];
    let output = workplace.eval(&arguments);
    assert_exit(&output, Exit::Ok);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let predictions = Predictions::load(&workplace.path("run/predictions-test.safetensors"), Split::Test)
        .expect("readable");
    let label = predictions.labels.iter().position(|label| label == "Effusion").expect("of the fourteen");
    let rows = predictions.ids.iter().zip(predictions.logits.chunks(14)).zip(predictions.truth.chunks(14));
    let mut rows: Vec<_> =
        rows.map(|((id, logits), truth)| (logits[label], id.clone(), truth[label])).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (explained, (logit, id, truth)) in found.as_array().expect("a list").iter().zip(&rows) {
        assert_eq!(explained["image"], json!(id));
        let findings = explained["findings"].as_array().expect("a list");
        let finding = findings.iter().find(|finding| finding["label"] == "Effusion").expect("one of them");
        // As the run scored it, by another way to the same image.
        let same = finding["logit"].as_f64().expect("a number");
        assert!((same - logit).abs() < 1e-5, "{same} {logit}");
        let truly = explained["truth"].as_array().expect("known").contains(&json!("Effusion"));
        assert_eq!(truly, *truth == 1.0);
        assert!(workplace.path(explained["picture"].as_str().expect("a path")).is_file());
    }
    assert_eq!(found.as_array().map(Vec::len), Some(3));

    std::fs::rename(workplace.path("shards"), workplace.path("moved")).expect("ours");
    let moved = workplace.eval(&arguments);
    assert!(!moved.status.success() && stderr(&moved).contains("--data DIR"), "{}", stderr(&moved));
    let with_data = [&arguments[..], &["--data", "moved"]].concat();
    assert_exit(&workplace.eval(&with_data), Exit::Ok);

    // A record that was damaged since: its checksum says so.
    let shards =
        std::fs::read_dir(workplace.path("moved")).expect("readable").map(|entry| entry.expect("one").path());
    for shard in shards.filter(|path| path.to_string_lossy().ends_with(".tfrecord")) {
        let mut bytes = std::fs::read(&shard).expect("readable");
        // In every image, which begins as JPEG files do.
        let places: Vec<usize> =
            (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"\xff\xd8\xff")).collect();
        places.into_iter().for_each(|at| bytes[at + 40] ^= 1);
        std::fs::write(&shard, bytes).expect("writable");
    }
    let damaged = workplace.eval(&with_data);
    assert_exit(&damaged, Exit::BadData);
    assert!(stderr(&damaged).contains("checksum of the payload differs"), "{}", stderr(&damaged));
}

/// The best threshold of the test rows would be 0.2, and of them 0.5 calls one of two positives.
#[test]
fn thresholds_are_chosen_on_validation_and_reported_on_test() {
    let workplace = Workplace::empty();
    let rows = "split,Mass,score_Mass\nval,0,0.2\nval,1,0.8\n\
                test,1,0.9\ntest,0,0.6\ntest,1,0.3\ntest,0,0.1\ntest,0,0.05\n";
    std::fs::write(workplace.path("a.csv"), rows).expect("writable");
    let output = workplace.eval(&["score", "a.csv", "--format", "json"]);
    assert_exit(&output, Exit::Ok);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let label = &found["operating_points"]["labels"][0];
    assert!((label["threshold"].as_f64().expect("a threshold") - 0.5).abs() < 1e-6, "{label}");
    let calls = |name: &str| label["point"]["confusion"][name].as_u64().expect("a count");
    let names = ["true_positives", "false_positives", "true_negatives", "false_negatives"];
    assert_eq!(names.map(calls), [1, 1, 2, 1]);
}

#[test]
fn maps_are_scored_by_the_boxes_of_radiologists() {
    let workplace = Workplace::with_run();
    std::fs::create_dir_all(workplace.path("images/deep")).expect("writable");
    for (name, salt) in [("images/deep/a.png", 1), ("images/b.png", 2)] {
        let pixels = (0..1600).map(|at| ((at * salt) % 251) as u8).collect();
        let gray = GrayImage { width: 40, height: 40, pixels };
        std::fs::write(workplace.path(name), encode_png(&gray)).expect("writable");
    }
    // One box that holds all of an image, one that holds next to nothing of the other, one of an image elsewhere.
    let boxes = "Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Infiltrate,0,0,1024,1024\n\
                 b.png,Mass,-100,-100,1,1\nc.png,Mass,0,0,1024,1024\nb.png,Sunburn,0,0,1,1\n";
    std::fs::write(workplace.path("boxes.csv"), boxes).expect("writable");
    let arguments = ["point", "run", "--boxes", "boxes.csv", "--images", "images"];
    let json = workplace.eval(&[&arguments[..], &["--format", "json"]].concat());
    assert_exit(&json, Exit::Ok);
    let found: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let finding = |name: &str| {
        let findings = found["findings"].as_array().expect("a list");
        findings.iter().find(|finding| finding["label"] == name).expect("listed").clone()
    };
    assert_eq!((&finding("Infiltration")["hits"], &finding("Mass")["hits"]), (&json!(1), &json!(0)));
    assert_eq!(finding("Infiltration")["hits_of_chance"], 1.0);
    assert_eq!((&found["total"]["images"], &found["images_absent"]), (&json!(2), &json!(1)));
    assert_eq!(found["findings_unknown"], json!(["Sunburn"]));
    let text = stdout(&workplace.eval(&arguments));
    assert!(
        text.contains("image's middle") && text.contains("images with boxes that were not found: 1"),
        "{text}"
    );

    std::fs::create_dir_all(workplace.path("none")).expect("writable");
    let none = workplace.eval(&["point", "run", "--boxes", "boxes.csv", "--images", "none"]);
    assert_exit(&none, Exit::NothingMatches);
    assert!(stderr(&none).contains("has a box in boxes.csv"), "{}", stderr(&none));
}
