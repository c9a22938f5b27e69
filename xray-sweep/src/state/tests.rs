//! What is believed of a cell, over every combination of what its folder, the log, the queue and this machine say.

use super::*;
use crate::cell::Request;
use crate::queue::{Content, Dag, Factory, QueuedJob};
use crate::selection::Selection;
use std::collections::BTreeSet;
use xray_artifacts::State;

const ASKED: &str = "2026-11-23T10:00:00Z";
const BEFORE: &str = "2026-11-23T09:00:00Z";
const AFTER: &str = "2026-11-23T10:00:01Z";

fn cell(id: &str) -> Cell {
    Cell {
        format: 1,
        id: id.into(),
        fraction: 0.1,
        fraction_offset: 0.0,
        trial: 1,
        seed: 1,
        axes: BTreeMap::new(),
        train_images: 10,
        rungs: Vec::new(),
        folds: 0,
        files: BTreeMap::new(),
        dataset: "d".into(),
        code: "1".into(),
        request: Request { cpus: 1, memory_mib: 1, disk_mib: 1, gpus: 0, minutes: None },
    }
}

/// One of each kind. A new kind does not compile until it stands here.
fn results() -> Vec<CellResult> {
    let outcome = |state| {
        let reason = (state == State::Failed).then(|| "bad".to_owned());
        Box::new(Outcome { state, reason, ..Outcome::begin(Some("a".into()), "1", 0.1, 1) })
    };
    let all = vec![
        CellResult::Absent,
        CellResult::Done(outcome(State::Finished)),
        CellResult::Unfinished(outcome(State::Interrupted)),
        CellResult::Stopped(outcome(State::Stopped)),
        CellResult::Failed(outcome(State::Failed)),
        CellResult::Stale("other data".into()),
        CellResult::Damaged("its hash differs".into()),
    ];
    for result in &all {
        match result {
            CellResult::Absent
            | CellResult::Done(_)
            | CellResult::Unfinished(_)
            | CellResult::Stopped(_)
            | CellResult::Failed(_)
            | CellResult::Stale(_)
            | CellResult::Damaged(_) => {}
        }
    }
    all
}

fn job(state: JobState, latest: &str) -> Job {
    let started = state != JobState::Queued;
    let ended = (!state.is_open()).then(|| latest.to_owned());
    let ending = ended.as_ref().map(|_| Ending::Failed);
    let attempt =
        Attempt { job: "7.0".into(), started: Some(BEFORE.into()), ended, ending, ..Attempt::default() };
    Job {
        cell: Some("a".into()),
        state,
        attempts: if started { vec![attempt] } else { Vec::new() },
        submitted: Some(BEFORE.into()),
        latest: Some(latest.to_owned()),
        schedd: Some("here".into()),
        ..Job::new("7.0".into())
    }
}

/// What the queue may say of the cell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Silent,
    Nothing,
    Holds(JobState),
    /// A cluster that has still to make its job.
    Owes,
    /// One of which nobody can tell what it has still to make.
    OwesUnknown,
    /// DAGMan, submitted before the job or after it.
    Dag(&'static str),
}

const SAID: [Said; 9] = [
    Said::Silent,
    Said::Nothing,
    Said::Holds(JobState::Queued),
    Said::Holds(JobState::Running),
    Said::Holds(JobState::Held),
    Said::Owes,
    Said::OwesUnknown,
    Said::Dag("2026-11-23T08:00:00Z"),
    Said::Dag("2026-11-23T09:30:00Z"),
];

fn queue(said: Said) -> Queue {
    let mut content = Content { asked: ASKED.into(), ..Content::default() };
    let factory = |owed| Factory { cluster: "8".into(), owed, paused: None, is_ours: true };
    match said {
        Said::Silent => return Queue::Silent("no condor_q".into()),
        Said::Nothing => {}
        Said::Holds(state) => {
            let (id, cell) = ("7.0".to_owned(), "a".to_owned());
            content.jobs.push(QueuedJob { id, cell, state, reason: None, is_ours: true });
        }
        Said::Owes => content.factories.push(factory(Some(vec!["a".into()]))),
        Said::OwesUnknown => content.factories.push(factory(None)),
        Said::Dag(submitted) => {
            content.dags.push(Dag { id: "6.0".into(), submitted: submitted.into(), held: None });
        }
    }
    Queue::Holds(content)
}

/// How the jobs of the cell stand, by the rule in words at the head of `jobs.rs`.
fn open_jobs(log: Option<(JobState, &str)>, said: Said) -> BTreeSet<&'static str> {
    let name = |state: JobState| match state {
        JobState::Running => "running",
        JobState::Held => "held",
        JobState::Queued => "queued",
        JobState::Removed | JobState::Completed | JobState::Gone => "over",
    };
    let of_job = match (log, said) {
        (Some((state, _)), Said::Silent) => Some(state),
        (Some((state, latest)), _) if !state.is_open() || latest >= ASKED => Some(state),
        (_, Said::Holds(state)) => Some(state),
        _ => None,
    };
    let owed = match said {
        Said::Owes | Said::OwesUnknown => true,
        Said::Dag(submitted) => log.is_none() || submitted > BEFORE,
        Said::Silent | Said::Nothing | Said::Holds(_) => false,
    };
    let all = of_job.map(name).into_iter().chain(owed.then_some("queued"));
    all.filter(|name| *name != "over").collect()
}

