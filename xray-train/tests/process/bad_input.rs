//! Everything that users get wrong and disks do: one line with the place, a hint, the documented code, and
//! nothing lost that was saved.

use crate::workplace::{Workplace, assert_exit, shards, stderr};
use std::fs;
use std::os::unix::fs::symlink;
use xray_artifacts::Exit;

/// Runs, and finds `message` in stderr's one error line and a hint after it.
fn check(workplace: &Workplace, run: &str, more: &[&str], exit: Exit, message: &str) {
    let output = workplace.run(run, more);
    assert_exit(&output, exit);
    let text = stderr(&output);
    let line = text
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap_or_else(|| panic!("no error in:\n{text}"));
    assert!(line.contains(message), "no `{message}` in:\n{text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn settings_that_cannot_be() {
    let workplace = Workplace::new();
    check(
        &workplace,
        "a",
        &["--fraction", "0"],
        Exit::Usage,
        "data.fraction is 0, it must be above 0 and at most 1",
    );
    check(&workplace, "a", &["--fraction", "1.5"], Exit::Usage, "data.fraction is 1.5, it must be");
    check(&workplace, "a", &["--set", "data.fractoin=1"], Exit::Usage, "unknown key `data.fractoin`");
    check(
        &workplace,
        "a",
        &["--set", "model.width=many"],
        Exit::Usage,
        "model.width is `many`, it must be a whole number",
    );
    check(&workplace, "a", &["--backend", "tpu"], Exit::Usage, "backend is `tpu`, expected one of `cpu`");
    check(
        &workplace,
        "a",
        &["--set", "data.features=nhi"],
        Exit::Usage,
        "data.features is `nhi`, there is no such preset",
    );
    let folds = ["--set", "data.folds=1000", "--set", "data.fold=0"];
    check(&workplace, "a", &folds, Exit::Usage, "1000 folds cannot be cut of ");
    check(&workplace, "a", &folds[..2], Exit::Usage, "data.folds is 1000, and data.fold is not set");
    check(&workplace, "a", &["--resume"], Exit::ModelMismatch, "no checkpoint in a");
    assert!(!workplace.path("b").exists());
}

#[test]
fn instructions_that_cannot_be() {
    let workplace = Workplace::new();
    let output =
        workplace.command(&Workplace::arguments("a")).env("XRAY_ISA", "sse9").output().expect("starts");
    assert_exit(&output, Exit::Usage);
    let said = stderr(&output);
    assert!(said.contains("XRAY_ISA: unknown instruction set \"sse9\": portable, avx2 and avx512"), "{said}");
    assert_eq!(said.matches("sse9").count(), 1, "{said}");
    assert!(said.contains(" hint: leave the variable out"), "{said}");

    let output = workplace
        .command(&Workplace::arguments("a"))
        .env("XRAY_CONVOLUTION", "fft")
        .output()
        .expect("starts");
    assert_exit(&output, Exit::Usage);
    let said = stderr(&output);
    assert!(said.contains("XRAY_CONVOLUTION: unknown way \"fft\": direct and winograd are known"), "{said}");
}

#[test]
fn data_that_are_not_there() {
    let workplace = Workplace::new();
    let arguments: Vec<_> = Workplace::arguments("run");
    let elsewhere: Vec<_> = arguments.iter().map(|&a| if a == "shards" { "nowhere" } else { a }).collect();
    let output = workplace.command(&elsewhere).output().expect("starts");
    assert!(stderr(&output).contains("nowhere"), "{}", stderr(&output));
    assert!(!output.status.success());
    assert!(stderr(&output).contains(" hint: "), "{}", stderr(&output));
}

#[test]
fn a_damaged_record_is_named_and_can_be_skipped() {
    let workplace = Workplace::new();
    let shard = shards(&workplace.path("shards"), "train").remove(0);
    let mut bytes = fs::read(&shard).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&shard, &bytes).expect("writable");
    let name = shard.file_name().expect("a file").to_string_lossy().into_owned();
    check(&workplace, "strict", &[], Exit::BadData, &format!("{name}: record "));
    assert_exit(&workplace.run("lenient", &["--skip-bad", "1"]), Exit::Ok);
    let result = workplace.json("lenient/result.json");
    let bad = result["bad_records"].as_array().expect("a list");
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert!(bad[0].as_str().expect("text").contains(&name), "{bad:?}");
}

