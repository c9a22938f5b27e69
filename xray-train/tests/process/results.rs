//! What a run leaves behind and prints.

use crate::workplace::{IMAGES, Workplace, assert_exit, stderr, stdout};
use xray_artifacts::{Exit, Predictions, Split};

#[test]
fn a_run_leaves_every_file_and_ends_with_a_table() {
    let workplace = Workplace::new();
    let output = workplace.run("run", &["--fraction", "0.5"]);
    assert_exit(&output, Exit::Ok);
    let text = stdout(&output);
    for part in ["95 % interval", "Hernia", "macro-AUC", "ignoring the image: 0.500", "run directory: run"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }

    let result = workplace.json("run/result.json");
    assert_eq!(
        (&result["format"], &result["state"], &result["exit"]),
        (&2.into(), &"finished".into(), &Exit::Ok.code().into())
    );
    assert_eq!(result["training"]["steps"], 12);
    let train = workplace.json("shards/dataset.json")["splits"]["train"]["images"].as_u64().expect("a count");
    assert_eq!(result["train_images"].as_u64(), Some((train as f64 * 0.5).round() as u64));
    for split in ["val", "test"] {
        let scores = &result["scores"][split];
        assert!(scores["micro_auc_baseline"].as_f64().expect("defined") > 0.6, "{split}");
        assert_eq!(scores["labels"].as_array().map(Vec::len), Some(14));
    }
    let seconds = &result["seconds"];
    let parts: f64 = ["data", "forward", "backward", "optimizer", "evaluation", "checkpoint"]
        .iter()
        .map(|part| seconds[part].as_f64().expect("a number"))
        .sum();
    let total = seconds["total"].as_f64().expect("a number");
    assert!(parts <= total && parts > 0.02 * total, "{seconds}");
    assert!(result["peak_memory_bytes"].as_u64().expect("Linux tells") > 1_000_000);

    let environment = workplace.json("run/env.json");
    assert_eq!(environment["backend"], "cpu");
    assert_eq!(workplace.json("run/status.json")["state"], "finished");
    let card = workplace.json("run/model/model.json");
    assert_eq!((&card["preprocessing"]["size"], &card["model"]["width"]), (&32.into(), &4.into()));
    let curve = std::fs::read_to_string(workplace.path("run/curve.svg")).expect("drawn");
    assert!(curve.starts_with("<svg") && !curve.contains("nothing to draw"), "{curve}");
    let lines = std::fs::read_to_string(workplace.path("run/metrics.jsonl")).expect("written");
    assert_eq!(lines.lines().filter(|line| line.contains("\"step\",")).count(), 12, "{lines}");
    assert_eq!(lines.lines().filter(|line| line.contains("\"evaluation\"")).count(), 3, "{lines}");
}

#[test]
fn predictions_cover_the_split_and_say_what_the_scores_say() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &[]), Exit::Ok);
    let predictions =
        Predictions::load(&workplace.path("run/predictions-test.safetensors"), Split::Test).expect("written");
    let test = workplace.json("shards/dataset.json")["splits"]["test"]["images"].as_u64().expect("a count");
    assert_eq!(predictions.ids.len() as u64, test);
    assert_eq!(predictions.patients.len() as u64, test);
    assert!(test < IMAGES);
    let scores = xray_metrics::Scores::new(&predictions.logits, &predictions.truth, 14).expect("finite");
    let result = workplace.json("run/result.json");
    for label in 0..14 {
        let auc = xray_metrics::auc(&scores.column(label));
        assert_eq!(auc, result["scores"]["test"]["labels"][label]["auc"].as_f64(), "label {label}");
    }
}

#[test]
fn threads_change_no_number() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("one", &[]), Exit::Ok);
    let one = workplace.fingerprint("one");
    // More than any machine of the tests has.
    for threads in ["2", "4", "16", "64"] {
        assert_exit(&workplace.run(threads, &["--threads", threads, "--cache", "none"]), Exit::Ok);
        one.assert_equals(&workplace.fingerprint(threads), &format!("threads 1 and {threads}"));
    }
    assert_exit(&workplace.run("other", &["--seed", "1"]), Exit::Ok);
    assert!(workplace.fingerprint("other") != one, "another seed must give another run");
}

