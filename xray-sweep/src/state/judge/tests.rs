use super::*;
use crate::signal::{ILLEGAL_INSTRUCTION, KILLED, behind_a_shell};
use signal_hook::consts::SIGSEGV;
use xray_artifacts::State;

fn outcome(state: State, reason: Option<&str>) -> Box<Outcome> {
    Box::new(Outcome {
        state,
        reason: reason.map(str::to_owned),
        train_images: 10,
        dataset: "d".into(),
        ..Outcome::begin(Some("a".into()), "1", 0.1, 1)
    })
}

fn job(state: JobState, reason: Option<&str>) -> Job {
    let reason = reason.map(str::to_owned);
    Job { cell: Some("a".into()), state, reason, ..Job::new("7.0".into()) }
}

fn ended(ending: Ending) -> Attempt {
    Attempt {
        host: Some("node7".into()),
        microarch: Some("x86_64-v2".into()),
        ended: Some("2026-11-23T10:00:00Z".into()),
        ending: Some(ending),
        ..Attempt::default()
    }
}

fn check(
    result: &CellResult,
    jobs: &[Job],
    lives: bool,
    latest: Option<&Attempt>,
    expected: (CellState, Option<&str>),
) {
    let jobs: Vec<&Job> = jobs.iter().collect();
    let (state, reason) =
        judge(&Evidence { result, climb: &Climb::default(), jobs: &jobs, lives, latest }, || {
            Ok(Some("boom".into()))
        })
        .expect("nothing is read");
    assert_eq!((state, reason.as_deref()), expected);
}

#[test]
fn a_complete_result_decides_whatever_the_logs_say() {
    let done = CellResult::Done(outcome(State::Finished, None));
    for state in [JobState::Running, JobState::Held, JobState::Queued, JobState::Removed] {
        check(&done, &[job(state, Some("why"))], true, Some(&ended(Ending::Failed)), (CellState::Done, None));
    }
}

#[test]
fn what_goes_on_comes_before_what_has_ended() {
    let failed = CellResult::Failed(outcome(State::Failed, Some("bad")));
    let (removed, held) = (job(JobState::Removed, None), job(JobState::Held, Some("disk full (code 12)")));
    let queued = job(JobState::Queued, None);
    check(&failed, &[], true, None, (CellState::Running, None));
    check(&failed, &[job(JobState::Running, None), held.clone()], false, None, (CellState::Running, None));
    check(&failed, &[queued.clone(), held], false, None, (CellState::Held, Some("disk full (code 12)")));
    check(&failed, &[queued, removed.clone()], false, None, (CellState::Queued, None));
    check(&failed, &[removed], false, None, (CellState::Failed, Some("bad; stderr: boom")));
    let stale = CellResult::Stale("other data".into());
    check(&stale, &[], false, None, (CellState::Stale, Some("other data")));
}

#[test]
fn what_rests_at_a_rung_rests_and_what_goes_on_from_it_may_be_started() {
    let stopped = CellResult::Stopped(outcome(State::Stopped, Some("as asked")));
    let judged = |rest, latest: Option<&Attempt>, jobs: &[&Job]| {
        let climb = Climb { scores: vec![Some(0.61)], rest, ..Climb::default() };
        let evidence = Evidence { result: &stopped, climb: &climb, jobs, lives: false, latest };
        judge(&evidence, || Ok(None)).expect("nothing is read")
    };
    let is = |found: (CellState, Option<String>), state, why: &str| {
        assert_eq!(found, (state, Some(why.to_owned())));
    };
    let finished = ended(Ending::Finished);
    let left = Some(Rest::Left { rung: 1, place: 7, of: 9 });
    is(judged(left, Some(&finished), &[]), CellState::Stopped, "stopped at rung 1 (0.610, 7 of 9)");
    // The queue may not know yet that its job is over.
    let running = job(JobState::Running, None);
    is(
        judged(Some(Rest::Waits { rung: 1 }), None, &[&running]),
        CellState::Waiting,
        "waits at rung 1 (0.610)",
    );
    is(judged(None, Some(&finished), &[]), CellState::Waiting, "continues from rung 1 (0.610)");
    assert_eq!(judged(None, Some(&finished), &[&running]).0, CellState::Running);
    assert_eq!(judged(None, Some(&ended(Ending::Removed)), &[]).0, CellState::Lost);
}

