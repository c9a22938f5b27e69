//! Plans whose jobs fetch their shards by URL, as far as no pool is needed: `tests/pool` has the rest.

use crate::workplace::{Workplace, assert_exit, stderr};
use std::fs;
use xray_artifacts::{DatasetManifest, Exit};

const URL: &str = "https://host/nih";
const GRID: [&str; 4] = ["--fractions", "0.5,1", "--trials", "1"];

fn publish(workplace: &Workplace) -> DatasetManifest {
    assert_exit(&workplace.data(&["publish", "shards", "web"]), Exit::Ok);
    DatasetManifest::read(&workplace.path("web")).expect("published")
}

/// The shard lists of a submit file.
fn lists(workplace: &Workplace, sweep: &str) -> String {
    let submit = fs::read_to_string(workplace.path(sweep).join("sweep.sub")).expect("written");
    submit
        .lines()
        .filter(|line| line.contains("shards_") || line.contains(URL))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn published_or_original_a_sweep_is_the_same_sweep() {
    let Some(workplace) = Workplace::new() else { return };
    let published = publish(&workplace);
    let plan = |sweep: &str, more: &[&str]| {
        let output = workplace.plan(sweep, "3", &[&GRID[..], more].concat());
        assert_exit(&output, Exit::Ok);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = plan("s", &["--data-url", "https://host/nih/"]);
    assert!(said.contains(" by each job from https://host/nih"), "{said}");
    plan("t", &["--data-url", URL, "--data", "web"]);
    plan("u", &[]);
    assert_eq!(workplace.cells("s"), workplace.cells("t"));
    assert_eq!(lists(&workplace, "s"), lists(&workplace, "t"));

    // Of each shard one address, and of none an index.
    let (fetched, sent) = (lists(&workplace, "s"), lists(&workplace, "u"));
    for shard in published.shards() {
        assert!(fetched.contains(&format!("{URL}/{}", shard.file)), "{} is not in {fetched}", shard.file);
    }
    assert!(!fetched.contains(".idx") && !sent.contains(URL), "{fetched}\n{sent}");
    for sweep in ["s", "t"] {
        let manifest = DatasetManifest::read(&workplace.path(sweep).join("data")).expect("written");
        assert_eq!(manifest, published);
        let submit = fs::read_to_string(workplace.path(sweep).join("sweep.sub")).expect("written");
        assert!(submit.contains("--data . --verify-shards --run run"), "{submit}");
        assert!(submit.contains(" = \\\n    ../../data/dataset.json, \\\n    https://host/nih/"), "{submit}");
    }
    let plain = fs::read_to_string(workplace.path("u/sweep.sub")).expect("written");
    assert!(!plain.contains("--verify-shards") && !workplace.path("u/data").exists());

    // And the same bits.
    for sweep in ["t", "u"] {
        assert_exit(&workplace.sweep(&["run", sweep, "-j", "2"]), Exit::Ok);
    }
    let weights = |sweep: &str, id: &str| {
        fs::read(workplace.cell_file(sweep, id, "run/model/model.safetensors")).expect("trained")
    };
    for cell in workplace.cells("t") {
        let id = cell["id"].as_str().expect("a text");
        assert!(weights("t", id) == weights("u", id), "{cell}");
    }

    // Sent again.
    assert_exit(&workplace.sweep(&["plan", "s", "--no-pool", "--data-url", "none"]), Exit::Ok);
    assert_eq!(lists(&workplace, "s"), lists(&workplace, "u"));
}

#[test]
fn addresses_that_contradict_or_are_none_are_refused() {
    let Some(workplace) = Workplace::new() else { return };
    let check = |more: &[&str], part: &str| {
        let refused = workplace.plan("s", "3", &[&GRID[..], more].concat());
        assert_exit(&refused, Exit::Usage);
        assert!(stderr(&refused).contains(part), "{part} is not in {}", stderr(&refused));
    };
    check(&["--data-url", "/data/nih"], "--data-url: \"/data/nih\" is not a URL");
    check(&["--data-url", "https://host/a,b"], "holds ','");
    check(&["--data-url", URL, "--shared-data"], "cannot be used with");
    assert!(!workplace.path("s/plan.json").exists());
    assert_exit(&workplace.plan("s", "3", &[&GRID[..], &["--shared-data"]].concat()), Exit::Ok);
    check(
        &["--data-url", URL],
        "shards are to be read from a shared file system and fetched from https://host/nih",
    );
}
