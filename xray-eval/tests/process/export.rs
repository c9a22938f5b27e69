//! `xray-eval export`.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use serde_json::Value;
use xray_artifacts::{Exit, read_json, write_json};
use xray_bundle::Card;
use xray_image::{GrayImage, encode_png};
use xray_model::StateDict;

fn bytes(workplace: &Workplace, name: &str) -> Vec<u8> {
    std::fs::read(workplace.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn a_bundle_in_all_digits_is_the_runs_own() {
    let workplace = Workplace::with_run();
    // The data are not needed for it.
    std::fs::rename(workplace.path("shards"), workplace.path("elsewhere")).expect("movable");
    let found = workplace.eval(&["export", "run"]);
    assert_exit(&found, Exit::Ok);
    assert!(
        stdout(&found).starts_with("run/export/safetensors-f32/model.safetensors: "),
        "{}",
        stdout(&found)
    );
    for name in ["model.safetensors", "model.json"] {
        let exported = format!("run/export/safetensors-f32/{name}");
        assert!(bytes(&workplace, &exported) == bytes(&workplace, &format!("run/model/{name}")), "{name}");
    }
}

#[test]
fn fewer_digits_are_measured_on_validation_and_refused_past_the_bound() {
    let workplace = Workplace::with_run();
    let found =
        workplace.eval(&["export", "run", "--dtype", "int8", "--out", "small", "--max-auc-drop", "1"]);
    assert_exit(&found, Exit::Ok);
    let text = stdout(&found);
    assert!(text.contains("AUC as trained") && text.contains("validation records"), "{text}");
    let told = workplace.json("small/export.json");
    let val = &workplace.json("run/result.json")["scores"]["val"];
    assert_eq!(told["change"]["labels"][0]["auc_before"], val["labels"][0]["auc"]);
    assert!(told["bytes"].as_u64() < told["trained_bytes"].as_u64(), "{told}");
    let change = told["change"]["largest_logit_change"].as_f64().expect("a number");
    assert!(change > 0.0 && change < 0.5, "{change}");
    let integers = &told["integers"];
    assert_eq!(integers["calibrated_on"], "val");
    assert!(integers["images"].as_u64().is_some_and(|images| images > 0), "{told}");
    assert_eq!(&workplace.json("small/model.json")["integers"], integers, "the card says so");
    assert!(text.contains("computed in integers on the CPU"), "{text}");

    // Nothing falls by less than nothing.
    let refused = workplace.eval(&["export", "run", "--dtype", "int8", "--out", "none", "--max-auc-drop=-1"]);
    assert_exit(&refused, Exit::ModelMismatch);
    let said = stderr(&refused);
    assert!(said.contains("in int8 the validation AUC of ") && said.contains("--dtype f16"), "{said}");
    assert!(!workplace.path("none").exists());

    // What was exported is a bundle: weights are read as numbers again.
    let weights = StateDict::load(&workplace.path("small/model.safetensors")).expect("one byte a weight");
    let trained = StateDict::load(&workplace.path("run/model/model.safetensors")).expect("a bundle");
    let more: Vec<_> = weights.tensors.keys().filter(|name| !trained.tensors.contains_key(*name)).collect();
    assert_eq!(more, ["activation_ranges"], "which readers of weights alone refuse");
    let gray = GrayImage { width: 40, height: 40, pixels: (0..1600).map(|at| (at % 251) as u8).collect() };
    std::fs::write(workplace.path("chest.png"), encode_png(&gray)).expect("writable");
    let logits = |run: &str| {
        let said = workplace.eval(&["explain", run, "chest.png", "--out", "maps", "--format", "json"]);
        assert_exit(&said, Exit::Ok);
        let found: Value = serde_json::from_slice(&said.stdout).expect("JSON");
        found[0]["findings"][0]["logit"].as_f64().expect("a number")
    };
    std::fs::create_dir_all(workplace.path("served")).expect("writable");
    std::fs::rename(workplace.path("small"), workplace.path("served/model")).expect("movable");
    assert!((logits("run") - logits("served")).abs() < 0.5);
}

/// Weights whose scores overflow are finite, and their checksum is right.
#[test]
fn a_model_whose_scores_overflow_is_exported_in_no_digits() {
    let workplace = Workplace::with_run();
    let weights = workplace.path("run/model/model.safetensors");
    let mut huge = StateDict::load(&weights).expect("a bundle");
    huge.tensors.get_mut("classifier.weight").expect("a tensor of the network").values.fill(f32::MAX);
    huge.tensors.get_mut("classifier.bias").expect("a tensor of the network").values.fill(f32::MAX);
    let sum = huge.save(&weights, &[("format", "pt".to_owned())]).expect("writable");
    let card = workplace.path("run/model/model.json");
    let mut changed: Card = read_json(&card).expect("a bundle");
    changed.weights = sum;
    write_json(&card, &changed).expect("writable");
    let overflow = "scores of a test picture are not finite";
    for (to, dtype, part) in [
        ("safetensors", "f32", overflow),
        ("onnx", "f32", overflow),
        ("safetensors", "int8", "the score is NaN"),
    ] {
        let refused = workplace.eval(&["export", "run", "--to", to, "--dtype", dtype, "--out", "huge"]);
        let said = stderr(&refused);
        assert!(!refused.status.success() && said.contains(part), "{to} {dtype}: {said}");
        assert!(!workplace.path("huge").exists(), "{to} {dtype}: nothing is written");
    }
}

#[test]
fn data_that_moved_are_asked_for_and_other_data_refused() {
    let workplace = Workplace::with_run();
    std::fs::rename(workplace.path("shards"), workplace.path("moved")).expect("movable");
    let absent = workplace.eval(&["export", "run", "--to", "onnx", "--dtype", "f16"]);
    assert!(!absent.status.success());
    let said = stderr(&absent);
    assert!(said.contains("scored on validation first") && said.contains("--data DIR"), "{said}");
    let moved = workplace.eval(&["export", "run", "--to", "onnx", "--dtype", "f16", "--data", "moved"]);
    assert_exit(&moved, Exit::Ok);
    assert!(workplace.path("run/export/onnx-f16/model.onnx").exists());
    assert!(workplace.path("run/export/onnx-f16/model.json").exists());

    let other = Workplace::of(120);
    std::fs::rename(other.path("shards"), workplace.path("other")).expect("movable");
    let refused = workplace.eval(&["export", "run", "--dtype", "f16", "--data", "other"]);
    assert_exit(&refused, Exit::ModelMismatch);
    assert!(stderr(&refused).contains("other data than this run's"), "{}", stderr(&refused));
}

#[test]
fn an_operator_set_that_cannot_be_written_is_a_usage_error() {
    let workplace = Workplace::empty();
    let refused = workplace.eval(&["export", "run", "--to", "onnx", "--opset", "7"]);
    assert_exit(&refused, Exit::Usage);
    assert!(stderr(&refused).contains("13 to 21 can be written"), "{}", stderr(&refused));
    let refused = workplace.eval(&["export", "run", "--dtype", "int4"]);
    assert_exit(&refused, Exit::Usage);
    assert!(stderr(&refused).contains("f32, f16, int8"), "{}", stderr(&refused));
    assert_exit(&workplace.eval(&["export", "run"]), Exit::NothingMatches);
}
