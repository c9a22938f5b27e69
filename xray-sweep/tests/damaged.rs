//! Every kind of file that says something of a sweep, damaged in every way: what is read instead is said with the file's
//! name, and what cannot be read is an error.

#[expect(dead_code, reason = "other tests and the example use the rest")]
mod fixture;

use fixture::{cell, finish, outcome, write_predictions};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use xray_artifacts::{State, checksum, write_json};
use xray_sweep::attempt::{Attempt, Ending};
use xray_sweep::cell_result::Outcome;
use xray_sweep::collect::collect;
use xray_sweep::launchers::queues::Queues;
use xray_sweep::local_attempts::append_attempt;
use xray_sweep::plan::Plan;
use xray_sweep::queue::Queue;
use xray_sweep::reset::reset;
use xray_sweep::state::{CellState, Survey, look};
use xray_sweep::sweep_dir::SweepDir;

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    /// A bit is turned over, at so many tenths of it.
    Bit(usize),
    Empty,
    Junk,
    /// Without its last bytes.
    Cut,
    /// Something else is in its place; root may read everything, but not these.
    Folder,
    Pipe,
}

const BITS: [Damage; 6] =
    [Damage::Bit(0), Damage::Bit(2), Damage::Bit(4), Damage::Bit(6), Damage::Bit(8), Damage::Bit(9)];
const UNREADABLE: [Damage; 2] = [Damage::Folder, Damage::Pipe];

impl Damage {
    fn is_unreadable(self) -> bool {
        UNREADABLE.contains(&self)
    }

    fn to(self, path: &Path) {
        let mut bytes = fs::read(path).expect("there");
        fs::remove_file(path).expect("there");
        match self {
            Damage::Bit(tenths) => {
                let at = bytes.len() * tenths / 10;
                bytes[at] ^= 1 << (tenths % 7);
            }
            Damage::Empty => bytes.clear(),
            Damage::Junk => bytes = b"\0\xffjunk\n".repeat(20),
            Damage::Cut => bytes.truncate(bytes.len() - 30),
            Damage::Folder => return fs::create_dir(path).expect("writable"),
            Damage::Pipe => {
                let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
                assert!(made.success());
                return;
            }
        }
        fs::write(path, bytes).expect("writable");
    }
}

/// Does the damage, has it looked at, and mends it again.
fn damaged<T>(path: &Path, damage: Damage, look: impl FnOnce() -> T) -> T {
    let good = fs::read(path).expect("there");
    damage.to(path);
    let seen = look();
    if damage == Damage::Folder { fs::remove_dir(path) } else { fs::remove_file(path) }.expect("there");
    fs::write(path, good).expect("writable");
    seen
}

/// A cell that is done, one that failed after a retry, and one whose finished result another job wrote over.
fn sweep(folder: &Path) -> (SweepDir, [String; 3]) {
    let dir = SweepDir::new(folder.join("s"));
    let cells = [cell(0.1, 1), cell(0.2, 1), cell(0.3, 1)];
    fixture::plan(&dir, &cells);
    cells.iter().for_each(|cell| finish(&dir, cell));
    let [_, failed, kept] = cells.each_ref().map(|cell| dir.cell(&cell.id));
    let less = |at: usize, state| {
        let result = Outcome { state, reason: None, scores: [].into(), ..outcome(&cells[at]) };
        write_json(&dir.cell(&cells[at].id).result(), &result).expect("writable");
    };
    fs::create_dir_all(kept.finished()).expect("writable");
    write_json(&kept.finished().join("result.json"), &outcome(&cells[2])).expect("writable");
    // Read again and again: it is not put back.
    less(1, State::Failed);
    fs::remove_file(failed.attempts()).expect("there");
    for (job, ended) in [("7", "2026-01-01T10:10:00Z"), ("8", "2026-01-01T10:20:00Z")] {
        let (exit, ending) = (Some(5), Some(Ending::Failed));
        let ended = Some(ended.to_owned());
        let attempt = Attempt { job: job.into(), exit, ending, ended, ..fixture::attempt(&cells[1]) };
        append_attempt(&failed.attempts(), &attempt).expect("writable");
    }
    fs::write(failed.stderr(), "error: out of luck\n").expect("writable");
    less(2, State::Interrupted);
    fs::create_dir_all(dir.submissions()).expect("writable");
    fs::write(dir.submitted("7"), "").expect("writable");
    for log in [dir.job_log(), dir.dag_log()] {
        fs::write(log, "").expect("writable");
    }
    (dir, cells.map(|cell| cell.id))
}

fn no_pool() -> Queues {
    let silent = || Queue::Silent("none here".into());
    Queues { condor: silent(), slurm: silent() }
}

