//! What planning writes, and what it refuses.

use crate::given_files;
use crate::workplace::{Workplace, assert_exit, stderr};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use xray_artifacts::{DatasetManifest, Exit, Split, read_json, write_json};

/// Every file below a folder, but the lock.
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<String, Vec<u8>> {
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

#[test]
fn a_fold_is_an_axis_whose_cells_get_every_shard() {
    let Some(workplace) = Workplace::new() else { return };
    let folds = ["--set", "data.folds=3", "--axis", "data.fold=0,1,2", "--fractions", "0.1", "--trials", "1"];
    assert_exit(&workplace.plan("s", "3", &folds), Exit::Ok);
    let cells = workplace.cells("s");
    let of_folds: Vec<_> = cells.iter().map(|cell| cell["axes"]["data.fold"].clone()).collect();
    assert_eq!(of_folds, [0, 1, 2]);
    assert_eq!(cells.iter().map(|cell| cell["id"].to_string()).collect::<BTreeSet<_>>().len(), 3);
    let manifest: DatasetManifest = read_json(&workplace.path("shards/dataset.json")).expect("built");
    let [train, val] = [Split::Train, Split::Val].map(|split| manifest.splits[&split].images);
    let planned = cells[0]["train_images"].as_u64().expect("a number");
    assert!(planned.abs_diff((train + val) / 15) < 2, "{planned} of {train} and {val}");
    let rows = fs::read_to_string(workplace.path("s/cells.csv")).expect("written");
    let all = format!("shards_0_{}", manifest.splits[&Split::Train].shards.len());
    assert!(rows.lines().all(|row| row.ends_with(&all)), "{all} is not in {rows}");

    assert_exit(&workplace.sweep(&["run", "s", "-j", "2"]), Exit::Ok);
    assert_exit(&workplace.sweep(&["collect", "s"]), Exit::Ok);
    assert_exit(&workplace.sweep(&["report", "s"]), Exit::Ok);
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(workplace.path("s/report/report.json")).expect("written"))
            .expect("JSON");
    let sections = report["sections"].as_array().expect("a list");
    let section = sections.iter().find(|section| section["id"] == "folds").expect("a section");
    assert_eq!(section["tables"]["folds"]["rows"][0]["folds"], "3 of 3", "{section}");
    for (at, cell) in cells.iter().enumerate() {
        let result = workplace.result("s", cell["id"].as_str().expect("a text"));
        assert_eq!(result["state"], "finished", "fold {at}");
    }

    for (more, part) in [
        (&["--axis", "data.fold=0,1"][..], "data.fold is 0, and data.folds is not set"),
        (&["--set", "data.folds=2", "--axis", "data.fold=0,1,2"], "data.fold is 2, and data.folds is 2"),
    ] {
        let refused = workplace.plan("t", "3", &[more, &["--fractions", "1", "--trials", "1"]].concat());
        assert_exit(&refused, Exit::Usage);
        assert!(stderr(&refused).contains(part), "{part} is not in {}", stderr(&refused));
    }
}

/// Puts the files of a sweep back as they were; those of `extra` lie beside them.
fn restore(dir: &Path, files: &BTreeMap<String, Vec<u8>>, extra: &[(&str, &Vec<u8>)]) {
    if dir.exists() {
        fs::remove_dir_all(dir).expect("removable");
    }
    let extra = extra.iter().map(|(name, content)| (*name, *content));
    for (name, content) in files.iter().map(|(name, content)| (name.as_str(), content)).chain(extra) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("below")).expect("writable");
        fs::write(&path, content).expect("writable");
        if name.starts_with("bin/") || name == "collect.sh" {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("one's own");
        }
    }
}

/// All files but lists of an earlier plan, which jobs may still run.
fn planned(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = snapshot(dir);
    let script = String::from_utf8_lossy(&files["sweep.sbatch"]).into_owned();
    files.retain(|name, _| !name.starts_with("slurm/") || script.contains(name.as_str()));
    files
}

