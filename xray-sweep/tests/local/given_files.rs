//! Files that settings name: part of a cell by what they hold, sent with its job, and known when they are damaged.

use crate::planning::snapshot;
use crate::workplace::{Workplace, assert_exit, stderr};
use polars::prelude::{DataFrame, ParquetReader, SerReader};
use serde_json::Value;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xray_artifacts::{ContentName, Exit};

const ONCE: [&str; 4] = ["--fractions", "1", "--trials", "1"];

/// The settings of the trainer that name files, by its own word: what holds for one holds for all.
pub(crate) fn settings(workplace: &Workplace) -> Vec<String> {
    let output = workplace.train(&["--resolve"]);
    let header = output.stdout.split(|byte| *byte == b'\n').next().expect("a line");
    let header: Value = serde_json::from_slice(header).expect("JSON");
    let keys: Vec<_> = header["files"].as_array().expect("a list").iter().map(|key| key.as_str()).collect();
    assert!(keys.contains(&Some("fine_tuning.weights")), "{keys:?}");
    keys.into_iter().map(|key| key.expect("a text").to_owned()).collect()
}

fn write(workplace: &Workplace, name: &str, content: &str) {
    fs::write(workplace.path(name), content).expect("writable");
}

/// The name of what a file of the workplace holds.
fn name(workplace: &Workplace, file: &str) -> String {
    ContentName::of(&workplace.path(file)).expect("readable").0.to_string()
}

#[test]
fn the_content_of_a_file_is_part_of_a_cell_and_its_name_is_not() {
    let Some(workplace) = Workplace::new() else { return };
    for (file, content) in [("a.bin", "one"), ("b.bin", "one"), ("c.bin", "two")] {
        write(&workplace, file, content);
    }
    let plan = |dir: &str, more: &[&str]| workplace.plan(dir, "3", &[&ONCE[..], more].concat());
    assert_exit(&plan("plain", &[]), Exit::Ok);
    let plain = snapshot(&workplace.path("plain"));
    for key in settings(&workplace) {
        let id = |value: &str| {
            let dir = format!("{key}-{value}");
            assert_exit(&plan(&dir, &["--set", &format!("{key}={value}")]), Exit::Ok);
            workplace.id(&dir, 0)
        };
        let of_one = id("a.bin");
        assert_eq!(id("b.bin"), of_one, "{key}: another name");
        assert_ne!(id("c.bin"), of_one, "{key}: another content");
        assert_eq!(id("none"), workplace.id("plain", 0), "{key}");

        // Nothing but `sweep.toml` and the summary says what the file was called.
        let dir = format!("{key}-a.bin");
        let copy = name(&workplace, "a.bin");
        assert_eq!(fs::read(workplace.path(&dir).join("bin").join(&copy)).expect("a copy"), b"one");
        let config = fs::read_to_string(workplace.cell_file(&dir, &of_one, "config.toml")).expect("written");
        assert!(config.contains(&format!("\"{copy}\"")) && !config.contains("a.bin"), "{config}");
        let spec = fs::read_to_string(workplace.path(&dir).join("sweep.toml")).expect("written");
        assert!(spec.contains("= \"a.bin\""), "as it was given: {spec}");

        // Sweeps without files have submit files as before there were any.
        let without = snapshot(&workplace.path(&format!("{key}-none")));
        for file in ["sweep.sub", "cells.csv"] {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&format!("{key}-none"), "plain");
            assert_eq!(text(&without[file]), text(&plain[file]), "{key}: {file}");
        }
    }
}

