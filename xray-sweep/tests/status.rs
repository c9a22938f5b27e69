//! A sweep directory as plans, pools and trainers leave it, and what `status` and `logs` say of it.

use std::collections::BTreeMap;
use std::fs;
use xray_artifacts::{Exit, RunResult, Seconds, State, Status, write_json};
use xray_metrics::Evaluation;
use xray_sweep::attempt::Attempt;
use xray_sweep::cell::{Cell, Request, write_cells};
use xray_sweep::launchers::queues::Queues;
use xray_sweep::local_attempts::append_attempt;
use xray_sweep::logs::{Which, logs};
use xray_sweep::queue::{Content, Queue};
use xray_sweep::state::{CellReport, CellState, look};
use xray_sweep::status::{json, text};
use xray_sweep::sweep_dir::SweepDir;

fn cell(id: &str, fraction: f64, trial: u32) -> Cell {
    Cell {
        format: 1,
        id: id.to_owned(),
        fraction,
        fraction_offset: 0.0,
        trial,
        seed: u64::from(trial),
        axes: BTreeMap::new(),
        train_images: (fraction * 1000.0) as u64,
        rungs: Vec::new(),
        folds: 0,
        files: BTreeMap::new(),
        dataset: "data".to_owned(),
        code: "0.1.0".to_owned(),
        request: Request { cpus: 1, memory_mib: 1000, disk_mib: 100, gpus: 0, minutes: None },
    }
}

fn write_result(dir: &SweepDir, cell: &Cell, state: State, reason: Option<&str>, seconds: f64) {
    fs::create_dir_all(dir.cell(&cell.id).run()).expect("a writable folder");
    let result: RunResult<Evaluation> = RunResult {
        state,
        reason: reason.map(str::to_owned),
        train_images: cell.train_images,
        dataset: cell.dataset.clone(),
        seconds: Seconds { total: seconds, ..Seconds::default() },
        peak_memory_bytes: Some(300 << 20),
        ..RunResult::begin(Some(cell.id.clone()), &cell.code, cell.fraction, cell.seed)
    };
    write_json(&dir.cell(&cell.id).result(), &result).expect("a writable folder");
}

/// Two fractions, four trials, one cell in every state.
fn every_state() -> (tempfile::TempDir, SweepDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = SweepDir::new(folder.path());
    let ids = ["d0ne", "ab01", "ab02", "he1d", "fa11", "105t", "0015", "57a1"];
    let place = |i: usize| ([0.1, 0.2][i / 4], u32::try_from(i % 4 + 1).expect("small"));
    let cells: Vec<Cell> = ids.iter().enumerate().map(|(i, id)| cell(id, place(i).0, place(i).1)).collect();
    write_cells(&dir.cells(), &cells).expect("a writable folder");
    write_result(&dir, &cells[0], State::Finished, None, 100.0);
    write_result(&dir, &cells[4], State::Failed, Some("no shard"), 1.0);
    write_result(&dir, &Cell { code: "0.0.9".into(), ..cells[7].clone() }, State::Finished, None, 1.0);
    fs::create_dir_all(dir.cell("105t").run()).expect("a writable folder");
    fs::write(dir.cell("105t").stderr(), "step 1\nerror: out of luck\n hint: try again\n").expect("writable");
    fs::create_dir_all(dir.cell("ab01").run()).expect("a writable folder");
    let status = Status {
        state: State::Training,
        heartbeat: "2026-11-23T10:00:00Z".into(),
        step: 50,
        total_steps: 100,
        loss: None,
        pid: 1,
    };
    write_json(&dir.cell("ab01").status(), &status).expect("a writable folder");
    let before = Attempt {
        cell: "he1d".into(),
        job: "4711".into(),
        started: Some("2026-11-22T10:00:00Z".into()),
        ended: Some("2026-11-22T10:01:00Z".into()),
        ..Attempt::default()
    };
    fs::create_dir_all(dir.cell("he1d").path()).expect("a writable folder");
    append_attempt(&dir.cell("he1d").attempts(), &before).expect("a writable folder");
    let event =
        |code: &str, job: usize, body: &str| format!("{code} (9.{job}.0) 2026-11-23T10:00:00Z {body}\n...\n");
    let mut log = String::new();
    for (job, id) in ["ab01", "ab02", "he1d", "105t", "d0ne"].iter().enumerate() {
        log += &event(
            "000",
            job,
            &format!("Job submitted from host: <192.0.2.7:9618?alias=localhost>\n    cell={id}"),
        );
    }
    let start = "Job executing on host: <192.0.2.7:9618?addrs=x>\n\tSlotName: slot1@node7\n\tMicroarch = \"x86_64-v3\"";
    log += &event("001", 0, start);
    log += &event("012", 2, "Job was held.\n\tdisk full\n\tCode 12 Subcode 0");
    log += &event("001", 3, start);
    log += &event("005", 3, "Job terminated.\n\t(0) Abnormal termination (signal 11)");
    log += &event("012", 4, "Job was held.\n\tdisk full\n\tCode 12 Subcode 0");
    fs::write(dir.job_log(), log + "012 (9.0").expect("a writable folder");
    (folder, dir)
}