/// Kills between any two files, and in the midst of one: of the first plan, and of a longer one.
#[test]
fn a_plan_that_was_killed_is_planned_again() {
    let Some(workplace) = Workplace::new() else { return };
    let dir = workplace.path("s");
    let files = given_files::settings(&workplace).into_iter().map(|key| {
        fs::write(workplace.path(&key), format!("content of {key}")).expect("writable");
        format!("{key}={key}")
    });
    let files: Vec<String> = files.collect();
    let files: Vec<&str> = files.iter().flat_map(|setting| ["--set", setting.as_str()]).collect();
    let short = [&["--fractions", "1", "--trials", "1"], &files[..]].concat();
    let long = [&["--fractions", "1", "--trials", "2"], &files[..]].concat();
    assert_exit(&workplace.plan("s", "3", &short), Exit::Ok);
    let before = planned(&dir);
    assert_exit(&workplace.plan("s", "3", &long), Exit::Ok);
    let after = planned(&dir);
    let next = &after["cells.jsonl"];

    // In the order in which they are written.
    let mut order: Vec<&str> =
        after.keys().map(String::as_str).filter(|name| name.starts_with("bin/")).collect();
    for folder in ["slurm/", "cells/"] {
        order.extend(after.keys().map(String::as_str).filter(|name| name.starts_with(folder)));
    }
    order.extend([
        "sweep.sub",
        "node.sub",
        "sweep.dag",
        "collect.sh",
        "cells.csv",
        "sweep.sbatch",
        "sweep.toml",
    ]);
    order.extend(["cells.next.jsonl", "plan.json", "cells.jsonl"]);
    let listed = after.keys().filter(|name| !order.contains(&name.as_str()));
    assert_eq!(listed.collect::<Vec<_>>(), Vec::<&String>::new(), "a file that this test does not know");

    for start in [&BTreeMap::new(), &before] {
        for killed_at in 0..order.len() {
            let mut files = start.clone();
            let mut written: Vec<(&str, &Vec<u8>)> = Vec::new();
            for name in &order[..killed_at] {
                let content = if *name == "cells.next.jsonl" { next } else { &after[*name] };
                written.push((name, content));
            }
            // Files of cells are written where they lie, others under a name of their own.
            let name = order[killed_at];
            let half =
                after.get(name).map(|content| content[..content.len() / 2].to_vec()).unwrap_or_default();
            let growing = name.strip_prefix("bin/").map_or(String::new(), |name| format!("bin/.{name}.tmp"));
            if name.starts_with("cells/") && !start.contains_key(name) {
                written.push((name, &half));
            } else if !growing.is_empty() && !start.contains_key(name) {
                written.push((&growing, &half));
            }
            files.retain(|name, _| !written.iter().any(|(new, _)| *new == name.as_str()));
            restore(&dir, &files, &written);
            if start.contains_key("plan.json") || killed_at + 1 == order.len() {
                let status = workplace.sweep(&["status", "s", "--format", "json"]);
                let text = String::from_utf8_lossy(&status.stdout).into_owned();
                let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| {
                    panic!("killed at {name}: {error}: {text}{}", stderr(&status));
                });
                let count = json["cells"].as_array().expect("a list").len();
                assert_eq!(count, if killed_at + 1 == order.len() { 2 } else { 1 }, "killed at {name}");
            }
            assert_exit(&workplace.plan("s", "3", &long), Exit::Ok);
            assert!(planned(&dir) == after, "killed at {name}: planning again left another sweep");
        }
    }
}

/// As an earlier version left it when it was killed, or found no space.
#[test]
fn a_plan_without_its_list_is_planned_again() {
    let Some(workplace) = Workplace::new() else { return };
    let once = ["--fractions", "1", "--trials", "2"];
    assert_exit(&workplace.plan("s", "3", &once), Exit::Ok);
    let whole = snapshot(&workplace.path("s"));
    let ids = [workplace.id("s", 0), workplace.id("s", 1)];
    assert_exit(
        &workplace.sweep(&["run", "s", "--launcher", "local", "--cell", &ids[0]]),
        Exit::SweepIncomplete,
    );
    let result = workplace.result("s", &ids[0]);

    fs::remove_file(workplace.path("s/cells.jsonl")).expect("removable");
    let refused = workplace.sweep(&["status", "s"]);
    assert_exit(&refused, Exit::Usage);
    assert!(
        stderr(&refused).contains("planning again with the same options repairs one"),
        "{}",
        stderr(&refused)
    );
    let mended = workplace.plan("s", "3", &once);
    assert_exit(&mended, Exit::Ok);
    assert!(stderr(&mended).contains("the list of 2 cells was gone"), "{}", stderr(&mended));
    assert_eq!(workplace.result("s", &ids[0]), result, "a result is kept");
    let again = snapshot(&workplace.path("s"));
    for name in ["cells.jsonl", "plan.json", "cells.csv"] {
        assert_eq!(again[name], whole[name], "{name}");
    }
    let status = fs::read_to_string(workplace.cell_file("s", &ids[0], "run/status.json")).expect("a status");
    assert!(status.contains("finished"), "planning again does not touch a run: {status}");

    // A folder that somebody removed is made again, and stops no other cell.
    fs::remove_dir_all(workplace.path("s/cells").join(&ids[1])).expect("removable");
    assert_exit(&workplace.sweep(&["run", "s", "--launcher", "local"]), Exit::Ok);
    fs::remove_dir_all(workplace.path("s/cells").join(&ids[1])).expect("removable");
    assert_exit(&workplace.sweep(&["plan", "s", "--no-pool"]), Exit::Ok);
    let config = |name: &str| whole[&format!("cells/{}/{name}", ids[1])].clone();
    let file = workplace.cell_file("s", &ids[1], "config.toml");
    assert_eq!(fs::read(file).expect("made again"), config("config.toml"));
}