#[test]
fn files_are_an_axis_and_every_job_is_sent_its_own() {
    let Some(workplace) = Workplace::new() else { return };
    for (file, content) in [("a.bin", "one"), ("b.bin", "one"), ("c.bin", "two")] {
        write(&workplace, file, content);
    }
    for key in settings(&workplace) {
        let axis = |values: &str| ["--axis".to_owned(), format!("{key}={values}")];
        let plan = |dir: &str, values: &str| {
            workplace.plan(dir, "3", &[&ONCE[..], &axis(values).each_ref().map(String::as_str)].concat())
        };
        let planned = plan(&key, "a.bin,c.bin,none");
        assert_exit(&planned, Exit::Ok);
        let summary = String::from_utf8_lossy(&planned.stdout).into_owned();
        assert!(summary.contains("  file      a.bin: 0.0 MiB, bin/blake3-"), "{summary}");
        assert!(summary.contains(" MB to each job, "), "{summary}");

        let submit = fs::read_to_string(workplace.path(&key).join("sweep.sub")).expect("written");
        assert!(submit.contains("= config.toml, run$($(files)), $($(shards))\n"), "{submit}");
        let rows = fs::read_to_string(workplace.path(&key).join("cells.csv")).expect("written");
        for (cell, file) in workplace.cells(&key).iter().zip(["a.bin", "c.bin", "none"]) {
            assert_eq!(cell["axes"][&key], file, "as it was given");
            let id = cell["id"].as_str().expect("a text");
            let row = rows.lines().find(|row| row.starts_with(id)).expect("a row");
            let list = row.rsplit(',').next().expect("a column");
            let sent = match file {
                "none" => String::new(),
                _ => format!(", ../../bin/{}", name(&workplace, file)),
            };
            assert!(submit.contains(&format!("\n{list} = {sent}\n")), "{list}: {submit}");
            assert_eq!(cell["files"][&key]["given"], if file == "none" { Value::Null } else { file.into() });
        }

        let refused = plan("refused", "a.bin,b.bin");
        assert_exit(&refused, Exit::Usage);
        let said = stderr(&refused);
        assert!(said.contains("give the same run") && said.contains("b.bin"), "{said}");
        let refused = plan("refused", "a.bin,absent.bin");
        assert_exit(&refused, Exit::Usage);
        let said = stderr(&refused);
        assert!(
            said.contains(&format!("error: {key}: /")) && said.contains("absent.bin is not there"),
            "{said}"
        );
        let refused = plan("refused", "shards");
        assert_exit(&refused, Exit::Usage);
        assert!(stderr(&refused).contains("shards is not a regular file"), "{}", stderr(&refused));
    }
}

#[test]
fn a_file_that_changed_is_not_mixed_with_what_it_was_and_one_that_is_gone_is_not_needed() {
    let Some(workplace) = Workplace::new() else { return };
    for key in settings(&workplace) {
        let setting = format!("{key}=w.bin");
        write(&workplace, "w.bin", "one");
        assert_exit(&workplace.plan(&key, "3", &[&ONCE[..], &["--set", &setting]].concat()), Exit::Ok);
        let planned = snapshot(&workplace.path(&key));
        let old = workplace.id(&key, 0);

        // The cells that are planned have the copy; more of them would have the other content under the same name.
        write(&workplace, "w.bin", "two, and longer");
        let more = ["plan", &key, "--no-pool", "--fractions", "0.5,1"];
        let refused = workplace.sweep(&more);
        assert_exit(&refused, Exit::DamagedFile);
        let said = stderr(&refused);
        assert!(said.contains(&format!("{key}: the content of /")) && said.contains("--replace"), "{said}");
        assert_eq!(planned, snapshot(&workplace.path(&key)), "nothing is planned");

        let replaced = workplace.sweep(&[&more[..3], &["--replace"]].concat());
        assert_exit(&replaced, Exit::Ok);
        let said = stderr(&replaced);
        assert!(said.contains("1 cell of other code or files left the sweep"), "{said}");
        assert_ne!(workplace.id(&key, 0), old);
        assert!(workplace.cell_file(&key, &old, "config.toml").exists(), "what was planned before stays");

        fs::remove_file(workplace.path("w.bin")).expect("written");
        let grown = workplace.sweep(&more);
        assert_exit(&grown, Exit::Ok);
        let said = stderr(&grown);
        assert!(said.contains("w.bin is gone; its planned copy is used"), "{said}");
        assert_eq!(workplace.cells(&key).len(), 2);

        // Folders are made again with the copy's name, also without the file.
        let id = workplace.id(&key, 1);
        let config = workplace.cell_file(&key, &id, "config.toml");
        let text = fs::read(&config).expect("planned");
        fs::remove_dir_all(workplace.path(&key).join("cells").join(&id)).expect("planned");
        let again = workplace.sweep(&more[..3]);
        assert_exit(&again, Exit::Ok);
        assert_eq!(fs::read(&config).expect("made again"), text);
    }
}

