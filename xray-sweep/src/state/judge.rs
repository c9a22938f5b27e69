//! The rules by which a cell's state follows from what was found.

use super::CellState;
use crate::attempt::{Attempt, Ending};
use crate::cell_result::{CellResult, Outcome};
use crate::ending::FOR_GOOD;
use crate::job_log::{Job, JobState};
use crate::rungs::{Climb, Rest};
use xray_artifacts::{Exit, FileError};

/// What was found of a cell.
pub(super) struct Evidence<'a> {
    pub(super) result: &'a CellResult,
    /// Where it stands between rungs.
    pub(super) climb: &'a Climb,
    /// Its jobs on a pool, in the order of their submission.
    pub(super) jobs: &'a [&'a Job],
    /// Whether it runs without a pool.
    pub(super) lives: bool,
    /// Its latest start, wherever.
    pub(super) latest: Option<&'a Attempt>,
}

/// A cell's state, and why it is not done. A complete result decides, whatever the logs say; then what still
/// goes on; then what has ended. `last_line` is what the trainer said last, asked for only where it helps.
///
/// # Errors
/// Those of `last_line`.
pub(super) fn judge(
    evidence: &Evidence<'_>,
    last_line: impl FnOnce() -> Result<Option<String>, FileError>,
) -> Result<(CellState, Option<String>), FileError> {
    let Evidence { result, climb, jobs, lives, latest } = evidence;
    let job = |state: JobState| jobs.iter().rev().find(|job| job.state == state);
    if matches!(result, CellResult::Done(_)) {
        return Ok((CellState::Done, None));
    }
    if let (CellResult::Stopped(_), Some(rest)) = (result, climb.rest) {
        let state = if matches!(rest, Rest::Left { .. }) { CellState::Stopped } else { CellState::Waiting };
        return Ok((state, climb.text()));
    }
    if *lives || job(JobState::Running).is_some() {
        return Ok((CellState::Running, None));
    }
    if let Some(job) = job(JobState::Held) {
        return Ok((CellState::Held, job.reason.clone()));
    }
    if job(JobState::Queued).is_some() {
        return Ok((CellState::Queued, None));
    }
    Ok(match result {
        CellResult::Failed(outcome) => (CellState::Failed, Some(failed(outcome, last_line()?))),
        CellResult::Stale(why) => (CellState::Stale, Some(why.clone())),
        _ if latest.is_some_and(Attempt::is_illegal_instruction) => {
            let place = latest.map(Attempt::place).unwrap_or_default();
            (CellState::Failed, Some(format!("illegal instruction on {place}")))
        }
        CellResult::Damaged(why) => (CellState::Lost, Some(why.clone())),
        CellResult::Stopped(outcome) if latest.is_none_or(|last| last.ending == Some(Ending::Finished)) => {
            (CellState::Waiting, climb.text().or_else(|| outcome.reason.clone()))
        }
        CellResult::Absent | CellResult::Unfinished(_) | CellResult::Stopped(_) | CellResult::Done(_) => {
            ended_without_a_word(evidence, last_line)?
        }
    })
}

fn failed(outcome: &Outcome, last_line: Option<String>) -> String {
    let reason = outcome.reason.clone().unwrap_or_else(|| "it failed without a reason".to_owned());
    match last_line {
        // Mostly the reason itself.
        Some(line) if !line.contains(reason.as_str()) && !reason.contains(&line) => {
            format!("{reason}; stderr: {line}")
        }
        _ => reason,
    }
}

fn ended_without_a_word(
    evidence: &Evidence<'_>,
    last_line: impl FnOnce() -> Result<Option<String>, FileError>,
) -> Result<(CellState, Option<String>), FileError> {
    let removed = evidence.jobs.last().filter(|job| matches!(job.state, JobState::Removed | JobState::Gone));
    let why = match (evidence.latest, removed, evidence.result) {
        (_, Some(job), _) if job.state == JobState::Gone => {
            format!("job {} left the queue, and the log does not record how it ended", job.id)
        }
        (_, Some(job), _) => match &job.reason {
            Some(reason) => format!("job {} was removed: {reason}", job.id),
            None => format!("job {} was removed", job.id),
        },
        (Some(attempt), ..) => of_attempt(attempt),
        (None, None, CellResult::Unfinished(outcome)) => {
            outcome.reason.clone().unwrap_or_else(|| "a run was started and is gone".to_owned())
        }
        (None, None, _) if !evidence.jobs.is_empty() => {
            "its job ended and was never seen to start".to_owned()
        }
        (None, None, _) => return Ok((CellState::Missing, None)),
    };
    let line = last_line()?.map(|line| format!("; stderr: {line}")).unwrap_or_default();
    let would_happen_again = evidence.latest.is_some_and(ended_for_good);
    let state = if would_happen_again { CellState::Failed } else { CellState::Lost };
    Ok((state, Some(why + &line)))
}

/// Whether another start would end the same way. So would a trainer that its machine cannot run: a pool has
/// tried better ones before that is the last word.
fn ended_for_good(attempt: &Attempt) -> bool {
    let exit = attempt.exit.and_then(Exit::from_code);
    exit.is_some_and(|exit| exit == Exit::CannotRunHere || FOR_GOOD.contains(&exit))
}

fn of_attempt(attempt: &Attempt) -> String {
    let place = attempt.place();
    match attempt.ending {
        None if attempt.ended.is_none() => format!("its process on {place} is gone"),
        Some(Ending::Finished) => format!("it finished on {place}, and its result did not arrive"),
        _ => format!("{} on {place}", attempt.ending_text()),
    }
}

#[cfg(test)]
mod tests;