#[test]
fn an_edited_list_is_refused_and_what_is_gone_is_named() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "3", &["--fractions", "0.5,1", "--trials", "2"]), Exit::Ok);
    let path = workplace.path("s/cells.jsonl");
    let whole = fs::read_to_string(&path).expect("planned");
    let id = workplace.id("s", 2);
    let without =
        whole.lines().filter(|line| !line.contains(&id)).flat_map(|line| [line, "\n"]).collect::<String>();
    let gone = format!("the line of cell {id} is gone or damaged");
    let cut = whole[..whole.len() - 20].to_owned();
    for (text, what) in [
        (without, gone.as_str()),
        (whole.replace("\"trial\":1", "\"trial\":3"), "a line was edited"),
        (cut, "is gone or damaged"),
        (format!("{whole}{}\n", whole.lines().next().expect("a line")), "it has 5 lines, the plan 4"),
        (String::new(), "and 3 more is gone or damaged"),
    ] {
        fs::write(&path, text).expect("writable");
        for command in [&["status", "s"][..], &["run", "s"], &["collect", "s"], &["plan", "s", "--no-pool"]] {
            let refused = workplace.sweep(command);
            assert_exit(&refused, Exit::BadData);
            let said = stderr(&refused);
            assert!(said.contains("is not the list that was planned") && said.contains(what), "{said}");
            assert!(said.contains("delete it and plan again as before"), "{said}");
        }
    }

    // A plan of an earlier version says nothing of its list.
    fs::write(&path, &whole).expect("writable");
    let plan = workplace.path("s/plan.json");
    let mut json: serde_json::Value =
        serde_json::from_slice(&fs::read(&plan).expect("planned")).expect("JSON");
    let table = json.as_object_mut().expect("a table");
    table.remove("cells");
    table.remove("blake3");
    table.insert("format".to_owned(), 1.into());
    fs::write(&plan, json.to_string()).expect("writable");
    let status = workplace.sweep(&["status", "s"]);
    assert!(
        stderr(&status).contains("planned by an earlier version and is not checked"),
        "{}",
        stderr(&status)
    );
    assert_exit(&workplace.sweep(&["plan", "s", "--no-pool"]), Exit::Ok);
    assert!(!stderr(&workplace.sweep(&["status", "s"])).contains("not checked"));
}