/// As on a machine without either.
fn no_pool() -> Queues {
    let silent = || Queue::Silent("none here".into());
    Queues { condor: silent(), slurm: silent() }
}

/// As on a machine without HTCondor.
fn reports(dir: &SweepDir) -> Vec<CellReport> {
    look(dir, &no_pool()).expect("a sweep").cells
}

#[test]
fn what_a_deleted_log_told_is_missing_and_said_to_be() {
    let (_folder, dir) = every_state();
    let lacking = || {
        let survey = look(&dir, &no_pool()).expect("a sweep");
        let lacking = survey.cells.iter().filter(|report| report.lacks_starts);
        let lacking: Vec<_> = lacking.map(|report| report.cell.id.clone()).collect();
        (lacking, survey.notes.last().cloned().unwrap_or_default())
    };
    assert_eq!(lacking().0, ["d0ne", "fa11"], "they ended where nobody wrote it down");
    // What a job that ran meanwhile says afterwards.
    let ad =
        "028 (9.0.0) 2026-11-23T10:00:00Z Job ad information event triggered.\nXrayCell = \"ab01\"\n...\n";
    fs::write(dir.job_log(), ad).expect("a writable folder");
    let (cells, note) = lacking();
    assert_eq!(cells.len(), 8, "jobs that left the queue before cannot be told");
    assert!(note.contains("it records no start of 2 cells with a run"), "{note}");
}

#[test]
fn what_the_queue_does_not_hold_is_not_queued() {
    let (_folder, dir) = every_state();
    let silent = look(&dir, &no_pool()).expect("a sweep");
    assert_eq!(
        silent.notes[0],
        "the queue does not answer (none here): 4 jobs are assumed to be in it, by the event log"
    );
    assert_eq!(silent.held["he1d"], ["9.2"], "not the number of a process that ran here");
    let content = Content { asked: "2026-11-24T10:00:00Z".into(), ..Content::default() };
    let survey = look(&dir, &Queues { condor: Queue::Holds(content), ..no_pool() }).expect("a sweep");
    let states: Vec<CellState> = survey.cells.iter().map(|report| report.state).collect();
    use CellState::{Done, Failed, Lost, Missing, Stale};
    assert_eq!(states, [Done, Lost, Lost, Lost, Failed, Lost, Missing, Stale]);
    let reason = "job 9.1 left the queue, and the log does not record how it ended";
    assert_eq!(survey.cells[2].reason.as_deref(), Some(reason));
    assert!(survey.held.is_empty(), "{survey:?}");
}

#[test]
fn every_state_is_seen() {
    let (_folder, dir) = every_state();
    let states: Vec<CellState> = reports(&dir).iter().map(|report| report.state).collect();
    use CellState::{Done, Failed, Held, Lost, Missing, Queued, Running, Stale};
    assert_eq!(states, [Done, Running, Queued, Held, Failed, Lost, Missing, Stale]);
}

