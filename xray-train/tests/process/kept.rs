//! What is left of a finished run, and that nobody trains again for want of what is gone.

use crate::workplace::{Workplace, assert_exit, stderr};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use xray_artifacts::{Exit, Keep};

const RUN: [&str; 2] = ["--cache", "disk"];

fn kept(workplace: &Workplace, keep: Keep) -> String {
    let run = format!("run-{}", keep.name());
    let setting = format!("training.keep={}", keep.name());
    assert_exit(&workplace.run(&run, &[&RUN[..], &["--set", &setting]].concat()), Exit::Ok);
    run
}

/// The files of a folder that hold weights or images, and their bytes in all.
fn large(folder: &Path) -> (BTreeSet<String>, u64) {
    let (mut found, mut bytes, mut folders) = (BTreeSet::new(), 0, vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("readable") {
            let path = entry.expect("readable").path();
            let name = path.strip_prefix(folder).expect("below").display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if (name.ends_with(".safetensors") && !name.starts_with("predictions"))
                || name.starts_with("cache/")
            {
                bytes += path.metadata().expect("there").len();
                found.insert(name);
            }
        }
    }
    (found, bytes)
}

#[test]
fn a_finished_run_holds_one_copy_of_its_weights_or_what_it_was_told_to_keep() {
    let workplace = Workplace::new();
    let [all, resumable, result] = Keep::ALL.map(|keep| large(&workplace.path(&kept(&workplace, keep))));
    let model = "model/model.safetensors".to_owned();
    assert_eq!(result.0, BTreeSet::from([model.clone()]));
    let best =
        resumable.0.iter().find(|name| name.starts_with("checkpoints/best/step-")).expect("weights").clone();
    let expected = BTreeSet::from([model, best, "checkpoints/last/state.safetensors".to_owned()]);
    assert_eq!(resumable.0, expected);
    assert!(all.0.is_superset(&expected) && all.0.iter().any(|name| name.starts_with("cache/")), "{all:?}");
    // Adam's state is two more copies.
    assert!(resumable.1 > 4 * result.1 && all.1 > resumable.1, "{} {} {}", all.1, resumable.1, result.1);
    // A later start that is told so does the same.
    assert_exit(
        &workplace.run("run-all", &[&RUN[..], &["--set", "training.keep=result"]].concat()),
        Exit::Ok,
    );
    assert_eq!(large(&workplace.path("run-all")).0, result.0);
}

#[test]
fn a_result_that_is_damaged_or_gone_comes_back_whatever_was_kept() {
    let workplace = Workplace::new();
    for keep in Keep::ALL {
        let run = kept(&workplace, keep);
        let before = workplace.fingerprint(&run);
        let (path, setting) =
            (workplace.path(&run).join("result.json"), format!("training.keep={}", keep.name()));
        let again = [&RUN[..], &["--set", &setting]].concat();
        for harm in [|path: &Path| fs::write(path, "{"), |path: &Path| fs::remove_file(path)] {
            harm(&path).expect("writable");
            let output = workplace.run(&run, &again);
            assert_exit(&output, Exit::Ok);
            workplace.fingerprint(&run).assert_equals(&before, &run);
            let (said, back) = (stderr(&output), format!("restored from {run}/finished/result.json"));
            assert_eq!(said.contains(&back), keep == Keep::Result, "{said}");
            assert!(!said.contains("step 1/12"), "nothing is trained again: {said}");
        }
    }
}

#[test]
fn a_finished_run_without_a_result_and_without_a_checkpoint_is_not_trained_anew() {
    let workplace = Workplace::new();
    let run = kept(&workplace, Keep::Result);
    for file in ["result.json", "finished/result.json"] {
        fs::write(workplace.path(&run).join(file), "{").expect("writable");
    }
    let output = workplace.run(&run, &RUN);
    assert_exit(&output, Exit::ModelMismatch);
    let expected = "error: run-result/result.json is damaged or gone, so is run-result/finished/result.json, and the \
    finished \
                    run kept no checkpoint to make them again from\n hint: restore one of the files, or start over with \
                    --overwrite";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    assert_exit(&workplace.run(&run, &[&RUN[..], &["--overwrite"]].concat()), Exit::Ok);
}