#[test]
fn text_for_htcondor_is_quoted_or_refused() {
    let Some(workplace) = Workplace::new() else { return };
    let linked = |name: &str| {
        std::os::unix::fs::symlink(workplace.path("shards"), workplace.path(name)).expect("a link");
    };
    let check = |more: &[&str], expected: &str| check_refused(&workplace, more, Exit::Usage, expected);
    linked("a,b");
    check(&["--data", "a,b"], "holds a comma");
    linked("a$(id)b");
    check(&["--data", "a$(id)b"], "holds `$(`, which HTCondor would replace");
    check(&["--data", "a$(id)b", "--shared-data"], "holds `$(`");
    check(&["--attribute", "a b=1"], "is not the name of an attribute");
    check(&["--attribute", "A=1\nB = 2"], "control character");
    check(&["--attribute", "A=\"$ENV(HOME)\""], "holds `$ENV(`");
    check(&["--require", "true) || (true"], "has one ) too many");
    check(&["--rank", "Memory \\"], "outside of quotes");
    check(&["--env", "A=$$(Machine)"], "holds `$$(`");
    check(&["--checkpoint-every", "1h --data x"], "checkpoint_every is `1h --data x`, it must be a time");
    let refused = workplace.plan("s$(id)", "3", &["--fractions", "1"]);
    assert_exit(&refused, Exit::Usage);

    linked("it's \"a\", b");
    let more =
        ["--data", "it's \"a\", b", "--shared-data", "--attribute", "+ProjectName=\"x y\"", "--trials", "1"];
    assert_exit(&workplace.plan("my sweep", "3", &more), Exit::Ok);
    let submit = fs::read_to_string(workplace.path("my sweep/sweep.sub")).expect("written");
    assert!(submit.contains("/it''s \"\"a\"\", b' --run run --cell $(id)"), "{submit}");
    assert!(submit.contains("My.ProjectName = \"x y\"\n"), "{submit}");
    // HTCondor warns of a variable that nothing uses, such as shards that are not sent.
    let variables = "queue id, fraction, trial, seed, cpus, memory, disk from ";
    assert!(submit.contains(variables) && !submit.contains("$(shards)"), "{submit}");
    let rows = fs::read_to_string(workplace.path("my sweep/cells.csv")).expect("written");
    assert!(!rows.is_empty() && rows.lines().all(|row| row.split(',').count() == 7), "{rows}");
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
    let mut manifest: DatasetManifest = read_json(&path).expect("there");
    let train = manifest.splits.get_mut(&Split::Train).expect("there is one");
    train.shards[0].blake3 = "of other records".to_owned();
    write_json(&path, &manifest).expect("writable");
    for arguments in [&["plan", "s", "--no-pool"][..], &["run", "s"]] {
        let output = workplace.sweep(arguments);
        assert_exit(&output, Exit::BadData);
    }
    assert!(stderr(&workplace.sweep(&["plan", "s", "--no-pool"])).contains("was planned on other data"));
}

/// It may still train, and to other numbers.
#[test]
fn a_program_that_is_not_the_planned_one_is_neither_run_nor_planned_with() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "3", &["--fractions", "1", "--trials", "1"]), Exit::Ok);
    let before = snapshot(&workplace.path("s"));
    let program = workplace.path("s/bin/xray-train");
    let mut bytes = fs::read(&program).expect("planned");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&program, &bytes).expect("writable");
    let damaged = snapshot(&workplace.path("s"));
    let run = ["run", "s", "--launcher"];
    for command in
        [&[&run[..], &["local"]].concat(), &[&run[..], &["condor"]].concat(), &["plan", "s", "--no-pool"][..]]
    {
        let output = workplace.sweep(command);
        assert_exit(&output, Exit::BadData);
        let said = stderr(&output);
        assert!(said.contains("s/bin/xray-train is not the program that was planned"), "{command:?}: {said}");
        assert!(said.contains("plan again with --binary and the same build"), "{said}");
        assert_eq!(damaged, snapshot(&workplace.path("s")), "{command:?}");
    }
    // The hint is true.
    assert_exit(&workplace.plan("s", "3", &["--fractions", "1", "--trials", "1"]), Exit::Ok);
    assert_eq!(before, snapshot(&workplace.path("s")));
    let mode = fs::metadata(&program).expect("there").permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{mode:o}");
}

/// People edit it, and bits flip in it.
#[test]
fn a_sweep_toml_that_was_edited_is_named_before_it_is_believed() {
    let Some(workplace) = Workplace::new() else { return };
    assert_exit(&workplace.plan("s", "3", &["--fractions", "1", "--trials", "1"]), Exit::Ok);
    let path = workplace.path("s/sweep.toml");
    let text = fs::read_to_string(&path).expect("planned");
    let again = ["plan", "s", "--no-pool"];
    assert_eq!(stderr(&workplace.sweep(&again)), "", "nobody edited it");
    for (old, new, exit) in [
        ("max_idle = 1000", "max_idle = 1001", Exit::Ok),
        ("training.duration", "trAining.duration", Exit::Usage),
    ] {
        let edited = text.replacen(old, new, 1);
        assert_ne!(edited, text, "{text}");
        fs::write(&path, &edited).expect("writable");
        let output = workplace.sweep(&again);
        assert_exit(&output, exit);
        let said = stderr(&output);
        assert!(
            said.contains("s/sweep.toml is not what was planned: it was edited since, or is damaged"),
            "{said}"
        );
        fs::write(&path, &text).expect("writable");
    }
}