#[test]
fn nothing_runs_twice_nothing_is_forgotten_and_what_is_done_stays_done() {
    let logs = JobState::ALL.into_iter().filter(|state| *state != JobState::Gone);
    let logs = logs.flat_map(|state| [(state, BEFORE), (state, AFTER)]).map(Some).chain([None]);
    let everything = Selection { failed: true, stale: true, ..Selection::default() };
    let mut seen = BTreeSet::new();
    for log in logs {
        for said in SAID {
            let jobs = log.map(|(state, latest)| job(state, latest)).into_iter().collect();
            let log_file = JobLog { jobs, ..JobLog::default() };
            let jobs = believed(&[cell("a")], log_file, &queue(said), &Submissions::default(), |name| {
                name == "here"
            });
            let all: Vec<&Job> = jobs.jobs.iter().collect();
            let attempt = all.iter().flat_map(|job| &job.attempts).next_back();
            for (result, lives) in results().iter().flat_map(|result| [(result, false), (result, true)]) {
                let (state, _) = judge(
                    &Evidence { result, climb: &Climb::default(), jobs: &all, lives, latest: attempt },
                    || Ok(None),
                )
                .expect("nothing is read");
                let case = format!("{result:?}, log {log:?}, queue {said:?}, alive here {lives}: {state:?}");
                seen.insert(state);
                let open = open_jobs(log, said);
                let expected = match result {
                    CellResult::Done(_) => Some(CellState::Done),
                    _ if lives || open.contains("running") => Some(CellState::Running),
                    _ if open.contains("held") => Some(CellState::Held),
                    _ if open.contains("queued") => Some(CellState::Queued),
                    CellResult::Stale(_) => Some(CellState::Stale),
                    CellResult::Failed(_) => Some(CellState::Failed),
                    CellResult::Absent if log.is_none() => Some(CellState::Missing),
                    CellResult::Damaged(_) => Some(CellState::Lost),
                    // It waits for its next start, unless one came to nothing since.
                    CellResult::Stopped(_) if attempt.is_none() => Some(CellState::Waiting),
                    CellResult::Absent | CellResult::Unfinished(_) | CellResult::Stopped(_) => None,
                };
                match expected {
                    Some(expected) => assert_eq!(state, expected, "{case}"),
                    None => assert!(matches!(state, CellState::Lost | CellState::Failed), "{case}"),
                }
                let report = CellReport {
                    cell: cell("a"),
                    state,
                    reason: None,
                    outcome: None,
                    environment: None,
                    status: None,
                    attempts: Vec::new(),
                    lacks_starts: false,
                    climb: Climb::default(),
                };
                let chosen = !everything.choose(std::slice::from_ref(&report)).expect("no ids").is_empty();
                let may_start = !matches!(result, CellResult::Done(_)) && !lives && open.is_empty();
                assert_eq!(chosen, may_start, "{case}");
            }
        }
    }
    // Who was left behind at a rung is told beside `judge`.
    let all = CellState::ALL.into_iter().filter(|state| *state != CellState::Stopped);
    assert_eq!(seen, all.collect(), "every state is reached");
}

#[test]
fn a_log_that_was_deleted_is_made_up_for_by_the_queue() {
    let queued = |id: &str, is_ours| QueuedJob {
        id: id.into(),
        cell: "a".into(),
        state: JobState::Running,
        reason: None,
        is_ours,
    };
    let jobs = vec![queued("7.0", true), queued("8.0", false), queued("9.0", false)];
    let queue = Queue::Holds(Content { asked: ASKED.into(), jobs, ..Content::default() });
    // Of a folder that was moved: only the job that a submission of this sweep names.
    let rows = [(9, vec!["a".to_owned()])].into();
    let submissions = Submissions { rows, dag: None };
    let nameless = Job { latest: Some(BEFORE.into()), ..Job::new("7.0".into()) };
    let log = JobLog { jobs: vec![nameless], ..JobLog::default() };
    let found = believed(&[cell("a")], log, &queue, &submissions, |_| true);
    let seen: Vec<_> =
        found.jobs.iter().map(|job| (job.id.as_str(), job.cell.as_deref(), job.state)).collect();
    assert_eq!(seen, [("7.0", Some("a"), JobState::Running), ("9.0", Some("a"), JobState::Running)]);
}