#[test]
fn what_a_sweep_is_collected_from_is_named_when_damaged_and_never_believed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (dir, [done, failed, kept]) = sweep(folder.path());
    let queues = no_pool();
    let restored = dir.cell(&kept);
    let written_over = fs::read(restored.result()).expect("there");
    let look = || {
        fs::write(restored.result(), &written_over).expect("writable");
        look(&dir, &queues)
    };
    let known = look().expect("whole");
    assert_eq!(
        known.cells.iter().map(|report| report.state).collect::<Vec<_>>(),
        [CellState::Done, CellState::Failed, CellState::Done]
    );
    assert_eq!(known.notes, Vec::<String>::new());
    let check = |known: &Survey, cell: Option<&str>, path: &Path, damage: Damage| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let case = format!("{name} of {cell:?}: {damage:?}");
        match damaged(path, damage, look) {
            Err(failure) => assert!(failure.message.contains(&*path.to_string_lossy()), "{case}: {failure}"),
            Ok(_) if damage.is_unreadable() => panic!("{case}: no error"),
            Ok(found) if found.cells == known.cells => {}
            Ok(found) => {
                let is_named =
                    |note: &String| note.contains(&name) && cell.is_none_or(|id| note.contains(id));
                assert!(found.notes.iter().any(is_named), "{case}: {:?}", found.notes);
            }
        }
    };
    let sealed = |known: &Survey, cell: &str, path: &Path| {
        for damage in BITS.into_iter().chain([Damage::Empty, Damage::Junk]).chain(UNREADABLE) {
            check(known, Some(cell), path, damage);
        }
    };
    for id in [&done, &failed] {
        let place = dir.cell(id);
        for path in [place.result(), place.environment(), place.status()] {
            sealed(&known, id, &path);
            check(&known, Some(id), &path, Damage::Cut);
        }
    }
    // A line of it that was cut off is what a full disk leaves.
    sealed(&known, &failed, &dir.cell(&failed).attempts());
    sealed(&known, &kept, &restored.finished().join("result.json"));
    // What others write has no seal.
    for path in [dir.cell(&failed).stderr(), dir.submitted("7"), dir.job_log(), dir.dag_log()] {
        UNREADABLE.into_iter().for_each(|damage| check(&known, None, &path, damage));
    }
    reset(&dir.cell(&failed), &known.cells[1].attempts).expect("writable");
    let known = look().expect("whole");
    assert_eq!(known.cells[1].state, CellState::Missing);
    sealed(&known, &failed, &dir.cell(&failed).retried());
}

/// Whether `report` makes one, and what it says on stderr. It must not wait.
fn report(dir: &SweepDir) -> (bool, String) {
    let mut command = assert_cmd::Command::cargo_bin("xray-sweep").expect("built");
    let output = command.arg("report").arg(dir.path()).timeout(Duration::from_secs(60)).output();
    let output = output.expect("it ends");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_a_report_is_made_of_is_named_when_damaged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = SweepDir::new(folder.path().join("s"));
    let cells = [cell(1.0, 1)];
    fixture::plan(&dir, &cells);
    write_predictions(&dir, &cells[0], 60);
    let survey = look(&dir, &no_pool()).expect("whole");
    collect(&dir, &survey.cells, &dir.collected()).expect("writable");
    fs::write(dir.spec(), "trials = 5\n").expect("writable");
    let plan = Plan {
        data: folder.path().to_owned(),
        dataset: "d".into(),
        code: "1".into(),
        binaries: Vec::new(),
        cells: None,
        spec: Some(checksum(b"trials = 5\n")),
    };
    write_json(&dir.plan(), &plan).expect("writable");
    let (is_good, said) = report(&dir);
    assert!(is_good && !said.contains("goes without"), "{said}");
    let manifest = folder.path().join("dataset.json");
    fs::write(&manifest, "{}").expect("writable");
    let (spec, plan) = (dir.spec(), dir.plan());
    // Good TOML, of another sweep.
    fs::write(&spec, "trials = 7\n").expect("writable");
    let (is_good, said) = report(&dir);
    assert!(is_good && said.contains("sweep.toml is not what was planned"), "{said}");
    fs::write(&spec, "trials = 5\n").expect("writable");
    let run = dir.cell(&cells[0].id).run();
    let predictions = ["val", "test"].map(|split| run.join(format!("predictions-{split}.safetensors")));
    let all = predictions.iter().flat_map(|path| {
        let damages =
            [Damage::Bit(6), Damage::Empty, Damage::Junk, Damage::Cut, Damage::Folder, Damage::Pipe];
        damages.map(|damage| (path, damage))
    });
    let others = [&manifest, &spec, &plan]
        .map(|path| [Damage::Junk, Damage::Folder, Damage::Pipe].map(|damage| (path, damage)));
    for (path, damage) in all.chain(others.into_iter().flatten()) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let (is_good, said) = damaged(path, damage, || report(&dir));
        assert!(said.contains(&name), "{name}: {damage:?}: {said}");
        assert!(!is_good || !damage.is_unreadable(), "{name}: {damage:?}: no error");
    }
}