#[test]
fn a_person_reads_grid_counts_reasons_and_the_time_left() {
    let (_folder, dir) = every_state();
    let reports = reports(&dir);
    // Half of a run of 100 s, one of its kind, and one of twice the images: 50 + 100 + 200 s, one at a time.
    let expected = "\
fraction  trials 1 to 4
0.1       D R Q H
0.2       F L . S
D done  R running  Q queued  H held  F failed  L lost  . missing  S stale

8 cells: 1 done, 1 running, 1 queued, 1 held, 1 failed, 1 lost, 1 missing, 1 stale; about 5m 50s left

held  cells  reason
1     he1d   disk full (code 12)

ended   cell                          where              reason
failed  fraction 0.2, trial 1 (fa11)  -                  no shard
lost    fraction 0.2, trial 2 (105t)  node7 (x86_64-v3)  segmentation fault (SIGSEGV) on node7 (x86_64-v3); stderr: error: out of luck
stale   fraction 0.2, trial 4 (57a1)  -                  it was computed by 0.0.9, but planned for 0.1.0

running                       step           where
fraction 0.1, trial 2 (ab01)  50/100 (50 %)  node7 (x86_64-v3)

memory: requested 1,000 MiB, peak use 300 MiB (2 cells known); 384 MiB would be enough
right-size: plan the next sweep with --sizes-from and this one's folder
";
    let plain = text(&reports, 80, false);
    assert_eq!(plain, expected);
    assert!(!plain.contains('\x1b'));
    assert!(text(&reports, 80, true).contains("\x1b[32mD\x1b[0m"));
}

#[test]
fn a_narrow_terminal_wraps_the_grid() {
    let cells: Vec<Cell> = (1..=12).map(|trial| cell(&format!("a{trial}"), 0.5, trial)).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = SweepDir::new(folder.path());
    write_cells(&dir.cells(), &cells).expect("a writable folder");
    let text = text(&reports(&dir), 20, false);
    let grid: Vec<&str> = text.lines().take(4).collect();
    let line = "          . . . . .";
    assert_eq!(grid[1..], ["0.5       . . . . .", line, "          . ."]);
    assert!(text.contains("12 cells: 12 missing\n"), "{text}");
}

#[test]
fn a_program_reads_the_same() {
    let (_folder, dir) = every_state();
    let value = json(&reports(&dir));
    assert_eq!(value["format"], 1);
    assert_eq!(value["counts"]["held"], 1);
    assert_eq!(value["seconds_left"], 350.0);
    assert_eq!(value["holds"][0]["cells"][0], "he1d");
    assert_eq!(value["cells"][1]["microarch"], "x86_64-v3");
    assert_eq!(value["cells"][1]["step"], 50);
    assert_eq!(value["memory"]["max_used_mib"], 300);
}

#[test]
fn a_cell_tells_its_story() {
    let (_folder, dir) = every_state();
    let story = logs(&dir, "105", Which::Story).expect("one cell");
    for part in [
        "condor 9.3",
        "node7 (x86_64-v3)",
        "segmentation fault",
        "error: out of luck",
        "there is no train.log",
    ] {
        assert!(story.contains(part), "{part} in {story}");
    }
    assert!(logs(&dir, "105t", Which::Stderr).expect("a file").starts_with("step 1\n"));
    let ambiguous = logs(&dir, "ab", Which::Story).expect_err("two cells");
    assert_eq!(ambiguous.exit, Exit::Usage);
    assert!(ambiguous.hint.is_some_and(|hint| hint.contains("ab01") && hint.contains("ab02")));
    let unknown = logs(&dir, "ac02", Which::Story).expect_err("no cell");
    assert_eq!(unknown.exit, Exit::NothingMatches);
    assert!(unknown.hint.is_some_and(|hint| hint.contains("(ab02)")));
}