#[test]
fn threads_change_no_number_of_any_network() {
    let workplace = Workplace::new();
    for network in xray_model::Architecture::ALL.map(|network| network.name()) {
        let run = |threads: &str| {
            let name = format!("{network}-{threads}");
            let arguments = format!(
                "--data shards --size 40 --batch-size 6 --steps 2 --cache none --model {network} --threads {threads} \
                 --run {name} --set training.bootstrap_resamples=50"
            );
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            assert_exit(&workplace.command(&arguments).output().expect("the binary starts"), Exit::Ok);
            workplace.fingerprint(&name)
        };
        let one = run("1");
        one.assert_equals(&run("64"), &format!("{network}, threads 1 and 64"));
    }
}

#[test]
fn a_finished_run_is_printed_again_and_not_trained_again() {
    let workplace = Workplace::new();
    let first = workplace.run("run", &["--format", "json"]);
    assert_exit(&first, Exit::Ok);
    let log = std::fs::read(workplace.path("run/train.log")).expect("written");
    let again = workplace.run("run", &["--format", "json"]);
    assert_exit(&again, Exit::Ok);
    let parse = |output| serde_json::from_str::<serde_json::Value>(&stdout(output)).expect("one JSON object");
    assert_eq!(parse(&first)["scores"], parse(&again)["scores"]);
    assert!(stderr(&again).contains("run is finished already"), "{}", stderr(&again));
    assert_eq!(std::fs::read(workplace.path("run/train.log")).expect("still there"), log);
}

#[test]
fn averaged_weights_and_each_schedule_train() {
    let workplace = Workplace::new();
    let check = |name: &str, more: &[&str]| {
        assert_exit(&workplace.run(name, more), Exit::Ok);
        assert!(workplace.json(&format!("{name}/result.json"))["scores"]["test"]["macro_auc"].is_number());
    };
    check("average", &["--set", "training.average_decay=0.9"]);
    check("cosine", &["--set", "schedule.shape=cosine", "--set", "schedule.warmup_steps=3"]);
    check("plateau", &["--set", "schedule.shape=plateau", "--set", "schedule.plateau_patience=0"]);
    check("disk", &["--cache", "disk"]);
}

/// Numbers that a change of code must not move unnoticed; processors round differently in the last bits.
#[test]
fn the_loss_trace_is_the_committed_one() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &[]), Exit::Ok);
    let text = std::fs::read_to_string(workplace.path("run/metrics.jsonl")).expect("written");
    let losses: Vec<f64> = text
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("a JSON line")["loss"].as_f64()
        })
        .collect();
    let committed: Vec<f64> =
        serde_json::from_str(include_str!("../golden/loss_trace.json")).expect("a list of numbers");
    assert_eq!(losses.len(), committed.len());
    for (step, (found, expected)) in losses.iter().zip(&committed).enumerate() {
        assert!(
            (found - expected).abs() < 1e-4 * expected,
            "step {step}: {found}, committed {expected}:\n{losses:?}"
        );
    }
}

#[test]
fn every_recipe_can_be_run() {
    let workplace = Workplace::new();
    let recipes = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
    let files = std::fs::read_dir(recipes).expect("the recipes").map(|file| file.expect("readable").path());
    let files: Vec<_> = files.collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let recipe = file.to_str().expect("text");
        let arguments = ["--config", recipe, "--data", "shards", "--dry-run"];
        let output = workplace.command(&arguments).output().expect("starts");
        assert_exit(&output, Exit::Ok);
        let text = std::fs::read_to_string(&file).expect("readable");
        for part in ["xray-train --config recipes/", "# Time: ", "# Score: "] {
            assert!(text.contains(part), "no `{part}` in {recipe}");
        }
    }
}

#[test]
fn a_dry_run_prints_settings_that_can_be_run() {
    let workplace = Workplace::new();
    let output = workplace.run("run", &["--dry-run"]);
    assert_exit(&output, Exit::Ok);
    assert!(!workplace.path("run").exists(), "a dry run writes nothing");
    let text = stdout(&output);
    assert!(text.contains("12 steps in all") && text.contains("parameters"), "{text}");
    std::fs::write(workplace.path("again.toml"), &text).expect("writable");
    let again = workplace.command(&["--config", "again.toml", "--dry-run"]).output().expect("starts");
    assert_exit(&again, Exit::Ok);
    assert_eq!(stdout(&again), text);
}