#[test]
fn a_truncated_shard_is_named() {
    let workplace = Workplace::new();
    let shard = shards(&workplace.path("shards"), "train").remove(0);
    let bytes = fs::read(&shard).expect("readable");
    fs::write(&shard, &bytes[..bytes.len() - 7]).expect("writable");
    let name = shard.file_name().expect("a file").to_string_lossy().into_owned();
    check(&workplace, "run", &[], Exit::BadData, &name);
}

#[test]
fn a_diverging_run_stops_with_the_batch_and_keeps_its_checkpoint() {
    let workplace = Workplace::new();
    let more = ["--learning-rate", "1e30", "--set", "schedule.warmup_steps=0"];
    check(&workplace, "run", &more, Exit::Diverged, "diverged at step ");
    let result = workplace.json("run/result.json");
    assert_eq!((&result["state"], &result["exit"]), (&"diverged".into(), &Exit::Diverged.code().into()));
    assert!(result["reason"].as_str().expect("text").contains("_00"), "no image names: {result:#}");
    assert_eq!(workplace.json("run/status.json")["state"], "diverged");
}

#[test]
fn another_run_is_refused_the_folder() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &[]), Exit::Ok);
    let weights = fs::read(workplace.path("run/model/model.safetensors")).expect("written");
    check(
        &workplace,
        "run",
        &["--seed", "9"],
        Exit::ModelMismatch,
        "run holds another run: seed is 0 there, 9 here",
    );
    assert_eq!(fs::read(workplace.path("run/model/model.safetensors")).expect("still there"), weights);
    assert_exit(&workplace.run("run", &["--seed", "9", "--overwrite"]), Exit::Ok);
    assert!(fs::read(workplace.path("run/model/model.safetensors")).expect("written") != weights);
}

#[test]
fn a_checkpoint_of_another_model_is_refused_by_tensor() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("narrow", &["--checkpoint-exit-every", "1ms"]), Exit::Checkpointed);
    let wide = ["--checkpoint-exit-every", "1ms", "--set", "model.width=8"];
    assert_exit(&workplace.run("wide", &wide), Exit::Checkpointed);
    let last = "checkpoints/last/state.safetensors";
    let foreign = fs::read(workplace.path("narrow").join(last)).expect("written");
    fs::write(workplace.path("wide").join(last), &foreign).expect("writable");
    check(&workplace, "wide", &["--set", "model.width=8"], Exit::ModelMismatch, "this network needs [");
    assert_eq!(fs::read(workplace.path("wide").join(last)).expect("still there"), foreign);
    fs::write(workplace.path("wide").join(last), &foreign[..100]).expect("writable");
    check(
        &workplace,
        "wide",
        &["--set", "model.width=8"],
        Exit::ModelMismatch,
        "no checkpoint to continue from: wide/checkpoints/last/state.safetensors is not the checkpoint that was \
         written",
    );
}

#[test]
fn a_folder_that_cannot_be_written() {
    let workplace = Workplace::new();
    check(&workplace, "/proc/xray", &[], Exit::Unexpected, "cannot create /proc/xray");
    fs::write(workplace.path("file"), "").expect("writable");
    check(&workplace, "file/run", &[], Exit::Unexpected, "cannot create file/run");
}

