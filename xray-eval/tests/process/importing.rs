//! `xray-eval import`: published models against what their own classes say (`golden/make_published.py`), and what becomes of
//! them.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Split};
use xray_image::{GrayImage, encode_png};
use xray_model::HostTensor;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn published() -> Value {
    serde_json::from_slice(&fs::read(golden("published.json")).expect("committed")).expect("JSON")
}

/// The picture of that number in `make_published.py`.
fn picture(number: u32, width: u32, height: u32) -> GrayImage {
    let pixel = |at: u32| {
        let (x, y) = (at % width, at / width);
        (x * x * (number + 2) / 16 + y * (5 + number) + (x * y) / 7) as u8
    };
    GrayImage { width, height, pixels: (0..width * height).map(pixel).collect() }
}

const SAME: [[u32; 2]; 3] = [[64, 64]; 3];
const WHOLE: [[u32; 2]; 4] = [[80, 61], [61, 80], [97, 97], [300, 200]];

/// Folders `same` and `whole` with these pictures.
fn pictures(workplace: &Workplace) {
    for (folder, sizes) in [("same", &SAME[..]), ("whole", &WHOLE[..])] {
        fs::create_dir_all(workplace.path(folder)).expect("writable");
        for (number, &[width, height]) in (0_u32..).zip(sizes) {
            let png = encode_png(&picture(number, width, height));
            fs::write(workplace.path(folder).join(format!("{number}.png")), png).expect("writable");
        }
    }
}

/// Eighteen outputs; the last but one has no name, and the file says that two others were never trained.
const LABELS: &str = "Atelectasis,Consolidation,Infiltration,Pneumothorax,Edema,Emphysema,Fibrosis,Effusion,Pneumonia,\
    Pleural_Thickening,Cardiomegaly,Nodule,Mass,Hernia,Lung Lesion,Fracture,,Enlarged Cardiomediastinum";

fn import(workplace: &Workplace, file: &Path, out: &str, more: &[&str]) -> std::process::Output {
    let file = file.to_string_lossy().into_owned();
    workplace.eval(&[&["import", &file, "--out", out][..], more].concat())
}

const XRV: [&str; 8] =
    ["--architecture", "densenet-121", "--width", "1", "--preprocessing", "torchxrayvision", "--size", "64"];
const IMAGENET: [&str; 8] =
    ["--architecture", "resnet18", "--width", "2", "--labels", "a,b,c", "--size", "64"];

