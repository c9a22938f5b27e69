//! Shards that machines fetch by URL: from a web server with HTCondor's own plug-in, and with one of the pool's.

use crate::given_files::{WEIGHTS, write_weights};
use crate::server::Server;
use crate::sweep::Sweep;
use crate::workplace::{Workplace, checked, said};
use serde_json::Value as Json;
use std::fs;
use std::path::PathBuf;
use xray_artifacts::{DatasetManifest, Exit, Split};

/// Where the shards are published.
const PUBLISHED: &str = "web";

/// Publishes the workplace's shards; where the last train shard lies there, which only the whole of train needs.
fn publish(workplace: &Workplace) -> PathBuf {
    let mut publish = workplace.xray_data(&["publish", "shards", PUBLISHED]);
    checked(&mut publish);
    let manifest = DatasetManifest::read(&workplace.path(PUBLISHED)).expect("published");
    let last = manifest.splits[&Split::Train].shards.last().expect("a shard");
    workplace.path(PUBLISHED).join(&last.file)
}

fn plan<'a>(workplace: &'a Workplace, name: &'static str, url: &str, more: &[&str]) -> Sweep<'a> {
    let worker = workplace.worker("xray-train");
    let fixed = ["--binary", worker.to_str().expect("a name"), "--data-url", url];
    Sweep::plan(workplace, name, &[&fixed[..], more].concat())
}

const ONE: [&str; 4] = ["--fractions", "1.0", "--trials", "1"];

/// Where each start was, and how it ended.
fn hosts(attempts: &[String]) -> Vec<&str> {
    attempts.iter().map(|attempt| attempt.split_whitespace().nth(4).expect("a machine")).collect()
}

#[test]
fn a_wrong_shard_fails_its_cells_alone_and_the_right_ones_train_as_here() {
    let Some(workplace) = Workplace::new() else { return };
    write_weights(&workplace);
    let last = publish(&workplace);
    let name = last.file_name().expect("a name").to_str().expect("text").to_owned();
    let server = Server::start(&workplace);
    let weights = format!("fine_tuning.weights={WEIGHTS}");
    let grid = ["--fractions", "0.2,0.5,1.0", "--trials", "2", "--set", &weights, "--retries", "1"];
    let sweep = plan(&workplace, "fetched", &server.url(PUBLISHED), &grid);

    let whole = fs::read(&last).expect("published");
    let mut wrong = whole.clone();
    wrong[whole.len() / 2] ^= 1;
    fs::remove_file(&last).expect("it may be a link to the original");
    fs::write(&last, wrong).expect("writable");
    sweep.submit();
    let is_over = |cell: &Json| ["done", "failed"].map(Json::from).contains(&cell["state"]);
    let cells = sweep.wait_until("over", |cells| cells.iter().all(is_over));
    for cell in &cells {
        let is_hit = cell["fraction"] == 1.0;
        assert_eq!(cell["state"], if is_hit { "failed" } else { "done" }, "{cell}");
        let attempts = sweep.attempts(cell);
        if is_hit {
            let reason = cell["reason"].as_str().expect("a sentence");
            assert!(reason.contains(&name) && reason.contains("the shard's blake3 is "), "{reason}");
            let ending = "exit code 9 (a fetched shard is not the planned one)";
            assert!(attempts.iter().all(|attempt| attempt.ends_with(ending)), "{attempts:#?}");
            let [first, second] = hosts(&attempts)[..] else { panic!("{attempts:#?}") };
            assert_ne!(first, second);
        }
    }
    assert_eq!(sweep.collect(Exit::SweepIncomplete)["counts"]["failed"], 2);

    fs::write(&last, whole).expect("writable");
    let again = ["./xray-sweep", "run", "fetched", "--failed", "--launcher", "condor", "--detach"];
    checked(&mut workplace.in_pool(&workplace.path(""), &again));
    let cells = sweep.wait_until_done();
    sweep.collect(Exit::Ok);
    let here =
        Sweep::plan(&workplace, "here", &[&grid[..], &["--binary", "fetched/bin/xray-train"]].concat());
    checked(&mut here.command("run"));
    for cell in &cells {
        for file in ["run/model/model.safetensors", "run/predictions-test.safetensors"] {
            assert!(sweep.read(cell, file) == here.read(cell, file), "another {file} here: {cell}");
        }
    }
}

