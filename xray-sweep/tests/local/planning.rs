//! What planning writes, and what it refuses.

use crate::workplace::{Workplace, assert_exit, stderr};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use xray_artifacts::Exit;

/// Every file below a folder, but the lock.
fn snapshot(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".lock") {
                let name = path.strip_prefix(dir).expect("below").display().to_string();
                files.insert(name, fs::read(&path).expect("readable"));
            }
        }
    }
    files
}

#[test]
fn planning_again_changes_nothing_and_a_longer_plan_adds_only_what_is_new() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "3", &["--fractions", "0.5,1", "--trials", "2"]), Exit::Ok);
    let first = snapshot(&workplace.path("s"));
    assert_exit(&workplace.sweep(&["plan", "s", "--no-pool"]), Exit::Ok);
    assert_eq!(first, snapshot(&workplace.path("s")), "planned twice");

    let longer = workplace.sweep(&["plan", "s", "--no-pool", "--fractions", "0.1,0.5,1", "--format", "json"]);
    assert_exit(&longer, Exit::Ok);
    let summary: serde_json::Value = serde_json::from_slice(&longer.stdout).expect("JSON");
    assert_eq!((&summary["cells"], &summary["added"]), (&6.into(), &2.into()));
    let second = snapshot(&workplace.path("s"));
    for (name, content) in first.iter().filter(|(name, _)| name.starts_with("cells/")) {
        assert_eq!(second.get(name), Some(content), "{name}");
    }
}

/// Both would stand in the tables as trial 1 of fraction 1, and be averaged.
#[test]
fn other_settings_do_not_become_trials_of_the_same_sweep() {
    let Some(workplace) = Workplace::new() else { return };
    let once = ["--fractions", "1", "--trials", "1"];
    assert_exit(&workplace.plan("s", "3", &once), Exit::Ok);
    let before = snapshot(&workplace.path("s"));
    for other in [&["--set", "schedule.learning_rate=0.5"][..], &["--budget", "steps"]] {
        let output = workplace.sweep(&[&["plan", "s", "--no-pool"], other].concat());
        assert_exit(&output, Exit::Usage);
        let said = stderr(&output);
        assert!(said.contains("s has trial 1 of fraction 1 already, with other settings (cells "), "{said}");
        assert!(said.contains("make what changed an axis: --axis key=old,new"), "{said}");
        assert_eq!(before, snapshot(&workplace.path("s")), "nothing is planned");
    }
}

#[test]
fn what_jobs_ask_for_may_change_with_every_plan() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "3", &["--fractions", "1", "--trials", "1"]), Exit::Ok);
    let id = workplace.id("s", 0);
    assert_exit(&workplace.sweep(&["plan", "s", "--no-pool", "--memory", "9GB", "--cpus", "3"]), Exit::Ok);
    let cells = workplace.cells("s");
    assert_eq!((cells.len(), &cells[0]["id"]), (1, &id.into()));
    assert_eq!((&cells[0]["request"]["memory_mib"], &cells[0]["request"]["cpus"]), (&9216.into(), &3.into()));
    let row = fs::read_to_string(workplace.path("s/cells.csv")).expect("written");
    assert!(row.contains(",3,9216,"), "{row}");
}

#[test]
fn a_cell_gets_exactly_the_shards_of_its_fraction() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "3", &["--fractions", "0.1,1", "--trials", "1"]), Exit::Ok);
    let submit = fs::read_to_string(workplace.path("s/sweep.sub")).expect("written");
    let list = |name: &str| {
        let start = submit.find(&format!("{name} = ")).unwrap_or_else(|| panic!("no {name} in {submit}"));
        submit[start..].lines().take_while(|line| line.ends_with('\\')).count()
    };
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(workplace.path("shards/dataset.json")).expect("there"))
            .expect("JSON");
    let count = |split: &str| manifest["splits"][split]["shards"].as_array().expect("a list").len();
    let (train, others) = (count("train"), count("val") + count("test"));
    let rows = fs::read_to_string(workplace.path("s/cells.csv")).expect("written");
    let names: Vec<_> = rows.lines().map(|row| row.rsplit(',').next().expect("a column")).collect();
    assert_eq!(names[1], format!("shards_0_{train}"));
    let tenth: usize =
        names[0].strip_prefix("shards_0_").and_then(|count| count.parse().ok()).expect("a number");
    assert!(tenth < train / 2, "{tenth} of {train}");
    // A shard is two files; the manifest comes first. The last line has no backslash.
    assert_eq!(list(names[0]), 1 + 2 * (tenth + others));
    assert_eq!(list(names[1]), 1 + 2 * (train + others));
}

fn check_refused(workplace: &Workplace, more: &[&str], exit: Exit, expected: &str) {
    let output = workplace.plan("refused", "3", more);
    assert_exit(&output, exit);
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    assert!(!workplace.path("refused/cells.jsonl").exists(), "nothing is planned");
}

#[test]
fn bad_plans_say_what_is_wrong() {
    let Some(workplace) = Workplace::new() else { return };
    check_refused(&workplace, &["--axis", "model.widht=8,16"], Exit::Usage, "did you mean `model.width`?");
    check_refused(
        &workplace,
        &["--axis", "schedule.learning_rate=1,-1"],
        Exit::Usage,
        "schedule.learning_rate is -1, it must be above 0",
    );
    check_refused(&workplace, &["--fractions", "0.1,0.1"], Exit::Usage, "fraction 0.1 is given twice");
    check_refused(
        &workplace,
        &["--fractions", "0.5..0.1:0.1"],
        Exit::Usage,
        "the range `0.5..0.1:0.1` is empty",
    );
    check_refused(&workplace, &["--data", "nowhere"], Exit::BadData, "there is no dataset.json in ");
    check_refused(&workplace, &["--memory", "much"], Exit::Usage, "memory is `much`, it must be a size");
    check_refused(&workplace, &["--binary", "shards/dataset.json"], Exit::Usage, "not a program for Linux");
    check_refused(
        &workplace,
        &["--axis", "model.width=8,16"],
        Exit::Usage,
        "`model.width` is both an axis and a setting",
    );
    check_refused(
        &workplace,
        &["--axis", "threads=1,2"],
        Exit::Usage,
        "`threads` is set by the sweep itself",
    );
    let shard = fs::read_dir(workplace.path("shards"))
        .expect("readable")
        .map(|entry| entry.expect("readable").path());
    let shard =
        shard.into_iter().find(|path| path.extension().is_some_and(|end| end == "tfrecord")).expect("one");
    fs::remove_file(&shard).expect("removable");
    check_refused(&workplace, &[], Exit::BadData, "is absent");
}

#[test]
fn data_that_changed_since_planning_are_refused() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "3", &["--fractions", "1", "--trials", "1"]), Exit::Ok);
    let path = workplace.path("shards/dataset.json");
    let text = fs::read_to_string(&path).expect("there");
    let hash = text.find("\"blake3\": \"").expect("a hash") + 11;
    let other = if text[hash..].starts_with('0') { "1" } else { "0" };
    fs::write(&path, format!("{}{other}{}", &text[..hash], &text[hash + 1..])).expect("writable");
    for arguments in [&["plan", "s", "--no-pool"][..], &["run", "s"]] {
        let output = workplace.sweep(arguments);
        assert_exit(&output, Exit::BadData);
    }
    assert!(stderr(&workplace.sweep(&["plan", "s", "--no-pool"])).contains("was planned on other data"));
}