fn imported(workplace: &Workplace, file: &str, out: &str, more: &[&str]) -> Value {
    let output = import(workplace, &golden(file), out, &[more, &["--format", "json"]].concat());
    assert_exit(&output, Exit::Ok);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The largest difference from what its own class says of the outputs at `places`.
fn largest_difference(
    workplace: &Workplace,
    bundle: &str,
    folder: &str,
    expected: &Value,
    places: &[usize],
) -> f64 {
    let output = workplace.eval(&["predict", bundle, folder, "--out", "found.csv", "--overwrite"]);
    assert_exit(&output, Exit::Ok);
    let mut table = csv::Reader::from_path(workplace.path("found.csv")).expect("written");
    let header = table.headers().expect("a header").clone();
    let logits: Vec<usize> = (0..header.len()).filter(|&at| header[at].starts_with("logit_")).collect();
    assert_eq!(logits.len(), places.len(), "{header:?}");
    let mut largest = 0.0_f64;
    for (row, expected) in table.records().zip(expected.as_array().expect("a list")) {
        let row = row.expect("a row");
        for (&column, &place) in logits.iter().zip(places) {
            let found: f64 = row[column].parse().expect("a number");
            largest = largest.max((found - expected[place].as_f64().expect("a number")).abs());
        }
    }
    largest
}

#[test]
fn torchxrayvisions_densenet_says_what_its_own_class_says() {
    let workplace = Workplace::empty();
    pictures(&workplace);
    let said = imported(
        &workplace,
        "torchxrayvision.safetensors",
        "xrv",
        &[&XRV[..], &["--labels", LABELS]].concat(),
    );
    assert_eq!((&said["left_out"], &said["thresholds"]), (&json!(3), &json!(15)));
    let notes = said["notes"].to_string();
    assert!(notes.contains("1 output without a name is left out"), "{notes}");
    assert!(notes.contains("Lung Lesion, Enlarged Cardiomediastinum are left out: never trained"), "{notes}");
    let card = workplace.json("xrv/model.json");
    assert_eq!(card["labels"].as_array().map(Vec::len), Some(15));
    assert_eq!(card["preprocessing"]["crop"], "center");
    assert_eq!(card["preprocessing"]["filter"], "gaussian");
    assert_eq!(card["provenance"]["imported"]["preprocessing"], "torchxrayvision");
    // The probability at which "positive" begins, as it was published; of 18 from 0.1 to 0.6 the second.
    let threshold = &card["thresholds"][1];
    let logit = threshold["logit"].as_f64().expect("a number");
    assert!((1.0 / (1.0 + (-logit).exp()) - (0.1 + 0.5 / 17.0)).abs() < 1e-6, "{threshold}");
    assert_eq!((&threshold["rule"], &threshold["fitted_on"]), (&json!("youden"), &Value::Null));

    let expected = &published()["torchxrayvision"];
    let kept: Vec<usize> = (0..18).filter(|at| ![14, 16, 17].contains(at)).collect();
    let same = largest_difference(&workplace, "xrv", "same", &expected["same"], &kept);
    assert!(same < 1e-4, "the same pixels: {same}");
    // What rounding to levels of gray does to these pictures, which are rougher than X-rays.
    let whole = largest_difference(&workplace, "xrv", "whole", &expected["whole"], &kept);
    assert!(whole < 4e-2, "its whole pipeline: {whole}");
}

#[test]
fn a_network_of_colour_images_is_prepared_for_as_torchvision_does() {
    let workplace = Workplace::empty();
    pictures(&workplace);
    let expected = &published()["imagenet"];
    for (preprocessing, whole) in [("imagenet-squashed", "squashed"), ("imagenet", "whole")] {
        let more = [&IMAGENET[..], &["--preprocessing", preprocessing]].concat();
        let said = imported(&workplace, "imagenet.pth", preprocessing, &more);
        assert_eq!(said["labels"], json!(["a", "b", "c"]));
        assert!(said["notes"].to_string().contains("fc.0 of the file is the last layer, fc"), "{said}");
        assert_eq!(workplace.json(&format!("{preprocessing}/model.json"))["model"]["channels"], 3);
        let found = largest_difference(&workplace, preprocessing, "whole", &expected[whole], &[0, 1, 2]);
        // Of one level of gray here and there, where Pillow rounds otherwise.
        assert!(found < 1e-2, "{preprocessing}: {found}");
        if preprocessing == "imagenet-squashed" {
            let same = largest_difference(&workplace, preprocessing, "same", &expected["same"], &[0, 1, 2]);
            assert!(same < 1e-4, "the same pixels: {same}");
        }
    }
}

#[test]
fn what_is_another_model_than_said_is_named_with_a_hint() {
    let workplace = Workplace::empty();
    let refused = |file: &Path, more: &[&str], exit: Exit, parts: &[&str]| {
        let output = import(&workplace, file, "out", more);
        assert_exit(&output, exit);
        let said = stderr(&output);
        for part in parts {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        assert!(!workplace.path("out").exists(), "nothing is written");
    };
    let xrv = golden("torchxrayvision.safetensors");
    let with = |labels: &'static str| [&XRV[..], &["--labels", labels]].concat();
    let mismatch = Exit::ModelMismatch;
    refused(
        &xrv,
        &with("Mass,Edema"),
        mismatch,
        &["the model has 18 outputs, and --labels names 2", "an empty name"],
    );
    refused(&xrv, &with(""), Exit::Usage, &["--labels names no finding"]);
    let twice = LABELS.replace("Nodule", "mass");
    let arguments = [&XRV[..], &["--labels", &twice]].concat();
    refused(&xrv, &arguments, Exit::Usage, &["--labels: the label `Mass` is named twice"]);
    let arguments = [&XRV[..], &["--labels", LABELS, "--channels", "3"]].concat();
    refused(&xrv, &arguments, mismatch, &["take images of 1 channel, but 3", "--channels 1"]);
    let mut arguments = [&XRV[..], &["--labels", LABELS]].concat();
    arguments[3] = "2";
    refused(&xrv, &arguments, mismatch, &["has shape [18, 32], this network needs [18, 64]", "--width"]);
    arguments[1] = "resnet-50";
    refused(
        &xrv,
        &arguments,
        mismatch,
        &["the weights are those of densenet-121", "--architecture densenet-121"],
    );
    let arguments = [&IMAGENET[..], &["--preprocessing", "torchxrayvision"]].concat();
    refused(
        &golden("imagenet.pth"),
        &arguments,
        mismatch,
        &["take images of 3 channels, but 1", "--channels 3"],
    );
    let mut weights = xray_model::read_weights(&xrv).expect("committed");
    weights.tensors.remove("features.denseblock2.denselayer3.conv2.weight");
    let lacking = workplace.path("lacking.safetensors");
    weights.save(&lacking, &[]).expect("writable");
    refused(
        &lacking,
        &with(LABELS),
        mismatch,
        &["lacking.safetensors", "`features.denseblock2.denselayer3.conv2.weight` is missing"],
    );
    let mut weights = xray_model::read_weights(&xrv).expect("committed");
    let none = HostTensor { shape: vec![18], values: vec![f32::NAN; 18] };
    weights.tensors.insert("op_threshs".to_owned(), none);
    weights.save(&lacking, &[]).expect("writable");
    refused(&lacking, &with(LABELS), Exit::BadData, &["no finding was ever trained"]);

    assert_exit(&import(&workplace, &xrv, "out", &with(LABELS)), Exit::Ok);
    let again = import(&workplace, &xrv, "out", &with(LABELS));
    assert_exit(&again, Exit::Usage);
    assert!(stderr(&again).contains("out/model.json is there already"), "{}", stderr(&again));
    assert_exit(&import(&workplace, &xrv, "out", &[&with(LABELS)[..], &["--overwrite"]].concat()), Exit::Ok);
}

/// A run's own weights, imported with its own preprocessing, are its model: what is made of them on the same data is what the
/// run makes of its own records. One finding bears another name.
#[test]
fn an_imported_model_is_calibrated_tried_and_exported_as_a_run_is() {
    let workplace = Workplace::with_run();
    let labels = workplace.predictions(Split::Test).labels;
    let renamed = labels.join(",").replace("Edema", "Lung water");
    let arguments = [
        "--architecture",
        "small-cnn",
        "--width",
        "4",
        "--preprocessing",
        "imagenet-squashed",
        "--channels",
        "1",
    ];
    let more = [&arguments[..], &["--size", "32", "--labels", &renamed]].concat();
    assert_exit(
        &import(&workplace, &workplace.path("run/model/model.safetensors"), "bundle", &more),
        Exit::Ok,
    );
    let (own, bundle) = (workplace.json("run/model/model.json"), workplace.json("bundle/model.json"));
    assert_eq!((&own["preprocessing"], &own["model"]), (&bundle["preprocessing"], &bundle["model"]));

    // Without data there is nothing to calibrate on.
    assert_exit(&workplace.eval(&["calibrate", "bundle"]), Exit::NothingMatches);
    let refused = workplace.eval(&["calibrate", "run", "--data", "shards"]);
    assert_exit(&refused, Exit::Usage);
    assert!(stderr(&refused).contains("calibrated on its own validation records"), "{}", stderr(&refused));
    assert_exit(&workplace.eval(&["calibrate", "run"]), Exit::Ok);
    let fitted = workplace.eval(&["calibrate", "bundle", "--data", "shards"]);
    assert_exit(&fitted, Exit::Ok);
    let said = stdout(&fitted);
    assert!(said.contains("Lung water: not calibrated, because the data do not have it"), "{said}");
    let (own, bundle) = (workplace.json("run/model/model.json"), workplace.json("bundle/model.json"));
    let edema = labels.iter().position(|label| label == "Edema").expect("one of the fourteen");
    for at in 0..labels.len() {
        if at == edema {
            assert_eq!(bundle["calibration"][at]["calibrator"], Value::Null);
            assert_eq!(bundle["thresholds"][at]["logit"], Value::Null);
            assert_eq!(bundle["thresholds"][at]["undefined"], "shards does not have this finding");
        } else {
            assert_eq!(bundle["calibration"][at], own["calibration"][at]);
            assert_eq!(bundle["thresholds"][at], own["thresholds"][at]);
        }
    }
    let mapped = ["calibrate", "bundle", "--data", "shards", "--map", "Lung water=Edema"];
    assert_exit(&workplace.eval(&mapped), Exit::Ok);
    let bundle = workplace.json("bundle/model.json");
    assert_eq!((&bundle["calibration"], &bundle["thresholds"]), (&own["calibration"], &own["thresholds"]));

    let external = |model: &str| {
        let arguments = ["run", model, "--data", "shards", "--split", "test", "--map", "Lung water=Edema"];
        let found = workplace.eval(
            &[&arguments[..if model == "run" { 6 } else { 8 }], &["--other-patients", "--format", "json"]]
                .concat(),
        );
        assert_exit(&found, Exit::Ok);
        let found: Value = serde_json::from_slice(&found.stdout).expect("JSON");
        found["appraisal"]["operating_points"]["labels"].clone()
    };
    let (mut of_bundle, of_run) = (external("bundle"), external("run"));
    of_bundle[edema]["label"] = json!("Edema");
    assert_eq!(of_bundle, of_run);

    // All digits need no data; fewer are measured on validation records.
    assert_exit(&workplace.eval(&["export", "bundle"]), Exit::Ok);
    let exported = fs::read(workplace.path("bundle/export/safetensors-f32/model.json")).expect("written");
    assert!(exported == fs::read(workplace.path("bundle/model.json")).expect("written"));
    let small = ["--to", "onnx", "--dtype", "f16", "--max-auc-drop", "1"];
    let refused = workplace.eval(&[&["export", "bundle"], &small[..]].concat());
    assert_exit(&refused, Exit::Usage);
    assert!(stderr(&refused).contains("a bundle has no data of its own"), "{}", stderr(&refused));
    assert_exit(&workplace.eval(&[&["export", "bundle", "--data", "shards"], &small[..]].concat()), Exit::Ok);
    assert_exit(&workplace.eval(&[&["export", "run"], &small[..]].concat()), Exit::Ok);
    let [of_bundle, of_run] =
        ["bundle", "run"].map(|of| workplace.json(&format!("{of}/export/onnx-f16/export.json")));
    // The finding that the data do not tell is not among those of the bundle.
    let without = |change: &Value| -> Vec<Value> {
        let labels = change["labels"].as_array().expect("a list");
        labels.iter().filter(|label| label["label"] != "Edema").cloned().collect()
    };
    assert_eq!(without(&of_bundle["change"]), without(&of_run["change"]));
    assert_eq!(of_bundle["change"]["records"], of_run["change"]["records"]);

    // A map of where the score comes from, by the folder of the bundle.
    fs::write(workplace.path("chest.png"), encode_png(&picture(1, 40, 40))).expect("writable");
    let explained =
        workplace.eval(&["explain", "bundle", "chest.png", "--label", "Lung water", "--out", "maps"]);
    assert_exit(&explained, Exit::Ok);
    assert!(workplace.path("maps/chest-Lung water.png").is_file());
}