#[test]
fn what_cannot_be_fetched_waits_for_a_person_with_its_address() {
    let Some(workplace) = Workplace::new() else { return };
    let last = publish(&workplace);
    let name = last.file_name().expect("a name").to_str().expect("text").to_owned();
    let server = Server::start(&workplace);
    // HTCondor may lose a start on the way, which counts for nothing.
    let undelivered = |sweep: &Sweep<'_>, cell: &Json| {
        let attempts = sweep.attempts(cell).into_iter();
        attempts.filter(|attempt| attempt.contains("undelivered")).collect::<Vec<_>>()
    };
    let held = |sweep: &Sweep<'_>, starts: usize, why: &str| {
        let is_so =
            |cells: &[Json]| cells[0]["state"] == "held" && undelivered(sweep, &cells[0]).len() == starts;
        let cell = sweep.wait_until("held", is_so).remove(0);
        let reason = cell["reason"].as_str().expect("a sentence");
        assert!(reason.contains(why), "{why} is not in {reason}");
        undelivered(sweep, &cell)
    };

    let aside = workplace.path("aside");
    fs::rename(&last, &aside).expect("writable");
    let missing =
        plan(&workplace, "missing", &server.url(PUBLISHED), &[&ONE[..], &["--retries", "1"]].concat());
    missing.submit();
    let attempts = held(&missing, 2, &server.url(&format!("{PUBLISHED}/{name}")));
    let [first, second] = hosts(&attempts)[..] else { panic!("{attempts:#?}") };
    assert_ne!(first, second);

    let once = [&ONE[..], &["--retries", "0"]].concat();
    let half = plan(&workplace, "half", &server.url(&format!("half/{PUBLISHED}")), &once);
    half.submit();
    held(&half, 1, &server.url(&format!("half/{PUBLISHED}/")));
    let closed = "http://127.0.0.1:9/nih";
    let refused = plan(&workplace, "refused", closed, &once);
    refused.submit();
    held(&refused, 1, closed);
    for sweep in [&half, &refused] {
        let cluster = sweep.cells()[0]["job"].as_str().expect("a job").to_owned();
        sweep.in_pool(&["condor_rm", &cluster]);
    }

    fs::rename(&aside, &last).expect("writable");
    checked(&mut workplace.in_pool(&workplace.path(""), &["./xray-sweep", "retry", "missing"]));
    missing.wait_until_done();
    assert_eq!(missing.collect(Exit::Ok)["counts"]["done"], 1);
}

#[test]
fn a_disk_that_fills_up_while_shards_are_fetched_is_left_for_another() {
    let Some(workplace) = Workplace::new() else { return };
    if workplace.slots("DiskIsFull =!= undefined").is_empty() {
        eprintln!("skipped: the pool has no machine with a full disk (cargo xtask condor up starts one)");
        return;
    }
    publish(&workplace);
    let url = format!("osdf://{}", workplace.path(PUBLISHED).display());
    let first = "ifThenElse((NumShadowStarts ?: 0) > 0, true, TARGET.DiskIsFull =!= undefined)";
    let more = [&ONE[..], &["--attribute", "WantFullDisk=true", "--require", first]].concat();
    let sweep = plan(&workplace, "full", &url, &more);
    let dry = ["condor_submit", "-dry-run", "/dev/null", "sweep.sub"];
    let dry = said(&workplace.in_pool(&sweep.path(""), &dry).output().expect("it starts"));
    assert!(!dry.contains("was unused") && !dry.contains("WARNING"), "{dry}");
    sweep.submit();
    let cell = sweep.wait_until_done().remove(0);
    let attempts = sweep.attempts(&cell);
    let [full, finished] = attempts.as_slice() else { panic!("{attempts:#?}") };
    assert!(full.contains("undelivered") && full.contains("No space left on device"), "{full}");
    assert!(finished.ends_with("finished"), "{finished}");
    let [first, second] = hosts(&attempts)[..] else { panic!("{attempts:#?}") };
    assert_ne!(first, second);
}
