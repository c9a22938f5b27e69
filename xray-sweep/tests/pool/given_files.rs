//! Files that settings name travel with their jobs.

use crate::sweep::Sweep;
use crate::workplace::{Workplace, checked, said};
use serde_json::Value as Json;
use std::fs;
use std::process::Command;
use xray_artifacts::{ContentName, Exit};

pub(crate) const WEIGHTS: &str = "w.safetensors";

/// Trains the network of the sweeps' cells for two steps, and leaves its weights in the folder.
pub(crate) fn write_weights(workplace: &Workplace) {
    let mut train = Command::new(workplace.worker("xray-train"));
    train
        .current_dir(workplace.path(""))
        .args("--data shards --run first --size 32 --steps 2 --seed 9".split(' '));
    checked(train.args(["--set", "model.width=4", "--set", "training.bootstrap_resamples=0"]));
    fs::copy(workplace.path("first/model/model.safetensors"), workplace.path(WEIGHTS)).expect("a bundle");
}

fn plan<'a>(workplace: &'a Workplace, name: &'static str, weights: [&str; 2]) -> Sweep<'a> {
    let worker = workplace.worker("xray-train");
    let binary = ["--binary", worker.to_str().expect("a name")];
    Sweep::plan(workplace, name, &[&["--fractions", "1.0", "--trials", "1"], &weights[..], &binary].concat())
}

#[test]
fn first_weights_are_an_axis_and_pool_and_here_agree_bit_for_bit() {
    let Some(workplace) = Workplace::new() else { return };
    write_weights(&workplace);
    let axis = format!("fine_tuning.weights={WEIGHTS},none");
    let [there, here] = ["files", "here"].map(|name| plan(&workplace, name, ["--axis", &axis]));
    fs::remove_file(workplace.path(WEIGHTS)).expect("written");

    let dry = ["condor_submit", "-dry-run", "/dev/null", "sweep.sub"];
    let dry = said(&workplace.in_pool(&there.path(""), &dry).output().expect("it starts"));
    assert!(!dry.contains("was unused") && !dry.contains("WARNING"), "{dry}");
    there.submit();
    checked(&mut here.command("run"));
    let cells = there.wait_until_done();
    let mut all = Vec::new();
    for cell in &cells {
        assert_eq!(cell["attempts"], 1, "{cell}");
        let weights = there.read(cell, "run/model/model.safetensors");
        assert!(weights == here.read(cell, "run/model/model.safetensors"), "other weights here: {cell}");
        all.push(weights);
    }
    assert!(all.len() == 2 && all[0] != all[1], "the file was not taken");
}

#[test]
fn a_damaged_copy_ends_a_job_for_good_with_a_sentence() {
    let Some(workplace) = Workplace::new() else { return };
    write_weights(&workplace);
    let sweep = plan(&workplace, "half", ["--set", &format!("fine_tuning.weights={WEIGHTS}")]);
    let (name, bytes) = ContentName::of(&workplace.path(WEIGHTS)).expect("readable");
    let copy = sweep.path("bin").join(name.as_str());
    let whole = fs::read(&copy).expect("planned");
    fs::write(&copy, &whole[..whole.len() / 2]).expect("writable");
    sweep.submit();
    let cell = sweep.wait_until("failed", |cells| cells[0]["state"] == "failed").remove(0);
    let reason = cell["reason"].as_str().expect("a sentence");
    assert!(reason.contains(&format!("it holds {} bytes of other content", bytes / 2)), "{reason}");
    let attempts = sweep.attempts(&cell);
    let [only] = attempts.as_slice() else { panic!("{attempts:#?}") };
    assert!(only.ends_with("exit code 8 (a planned file is damaged)"), "{only}");

    checked(sweep.command("plan").arg("--no-pool"));
    checked(sweep.command("run").arg("--failed"));
    assert_eq!(sweep.collect(Exit::Ok)["counts"]["done"], Json::from(1));
}