#[test]
fn a_full_disk_is_named_and_the_checkpoint_stays() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &["--checkpoint-exit-every", "1ms"]), Exit::Checkpointed);
    let last = workplace.path("run/checkpoints/last/state.safetensors");
    let saved = fs::read(&last).expect("written");
    fs::remove_file(workplace.path("run/train.log")).expect("written");
    symlink("/dev/full", workplace.path("run/train.log")).expect("a link");
    check(&workplace, "run", &[], Exit::Unexpected, "cannot write run/train.log: No space left on device");
    assert_eq!(fs::read(&last).expect("still there"), saved);
    fs::remove_file(workplace.path("run/train.log")).expect("a link");
    assert_exit(&workplace.run("run", &[]), Exit::Ok);
}

#[test]
fn too_little_memory_is_said_and_what_was_saved_goes_on() {
    let workplace = Workplace::new();
    assert_exit(&workplace.run("run", &["--checkpoint-exit-every", "1ms"]), Exit::Checkpointed);
    let program = assert_cmd::cargo::cargo_bin("xray-train");
    let mut arguments = Workplace::arguments("run").join("\n");
    arguments += "\n--set\nmodel.width=4";
    // 60 MB of address space are enough to start and too little to train.
    let script = "ulimit -v 60000; mapfile -t words; exec \"$0\" \"${words[@]}\"";
    let mut bash = assert_cmd::Command::new("bash");
    let output =
        bash.current_dir(workplace.path(".")).args(["-c", script]).arg(program).write_stdin(arguments);
    let output = output.output().expect("bash runs");
    assert_exit(&output, Exit::Unexpected);
    assert!(stderr(&output).contains("error: this program had to stop: the line above says why\n hint: "));
    assert_exit(&workplace.run("run", &[]), Exit::Ok);
}

/// As a cache or a server that gives another file.
#[test]
fn a_shard_that_is_not_the_listed_one_ends_a_verified_run_before_it_trains() {
    let workplace = Workplace::new();
    let verified = |run| workplace.run(run, &["--verify-shards"]);
    assert_exit(&verified("whole"), Exit::Ok);
    assert_exit(&workplace.run("believed", &[]), Exit::Ok);
    let weights = |run: &str| fs::read(workplace.path(run).join("model/model.safetensors")).expect("trained");
    assert!(weights("whole") == weights("believed"), "looking changes nothing");

    // Test records are read last.
    let shard = shards(&workplace.path("shards"), "test").pop().expect("a shard");
    let name = shard.file_name().expect("a name").to_string_lossy().into_owned();
    let whole = fs::read(&shard).expect("built");
    let mut other = whole.clone();
    other[whole.len() / 2] ^= 1;
    for (run, content, why) in [
        ("other", &other[..], "the shard's blake3 is "),
        ("half", &whole[..whole.len() / 2], "the shard has "),
    ] {
        fs::write(&shard, content).expect("writable");
        let output = verified(run);
        assert_exit(&output, Exit::WrongShard);
        let said = stderr(&output);
        assert!(said.contains("error: a fetched shard is not the planned one: shards/test-"), "{said}");
        assert!(said.contains(&name) && said.contains(why) && said.contains(" hint: "), "{said}");
        let result = workplace.json(&format!("{run}/result.json"));
        assert_eq!((&result["exit"], &result["training"]["steps"]), (&9.into(), &0.into()), "{result}");
    }
    // A worker has the shards of its fraction only; an index it needs none.
    fs::write(&shard, whole).expect("writable");
    for file in fs::read_dir(workplace.path("shards")).expect("built") {
        let path = file.expect("readable").path();
        if path.extension().is_some_and(|end| end == "idx") {
            fs::remove_file(path).expect("removable");
        }
    }
    let last = shards(&workplace.path("shards"), "train").pop().expect("a shard");
    fs::remove_file(last).expect("removable");
    let tenth = ["--verify-shards", "--fraction", "0.1"];
    assert_exit(&workplace.run("tenth", &tenth), Exit::Ok);
}
