//! A job whose machine is taken away.

use crate::sweep::Sweep;
use crate::workplace::{Workplace, checked};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn an_evicted_run_ends_as_if_nothing_had_happened() {
    let Some(workplace) = Workplace::new() else { return };
    let worker = workplace.worker("xray-train");
    let slot = workplace
        .slots("Cpus > 0 && EmulatedCpu =?= undefined && VulkanIsMissing =?= undefined")
        .pop()
        .expect("a machine");
    let only = format!("TARGET.Name == \"{slot}\"");
    let arguments = [
        "--fractions",
        "1.0",
        "--trials",
        "1",
        // There is no other.
        "--require",
        &only,
        "--binary",
        worker.to_str().expect("a name"),
        "--set",
        "training.duration=4800 steps",
        "--set",
        "training.evaluate_every=400 steps",
        "--set",
        "training.checkpoint_every=50 steps",
    ];
    let evicted = Sweep::plan(&workplace, "evicted", &arguments);
    let undisturbed = Sweep::plan(&workplace, "undisturbed", &arguments);

    evicted.submit();
    let job = evicted.wait_until("running", |cells| cells[0]["state"] == "running")[0]["job"].clone();
    // Long enough to have begun, far too short to have ended.
    thread::sleep(Duration::from_secs(2));
    evicted.in_pool(&["condor_vacate_job", job.as_str().expect("a job")]);
    let vacated = Instant::now();
    evicted.wait_until("back", |cells| cells[0]["attempts"] == 2);
    // A machine that failed a job is left alone for a minute.
    assert!(vacated.elapsed() < Duration::from_secs(50), "an eviction is not a failure");
    let cell = evicted.wait_until_done().remove(0);
    let attempts = evicted.attempts(&cell);
    let [first, .., last] = attempts.as_slice() else { panic!("{attempts:#?}") };
    assert!(first.ends_with("evicted") && last.ends_with("finished"), "{attempts:#?}");
    let log = String::from_utf8(evicted.read(&cell, "run/train.log")).expect("text");
    assert!(log.contains("training from step "), "{log}");

    checked(undisturbed.command("run").args(["--launcher", "local"]));
    let weights = |sweep: &Sweep<'_>| sweep.read(&cell, "run/model/model.safetensors");
    assert!(weights(&evicted) == weights(&undisturbed), "weights differ");
    let scores = |sweep: &Sweep<'_>| sweep.json(&cell, "run/result.json")["scores"].clone();
    assert!(!scores(&evicted).is_null());
    assert_eq!(scores(&evicted), scores(&undisturbed));
}