#[test]
fn without_a_queue_what_was_submitted_and_has_not_ended_is_believed_to_wait() {
    let cells = [cell("a"), cell("b"), cell("c")];
    let waiting = |factories: &[(u64, bool)], rows: &[(u64, &[&str])]| {
        let log = JobLog {
            jobs: vec![job(JobState::Completed, BEFORE)],
            factories: factories.iter().copied().collect(),
            ..JobLog::default()
        };
        let rows =
            rows.iter().map(|(cluster, ids)| (*cluster, ids.iter().map(|id| (*id).to_owned()).collect()));
        let submissions = Submissions { rows: rows.collect(), dag: None };
        let found = believed(&cells, log, &Queue::Silent("?".into()), &submissions, |_| true);
        let open = found.jobs.iter().filter(|job| job.state.is_open());
        let cells: Vec<String> = open.filter_map(|job| job.cell.clone()).collect();
        assert_eq!(found.unasked, cells.len());
        cells.join(" ")
    };
    assert_eq!(waiting(&[], &[]), "");
    assert_eq!(waiting(&[(7, true)], &[(7, &["a", "b"])]), "b", "a cluster at work, by its rows");
    assert_eq!(waiting(&[(7, true)], &[]), "b c", "submitted by hand: all rows");
    assert_eq!(waiting(&[(7, false)], &[(7, &["a", "b"])]), "", "a cluster that has ended");
    assert_eq!(waiting(&[], &[(7, &["a", "c"])]), "c", "a log that begins after the submission");
}

#[test]
fn a_job_of_another_machines_queue_is_not_missed_in_this_one() {
    let log = || JobLog { jobs: vec![job(JobState::Queued, BEFORE)], ..JobLog::default() };
    let state = |is_here: bool| {
        let found =
            believed(&[cell("a")], log(), &queue(Said::Nothing), &Submissions::default(), |_| is_here);
        (found.jobs[0].state, found.unasked)
    };
    assert_eq!(state(true), (JobState::Gone, 0));
    assert_eq!(state(false), (JobState::Queued, 1));
    assert!(is_one_of("node7.example", &["NODE7".into()]) && !is_one_of("node8", &["node7".into()]));
}

#[test]
fn a_failure_from_before_a_retry_says_nothing_of_the_next_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = SweepDir::new(folder.path());
    let cell = cell("a");
    let place = dir.cell("a");
    std::fs::create_dir_all(place.run()).expect("writable");
    let failed = Attempt {
        exit: Some(5),
        ending: Some(Ending::Failed),
        ..job(JobState::Completed, BEFORE).attempts.remove(0)
    };
    let jobs = [Job { attempts: vec![failed], ..job(JobState::Completed, BEFORE) }];
    let look = |jobs: &[Job]| {
        let jobs: Vec<_> = jobs.iter().collect();
        report(cell.clone(), &dir, &jobs, &slurm::Waiting::default(), &[], SystemTime::now())
            .expect("readable")
            .0
    };
    let before = look(&jobs);
    assert_eq!(before.state, CellState::Failed);
    for _ in 0..3 {
        crate::reset::reset(&place, &before.attempts).expect("writable");
    }
    let after = look(&jobs);
    assert_eq!((after.state, after.attempts.len()), (CellState::Missing, 1));
    assert!(place.path().join("run.1").exists() && !place.path().join("run.2").exists(), "for nothing");
    let again = Attempt { started: Some(AFTER.into()), ..jobs[0].attempts[0].clone() };
    let next = [jobs[0].clone(), Job { attempts: vec![again], ..jobs[0].clone() }];
    assert_eq!(look(&next).state, CellState::Failed, "it failed once more");
}

#[test]
fn what_a_finished_run_kept_apart_is_put_back_over_less_and_over_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = SweepDir::new(folder.path());
    let (cell, place) = (cell("a"), dir.cell("a"));
    std::fs::create_dir_all(place.finished()).expect("writable");
    let write = |path: &std::path::Path, state| {
        let outcome = Outcome { state, dataset: "d".into(), ..Outcome::begin(Some("a".into()), "1", 0.1, 1) };
        xray_artifacts::write_json(path, &outcome).expect("writable");
    };
    for name in ["metrics.jsonl", "env.json", "status.json"] {
        std::fs::write(place.finished().join(name), "whole").expect("writable");
    }
    // A run of before there were events, or without them, has none to put back.
    let events = place.run().join("events.out.tfevents.run");
    write(&place.finished().join("result.json"), State::Finished);
    let whole = std::fs::read(place.finished().join("result.json")).expect("just written");
    for less in [State::Started, State::Training, State::Interrupted, State::Failed, State::Diverged] {
        write(&place.result(), less);
        std::fs::write(place.metrics(), "cut").expect("writable");
        assert!(
            matches!(CellResult::read(&cell, &place).expect("readable"), CellResult::Done(_)),
            "{less:?}"
        );
        assert_eq!(std::fs::read(place.result()).expect("there"), whole);
        assert_eq!(std::fs::read(place.metrics()).expect("there"), b"whole");
        assert!(!events.exists() || std::fs::read(&events).expect("there") == b"kept", "{less:?}");
        std::fs::write(place.finished().join("events"), "kept").expect("writable");
    }
    assert!(events.exists());
    std::fs::write(place.result(), &whole[..whole.len() / 2]).expect("writable");
    assert!(
        matches!(CellResult::read(&cell, &place).expect("readable"), CellResult::Damaged(_)),
        "damage is told"
    );
    std::fs::remove_file(place.result()).expect("there");
    assert_eq!(CellResult::read(&cell, &place).expect("readable"), CellResult::Absent, "somebody removed it");
}
