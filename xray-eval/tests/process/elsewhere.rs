//! `xray-eval run --data`: a model on another data set.

use crate::prediction::{gzip, tar_of};
use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::{Value, json};
use std::fs;
use xray_artifacts::{Exit, Split};
use xray_data::build::{BuildConfig, build};
use xray_data::sources::synthetic;
use xray_image::{SynthConfig, encode_png, synthesise};

fn json(workplace: &Workplace, arguments: &[&str]) -> Value {
    let output = workplace.eval(&[arguments, &["--format", "json"]].concat());
    assert_exit(&output, Exit::Ok);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The model's own test records are another data set whose figures are known: those of the run.
#[test]
fn on_the_models_own_test_records_nothing_differs() {
    let workplace = Workplace::with_run();
    let alone = json(&workplace, &["run", "run"]);
    let arguments = ["run", "run", "--data", "shards", "--split", "test", "--other-patients"];
    let found = json(&workplace, &arguments);
    assert_eq!(found["appraisal"]["test"], alone["test"]);
    assert_eq!(found["appraisal"]["operating_points"], alone["operating_points"]);
    assert_eq!(found["appraisal"]["reliability"], alone["reliability"]);
    assert_eq!(found["appraisal"]["metadata_baseline"], alone["metadata_baseline"]);
    assert_eq!(found["carried_from"], "the run's own validation records");
    let macro_auc = &found["macro_auc"];
    assert_eq!(macro_auc["a"], alone["test"]["macro_auc"]);
    assert_eq!((&macro_auc["difference"], &macro_auc["b"]), (&json!(0.0), &macro_auc["a"]));
    for (at, label) in found["beside"].as_array().expect("a list").iter().enumerate() {
        assert_eq!(label["auc"]["a"], alone["test"]["labels"][at]["auc"]);
        assert_eq!(label["calibration"], label["own_calibration"]);
        for figure in ["auc", "sensitivity", "specificity", "ppv", "npv"] {
            assert_eq!(label[figure]["a_interval"], label[figure]["b_interval"], "{figure}");
            assert!(
                label[figure]["difference"].as_f64().is_none_or(|difference| difference == 0.0),
                "{label}"
            );
        }
        let [expected, ppv] = [&label["ppv_expected"], &label["ppv"]["b"]].map(Value::as_f64);
        if let (Some(expected), Some(ppv)) = (expected, ppv) {
            assert!((expected - ppv).abs() < 1e-9, "{label}");
        }
    }

    // What the card says is carried over, and --rule chooses on the run's own validation records again.
    let rule = ["--rule", "sensitivity>=0.9"];
    assert_exit(&workplace.eval(&[&["calibrate", "run"][..], &rule].concat()), Exit::Ok);
    let (chosen, card) =
        (json(&workplace, &[&["run", "run"][..], &rule].concat()), json(&workplace, &arguments));
    assert_eq!(card["carried_from"], "the model's card");
    let point = |of: &Value, at: usize| of["operating_points"]["labels"][at]["point"].clone();
    for at in 0..14 {
        assert_eq!(point(&card["appraisal"], at)["confusion"], point(&chosen, at)["confusion"]);
        assert_eq!(card["appraisal"]["reliability"][at], chosen["reliability"][at]);
    }
    let youden = json(&workplace, &[&arguments[..], &["--rule", "youden"]].concat());
    assert_eq!(youden["appraisal"]["operating_points"], alone["operating_points"]);

    // A bundle knows what its card says.
    let bundle = json(&workplace, &["run", "run/model", "--data", "shards", "--split", "test"]);
    assert_eq!(
        bundle["appraisal"]["operating_points"]["labels"],
        card["appraisal"]["operating_points"]["labels"]
    );
    for (bundle, run) in
        bundle["beside"].as_array().expect("a list").iter().zip(card["beside"].as_array().expect("a list"))
    {
        assert_eq!(bundle["auc"], run["auc"]);
        assert_eq!(
            (&bundle["sensitivity"]["a"], &bundle["own_calibration"]),
            (&run["sensitivity"]["a"], &Value::Null)
        );
    }
    assert_eq!(bundle["macro_auc"], card["macro_auc"]);
    assert!(
        bundle["notes"][0]
            .as_str()
            .is_some_and(|note| note.starts_with("a bundle does not name its training patients"))
    );
    let refused = workplace.eval(&["run", "run/model", "--data", "shards", "--rule", "youden"]);
    assert_exit(&refused, Exit::Usage);
}

#[test]
fn a_patient_in_both_sets_is_an_error_and_so_is_one_who_was_learned_from() {
    let workplace = Workplace::with_run();
    for split in ["train", "val", "test"] {
        let output = workplace.eval(&["run", "run", "--data", "shards", "--split", split]);
        assert_exit(&output, Exit::BadData);
        let said = stderr(&output);
        assert!(said.contains("in both sets, such as `") && said.contains("--other-patients"), "{said}");
    }
    fs::rename(workplace.path("shards"), workplace.path("moved")).expect("writable");
    let output = workplace.eval(&["run", "run", "--data", "moved", "--split", "train"]);
    assert_exit(&output, Exit::Ok);
    assert!(
        stdout(&output).contains("note: the model's training patients are not known here"),
        "{}",
        stdout(&output)
    );
}

/// Another hospital: a folder of pictures with a table of its own words. `Growth` is `Mass`, what is called `Fracture` is
/// nothing that the model knows.
fn hospital(workplace: &Workplace) -> usize {
    let folder = workplace.path("images/2024");
    fs::create_dir_all(&folder).expect("writable");
    let config = SynthConfig { images: 60, size: 40, seed: 9, ..SynthConfig::default() };
    let mut table = "file,subject,Growth,effusion,Fracture,sex\n".to_owned();
    for (number, drawn) in synthesise(&config).enumerate() {
        fs::write(folder.join(format!("x{number}.png")), encode_png(&drawn.image)).expect("writable");
        let [growth, effusion] = [number % 4 == 0, number % 3 == 0].map(u8::from);
        table += &format!("x{number}.png,{}.0,{growth},{effusion},{},F\n", 900 + number / 2, number % 2);
    }
    fs::write(folder.join("broken.png"), "<html>").expect("writable");
    fs::write(folder.join("untold.png"), "<html>").expect("writable");
    table += "broken.png,990.0,1,0,0,F\ngone.png,991.0,1,0,0,M\n";
    fs::write(workplace.path("truth.csv"), table).expect("writable");
    60
}

const TABLE: [&str; 8] = [
    "--truth",
    "truth.csv",
    "--labels",
    "Growth,effusion,Fracture",
    "--patient-column",
    "subject",
    "--data",
    "images",
];

#[test]
fn labels_are_matched_by_name_and_map_and_the_others_are_listed() {
    let workplace = Workplace::with_run();
    let images = hospital(&workplace);
    let arguments = [&["run", "run", "--map", "Mass=Growth"][..], &TABLE].concat();
    let found = json(&workplace, &arguments);
    let pairs = json!([{ "model": "Effusion", "data": "effusion" }, { "model": "Mass", "data": "Growth" }]);
    assert_eq!(found["labels"]["matched"], pairs);
    assert_eq!(found["labels"]["data_only"], json!(["Fracture"]));
    assert_eq!(found["labels"]["model_only"].as_array().map(Vec::len), Some(12));
    assert_eq!((&found["unread"], &found["appraisal"]["test"]["records"]), (&json!(1), &json!(images)));
    assert_eq!(found["appraisal"]["test_patients"], images / 2);
    assert_eq!(found["beside"][1]["prevalence"]["b"], 0.25);
    let notes = found["notes"].to_string();
    for part in
        ["`75.0` are taken for `75`", "1 row without an image file", "1 image without a row in the table"]
    {
        assert!(notes.contains(part), "no `{part}` in {notes}");
    }
    // The scores are those of `predict`.
    assert_exit(&workplace.eval(&["predict", "run", "images", "--out", "p.csv"]), Exit::Ok);
    let mut reader = csv::Reader::from_path(workplace.path("p.csv")).expect("written");
    let header = reader.headers().expect("a header").clone();
    let place = |name: &str| header.iter().position(|column| column == name).expect(name);
    let (id, logit, error) = (place("id"), place("logit_Mass"), place("error"));
    let rows = reader.records().map(|row| row.expect("a row")).filter(|row| row[error].is_empty());
    let mut scores = "id,patient,Mass,score_Mass\n".to_owned();
    for row in rows {
        let number: usize = row[id].trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number");
        scores +=
            &format!("{},{},{},{}\n", &row[id], number / 2, u8::from(number.is_multiple_of(4)), &row[logit]);
    }
    fs::write(workplace.path("scores.csv"), scores).expect("writable");
    let scored = json(&workplace, &["score", "scores.csv", "--scores", "logits"]);
    let figures = ["auc", "auc_interval", "average_precision", "positives", "unknown"];
    for figure in figures {
        assert_eq!(
            found["appraisal"]["test"]["labels"][1][figure], scored["test"]["labels"][0][figure],
            "{figure}"
        );
    }
    for label in found["beside"].as_array().expect("a list") {
        let auc = &label["auc"];
        let of = |key: &str, end: usize| auc[key][end].as_f64();
        let Some(own) = of("a_interval", 0) else {
            assert_eq!(auc["interval"], Value::Null, "{auc}");
            continue;
        };
        // Zou and Donner's ends, of those of the two.
        let value = |key: &str| auc[key].as_f64().expect("defined");
        let down = (value("b") - of("b_interval", 0).expect("there are enough"))
            .hypot(of("a_interval", 1).expect("both") - value("a"));
        let up = (of("b_interval", 1).expect("both") - value("b")).hypot(value("a") - own);
        let [low, high] = [0, 1].map(|end| of("interval", end).expect("both have one"));
        let difference = value("b") - value("a");
        assert!((low - (difference - down)).abs() < 1e-9 && (high - (difference + up)).abs() < 1e-9, "{auc}");
    }

    let text = stdout(&workplace.eval(&arguments));
    for part in [
        "labels of both: Effusion (there: effusion), Mass (there: Growth)",
        "only the model's, not evaluated: Atelectasis",
        "only the data's, not predicted: Fracture",
        "left out: 1 image that cannot be read",
        "Operating points carried over from the run's own validation records (youden), never fitted on the new records",
        "expected, other",
        "Calibration drift; probabilities carried over from",
        "On the new records alone",
        "of training prevalence",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

/// Packs the hospital's pictures.
fn pack(workplace: &Workplace) {
    let folder = fs::read_dir(workplace.path("images/2024")).expect("there");
    let packed = folder.map(|entry| {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (format!("2024/{name}"), fs::read(&path).expect("readable"))
    });
    let files: Vec<_> = packed.collect();
    fs::write(workplace.path("images.tar.gz"), gzip(&tar_of(&files))).expect("writable");
}

fn table_of(data: &'static str) -> [&'static str; 8] {
    TABLE.map(|word| if word == "images" { data } else { word })
}

/// A tar.gz is read once, from front to back, and its images have the figures of the folder's.
#[test]
fn a_tar_gz_is_the_folder_that_was_packed() {
    let workplace = Workplace::with_run();
    hospital(&workplace);
    pack(&workplace);
    let on =
        |data| json(&workplace, &[&["run", "run", "--map", "Mass=Growth"][..], &table_of(data)].concat());
    let (folder, archive) = (on("images"), on("images.tar.gz"));
    for figures in ["beside", "macro_auc", "unread", "labels"] {
        assert_eq!(archive[figures], folder[figures], "{figures}");
    }
    assert_eq!(archive["appraisal"]["test"], folder["appraisal"]["test"]);
}

#[test]
fn a_bundle_is_calibrated_on_a_tar_gz_as_on_the_folder() {
    let workplace = Workplace::with_run();
    hospital(&workplace);
    pack(&workplace);
    let table = fs::read_to_string(workplace.path("truth.csv")).expect("there");
    let split = |(line, text): (usize, &str)| match line {
        0 => format!("{text},split\n"),
        _ => format!("{text},{}\n", if (line - 1) / 2 % 3 == 0 { "test" } else { "val" }),
    };
    fs::write(workplace.path("truth.csv"), table.lines().enumerate().map(split).collect::<String>())
        .expect("writable");
    let labels = workplace.predictions(Split::Test).labels;
    let calibrated = |data| {
        let bundle = format!("of-{data}");
        fs::create_dir(workplace.path(&bundle)).expect("writable");
        for file in ["model.json", "model.safetensors"] {
            let from = workplace.path("run/model").join(file);
            fs::copy(from, workplace.path(&bundle).join(file)).expect("a bundle");
        }
        let arguments = [&["calibrate", &bundle, "--map", "Mass=Growth"][..], &table_of(data)].concat();
        assert_exit(&workplace.eval(&arguments), Exit::Ok);
        let card = workplace.json(&format!("{bundle}/model.json"));
        ["Mass", "Effusion"].map(|name| {
            let at = labels.iter().position(|label| label == name).expect("one of the fourteen");
            [card["thresholds"][at].clone(), card["calibration"][at].clone()]
        })
    };
    let (folder, archive) = (calibrated("images"), calibrated("images.tar.gz"));
    assert!(folder.iter().all(|[threshold, _]| threshold["logit"].is_number()), "{folder:?}");
    assert_eq!(archive, folder);
}

#[test]
fn a_map_or_a_table_that_cannot_be_is_named() {
    let workplace = Workplace::with_run();
    hospital(&workplace);
    fs::write(workplace.path("map.csv"), "model,data\nMass,Growth\nNodule,growth\n").expect("writable");
    let check = |more: &[&str], exit: Exit, part: &str| {
        let output = workplace.eval(&[&["run", "run"][..], more, &TABLE].concat());
        assert_exit(&output, exit);
        let said = stderr(&output);
        assert!(said.contains(part) && said.contains("hint: "), "{said}");
    };
    check(
        &["--map", "map.csv"],
        Exit::BadData,
        "map.csv line 3: `growth` is named twice, first in map.csv line 2",
    );
    check(
        &["--map", "Effusions=Growth"],
        Exit::BadData,
        "the model has no label `Effusions`; nearest is `Effusion`",
    );
    check(&["--split", "val"], Exit::NothingMatches, "nothing in images is in the val split");
    check(&["--recalibrate-on", "val"], Exit::NothingMatches, "nothing in images is in the val split");
    let table = fs::read_to_string(workplace.path("truth.csv")).expect("there");
    fs::write(workplace.path("truth.csv"), format!("{table}x3.png,901,0,1,1,F\n")).expect("writable");
    check(&[], Exit::BadData, "truth.csv line 64");
    fs::write(workplace.path("truth.csv"), table.replace(",effusion,", ",effusions,")).expect("writable");
    check(&[], Exit::BadData, "no column `effusion`");
}

/// The other set has validation records, on which calibrations are fitted when that is asked for: thresholds stay.
#[test]
fn a_recalibration_is_a_choice_that_is_said() {
    let workplace = Workplace::with_run();
    let images = SynthConfig { images: 400, size: 32, seed: 77, ..SynthConfig::default() };
    let config = BuildConfig {
        seed: 5,
        split: xray_data::split::SplitPlan::Patients { val: 0.5, test: 0.4 },
        ..BuildConfig::default()
    };
    build(&synthetic::read(&images), &config, &workplace.path("other"), &|| ()).expect("a writable folder");
    let data = ["run", "run", "--data", "other", "--other-patients"];
    let (carried, fitted) =
        (json(&workplace, &data), json(&workplace, &[&data[..], &["--recalibrate-on", "val"]].concat()));
    assert_eq!(carried["recalibrated_on"], Value::Null);
    assert_eq!(fitted["recalibrated_on"], "val");
    let records = |found: &Value| found["appraisal"]["test"]["records"].as_u64().expect("a count");
    assert_eq!(records(&carried), 400);
    assert!(records(&fitted) < 260, "the records that teach are not reported on");
    let threshold =
        |found: &Value, at: usize| found["appraisal"]["operating_points"]["labels"][at]["threshold"].clone();
    let changed = (0..14).filter(|&at| {
        assert_eq!(threshold(&carried, at), threshold(&fitted, at), "thresholds stay");
        carried["appraisal"]["reliability"][at]["support"]
            != fitted["appraisal"]["reliability"][at]["support"]
    });
    assert!(changed.count() > 0, "{fitted}");
    assert_eq!(fitted["beside"][0]["own_calibration"], carried["beside"][0]["own_calibration"]);
    let text = stdout(&workplace.eval(&[&data[..], &["--recalibrate-on", "val"]].concat()));
    assert!(text.contains("RECALIBRATED, as asked, on the val split of the other data"), "{text}");
    let own = workplace.predictions(Split::Test);
    assert!(
        text.contains("patients of the two sets are taken for different people") && !own.ids.is_empty(),
        "{text}"
    );
}