#[test]
fn a_damaged_copy_is_named_before_a_job_starts_and_planning_again_mends_it() {
    let Some(workplace) = Workplace::new() else { return };
    for key in settings(&workplace) {
        write(&workplace, "w.bin", "whole and good");
        let (setting, none) = (format!("{key}=w.bin"), format!("{key}=none"));
        let more = [&ONCE[..], &["--set", &setting]].concat();
        assert_exit(&workplace.plan(&key, "3", &more), Exit::Ok);
        let planned = snapshot(&workplace.path(&key));
        let copy = workplace.path(&key).join("bin").join(name(&workplace, "w.bin"));
        for damage in [Some("whole a"), Some("whole and bad!"), Some(""), None] {
            fs::remove_file(&copy).expect("planned");
            let _ = damage.map(|content| fs::write(&copy, content).expect("writable"));
            let damaged = snapshot(&workplace.path(&key));
            for launcher in ["local", "condor"] {
                let refused = workplace.sweep(&["run", &key, "--launcher", launcher]);
                assert_exit(&refused, Exit::DamagedFile);
                let said = stderr(&refused);
                let expected = match damage {
                    Some(content) => format!(
                        "is not the file that was planned: it holds {} bytes, and w.bin had 14",
                        content.len()
                    ),
                    None => "the copy of w.bin, is gone".to_owned(),
                };
                assert!(said.contains(&expected) && said.contains("hint: plan the sweep again"), "{said}");
                assert_eq!(damaged, snapshot(&workplace.path(&key)), "nothing is started");
            }
            assert_exit(&workplace.sweep(&["plan", &key, "--no-pool"]), Exit::Ok);
            assert_eq!(planned, snapshot(&workplace.path(&key)), "{damage:?}");
        }

        // Without the file it cannot be mended, which is not a reason not to plan what does not need it.
        write(&workplace, "w.bin", "another");
        fs::write(&copy, "whole a").expect("writable");
        let other = ["plan", &key, "--no-pool", "--set"];
        let other = [&other[..], &[none.as_str(), "--fractions", "0.5"]].concat();
        let grown = workplace.sweep(&other);
        assert_exit(&grown, Exit::Ok);
        let said = stderr(&grown);
        assert!(
            said.contains("is not whole, and w.bin, of which it is a copy, changed or is gone"),
            "{said}"
        );
        assert_eq!(workplace.cells(&key).len(), 2);
    }
}

fn read(workplace: &Workplace, table: &str) -> DataFrame {
    let file = File::open(workplace.path("s/collected").join(table)).expect("collected");
    ParquetReader::new(file).finish().expect("a table")
}