#[test]
fn an_illegal_instruction_is_a_failure_with_its_machine() {
    let died = Attempt { signal: Some(ILLEGAL_INSTRUCTION), ..ended(Ending::Failed) };
    let expected = (CellState::Failed, Some("illegal instruction on node7 (x86_64-v2)"));
    check(&CellResult::Absent, &[job(JobState::Completed, None)], false, Some(&died), expected);
    let started = CellResult::Unfinished(outcome(State::Started, None));
    check(
        &started,
        &[],
        false,
        Some(&Attempt { signal: None, exit: Some(behind_a_shell(ILLEGAL_INSTRUCTION)), ..died }),
        expected,
    );
}

#[test]
fn what_ended_without_a_word_is_lost_with_its_reason() {
    let lost = |result: &CellResult, jobs: &[Job], latest: Option<&Attempt>, why: &str| {
        check(result, jobs, false, latest, (CellState::Lost, Some(why)));
    };
    let completed = [job(JobState::Completed, None)];
    let killed = Attempt { signal: Some(SIGSEGV as u8), ..ended(Ending::Failed) };
    let place = "node7 (x86_64-v2); stderr: boom";
    lost(&CellResult::Absent, &completed, Some(&killed), &format!("segmentation fault (SIGSEGV) on {place}"));
    let bad = Attempt { exit: Some(Exit::Unexpected.code()), ..ended(Ending::Failed) };
    lost(&CellResult::Absent, &[], Some(&bad), &format!("exit code 1 on {place}"));
    let open = Attempt { ended: None, ending: None, ..killed.clone() };
    let gone = Attempt { signal: None, ..open };
    lost(
        &CellResult::Absent,
        &[],
        Some(&gone),
        &format!("its process on {place}").replace("; ", " is gone; "),
    );
    let removed = [job(JobState::Removed, Some("via condor_rm"))];
    lost(&CellResult::Absent, &removed, Some(&killed), "job 7.0 was removed: via condor_rm; stderr: boom");
    let gone = [job(JobState::Gone, None)];
    let left = "job 7.0 left the queue, and the log does not record how it ended; stderr: boom";
    lost(&CellResult::Absent, &gone, Some(&killed), left);
    lost(&CellResult::Damaged("its hash differs".into()), &[], None, "its hash differs");
    let finished = format!("it finished on {}", place.replace("; ", ", and its result did not arrive; "));
    lost(&CellResult::Absent, &[], Some(&ended(Ending::Finished)), &finished);
}

#[test]
fn nothing_at_all_is_missing() {
    check(&CellResult::Absent, &[], false, None, (CellState::Missing, None));
}

#[test]
fn an_exit_code_that_would_come_again_is_a_failure_and_another_is_a_loss() {
    let state = |exit| {
        let attempt = Attempt { exit: Some(exit), ..ended(Ending::Failed) };
        let evidence = Evidence {
            result: &CellResult::Absent,
            climb: &Climb::default(),
            jobs: &[],
            lives: false,
            latest: Some(&attempt),
        };
        judge(&evidence, || Ok(None)).expect("nothing is read").0
    };
    let again = [Exit::Usage, Exit::BadData, Exit::Diverged, Exit::ModelMismatch, Exit::CannotRunHere];
    for exit in again {
        assert_eq!(state(exit.code()), CellState::Failed, "{exit:?}");
    }
    const PANICKED: u8 = 101;
    for exit in [Exit::Unexpected.code(), PANICKED, behind_a_shell(KILLED)] {
        assert_eq!(state(exit), CellState::Lost, "{exit}");
    }
}