/// As where a disk fails under a sweep: the second cell starts with half a file, and the first has its result.
#[test]
fn a_copy_that_is_damaged_meanwhile_is_a_class_of_failure_of_its_own() {
    let Some(workplace) = Workplace::new() else { return };
    workplace.write_weights("w.safetensors", "9");
    let weights = ["--set", "fine_tuning.weights=w.safetensors", "--fractions", "1", "--trials", "2"];
    assert_exit(&workplace.plan("s", "300", &weights), Exit::Ok);
    let ids = [workplace.id("s", 0), workplace.id("s", 1)];
    let copy = workplace.path("s/bin").join(name(&workplace, "w.safetensors"));

    let mut run = Command::new(env!("CARGO_BIN_EXE_xray-sweep"));
    run.current_dir(workplace.path("")).args(["run", "s", "-j", "1"]).stderr(Stdio::piped());
    let run = run.spawn().expect("the binary starts");
    // The first has read its weights once it takes steps.
    let begun = Instant::now();
    let metrics = workplace.cell_file("s", &ids[0], "run/metrics.jsonl");
    while fs::metadata(&metrics).map_or(0, |found| found.len()) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never trained");
        std::thread::sleep(Duration::from_millis(5));
    }
    let whole = fs::read(&copy).expect("planned");
    fs::write(&copy, &whole[..whole.len() / 2]).expect("writable");
    let output = run.wait_with_output().expect("it ends");
    assert_exit(&output, Exit::SweepIncomplete);
    assert!(stderr(&output).contains("failed with exit code 8"), "{}", stderr(&output));

    let half = format!("it holds {} bytes of other content", whole.len() / 2);
    let status = workplace.sweep(&["status", "s", "--format", "json"]);
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let cell = status["cells"].as_array().expect("a list").iter().find(|cell| cell["id"] == ids[1].as_str());
    let cell = cell.expect("a cell");
    assert_eq!(cell["state"], "failed", "{cell}");
    let reason = cell["reason"].as_str().expect("a sentence");
    assert!(reason.starts_with("fine_tuning.weights: ") && reason.contains(&half), "{reason}");
    let logs = workplace.sweep(&["logs", "s", &ids[1]]);
    let story = String::from_utf8_lossy(&logs.stdout).into_owned();
    assert!(story.contains("exit code 8 (a planned file is damaged)"), "{story}");

    assert_exit(&workplace.sweep(&["collect", "s"]), Exit::SweepIncomplete);
    let attempts = read(&workplace, "attempts.parquet");
    let exits: Vec<_> = attempts.column("exit").expect("a column").i64().expect("numbers").iter().collect();
    assert_eq!(exits, [Some(0), Some(Exit::DamagedFile.code().into())]);

    let result = workplace.cell_file("s", &ids[0], "run/result.json");
    let first = fs::read(&result).expect("a result");
    assert_exit(&workplace.sweep(&["plan", "s", "--no-pool"]), Exit::Ok);
    assert_exit(&workplace.sweep(&["run", "s", "--failed"]), Exit::Ok);
    assert_eq!(workplace.result("s", &ids[1])["state"], "finished");
    assert_eq!(fs::read(&result).expect("a result"), first, "what was done stays");
}

/// Here, by hand and as HTCondor does: beside the configuration.
#[test]
fn a_cell_trains_from_its_copy_wherever_that_lies() {
    let Some(workplace) = Workplace::new() else { return };
    workplace.write_weights("w.safetensors", "9");
    let axis = ["--axis", "fine_tuning.weights=w.safetensors,none"];
    assert_exit(&workplace.plan("s", "3", &[&ONCE[..], &axis].concat()), Exit::Ok);
    let [of_none, of_file] = [0, 1].map(|at| workplace.id("s", at));
    fs::remove_file(workplace.path("w.safetensors")).expect("written");
    // A folder that somebody removed is made again without the file.
    fs::remove_dir_all(workplace.path("s/cells").join(&of_file)).expect("planned");
    assert_exit(&workplace.sweep(&["run", "s"]), Exit::Ok);
    assert_eq!(workplace.cells("s")[1]["axes"]["fine_tuning.weights"], "w.safetensors");
    let weights =
        |id: &str| fs::read(workplace.cell_file("s", id, "run/model/model.safetensors")).expect("a bundle");
    assert!(weights(&of_file) != weights(&of_none), "the file was not taken");
    let card: Value = serde_json::from_slice(
        &fs::read(workplace.cell_file("s", &of_file, "run/model/model.json")).expect("a card"),
    )
    .expect("JSON");
    assert!(card["provenance"]["first_weights"].as_str().is_some_and(|name| name.starts_with("blake3-")));

    let config = workplace.cell_file("s", &of_file, "config.toml").display().to_string();
    let by_hand = |run: &str, more: &[&str]| {
        workplace.train(
            &[&["--config", &config, "--data", "shards", "--run", run, "--cell", &of_file], more].concat(),
        )
    };
    let lost = by_hand("lost", &[]);
    assert_exit(&lost, Exit::Usage);
    let said = stderr(&lost);
    assert!(said.contains("there is no file blake3-") && said.contains("--files DIR"), "{said}");
    assert_exit(&by_hand("by-hand", &["--files", "s/bin"]), Exit::Ok);
    let by_hand = fs::read(workplace.path("by-hand/model/model.safetensors")).expect("a bundle");
    assert!(weights(&of_file) == by_hand, "other weights");

    assert_exit(&workplace.sweep(&["collect", "s"]), Exit::Ok);
    let runs = read(&workplace, "runs.parquet");
    let shown = runs.column("axis.fine_tuning.weights").expect("a column");
    assert_eq!(shown.str().expect("texts").iter().collect::<Vec<_>>(), [Some("none"), Some("w.safetensors")]);
}
