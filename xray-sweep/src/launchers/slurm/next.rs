//! What becomes of a cell after a start: the retry policy of a job on Slurm, as the submit file has it for HTCondor.

use crate::attempt::{Attempt, Ending, Launcher};
use crate::ending::FOR_GOOD;
use std::collections::BTreeSet;
use xray_artifacts::Exit;

/// How often a job that was killed is given more memory, and one that its machine cannot run another machine.
const ESCALATIONS: usize = 3;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: it is done, failed for good, or somebody took the job away.
    Nothing,
    /// The job is started again; as another job, where jobs may not be requeued.
    Again(Anew),
    /// Another job.
    Anew(Anew),
    /// Nothing any more, and why.
    Enough(String),
}

/// What another job asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Anew {
    /// Factor by which its memory grows.
    pub(super) memory_factor: u64,
    /// Machines that it does not run on.
    pub(super) exclude: BTreeSet<String>,
    /// Whether any of those would do where there is no other.
    pub(super) may_return: bool,
}

/// What a job knows of its last start beside the attempt itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whether Slurm still lets the job run: then it was told to save for its time limit, and not cancelled.
    pub(super) goes_on: bool,
    /// Whether the run is further than it was before.
    pub(super) has_moved: bool,
}

/// By how much the memory that a cell asks for grows after these starts.
pub(super) fn memory_factor(attempts: &[Attempt]) -> u64 {
    1 + deaths_of_memory(attempts).min(ESCALATIONS) as u64
}

/// Whether a cell whose job Slurm killed as a whole is to be submitted again with more memory.
pub(crate) fn starves(attempts: &[Attempt]) -> bool {
    let is_last = attempts.last().is_some_and(|last| last.launcher == Launcher::Slurm && last.out_of_memory);
    is_last && deaths_of_memory(attempts) <= ESCALATIONS
}

fn deaths_of_memory(attempts: &[Attempt]) -> usize {
    attempts.iter().filter(|attempt| attempt.died_of_memory()).count()
}

/// Decides by the starts since the cell was made ready, of which the last has just ended.
pub(super) fn next(attempts: &[Attempt], seen: Seen, retries: u32) -> Next {
    let Some(last) = attempts.last() else { return Next::Nothing };
    let of = |is: fn(&Attempt) -> bool| attempts.iter().filter(move |attempt| is(attempt));
    let hosts = |is: fn(&Attempt) -> bool| of(is).filter_map(|attempt| attempt.host.clone()).collect();
    let another = |exclude, may_return| Anew { memory_factor: memory_factor(attempts), exclude, may_return };
    let anew = |exclude, may_return| Next::Anew(another(exclude, may_return));
    // It keeps what earlier starts have taught.
    let again = || Next::Again(another(hosts(is_unable), false));
    if last.died_of_memory() {
        let is_enough = deaths_of_memory(attempts) > ESCALATIONS;
        return if is_enough { Next::Nothing } else { anew(hosts(is_unable), false) };
    }
    match last.ending {
        Some(Ending::Finished) => return Next::Nothing,
        Some(Ending::Checkpointed) => return again(),
        Some(Ending::Removed) if !seen.goes_on => return Next::Nothing,
        Some(Ending::Removed) if seen.has_moved => return again(),
        Some(Ending::Removed) => {
            return Next::Enough(
                "the time limit ended it before it made progress; give it more with --sbatch=--time=… when planning"
                    .to_owned(),
            );
        }
        _ => {}
    }
    if is_unable(last) {
        if of(is_unable).count() > ESCALATIONS {
            return Next::Nothing;
        }
        // Slurm does not know which processors are better: any other machine may do.
        return anew(hosts(is_unable), false);
    }
    let exit = last.exit.and_then(Exit::from_code);
    if exit.is_some_and(|exit| FOR_GOOD.contains(&exit)) || of(is_failure).count() > retries as usize {
        return Next::Nothing;
    }
    anew(hosts(is_failure), true)
}

/// Whether its machine cannot run the program.
fn is_unable(attempt: &Attempt) -> bool {
    attempt.is_illegal_instruction() || attempt.exit == Some(Exit::CannotRunHere.code())
}

/// Any other failure, which may pass. A machine that died has left no end.
fn is_failure(attempt: &Attempt) -> bool {
    attempt.ending == Some(Ending::Failed) && !is_unable(attempt) && !attempt.died_of_memory()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{ILLEGAL_INSTRUCTION, KILLED, behind_a_shell};

    fn ended(ending: Ending) -> Attempt {
        Attempt { ending: Some(ending), host: Some("node1".to_owned()), ..Attempt::default() }
    }

    fn exit(code: u8) -> Attempt {
        Attempt { exit: Some(code), ..ended(Ending::Failed) }
    }

    fn signal(signal: u8) -> Attempt {
        Attempt { signal: Some(signal), ..ended(Ending::Failed) }
    }

    fn decide(attempts: &[Attempt]) -> Next {
        next(attempts, Seen { goes_on: true, has_moved: true }, 2)
    }

    fn anew(memory_factor: u64, exclude: &[&str], may_return: bool) -> Next {
        let exclude = exclude.iter().map(|&host| host.to_owned()).collect();
        Next::Anew(Anew { memory_factor, exclude, may_return })
    }

    #[test]
    fn what_was_saved_goes_on_unless_it_was_cancelled() {
        assert_eq!(decide(&[]), Next::Nothing);
        assert_eq!(decide(&[ended(Ending::Finished)]), Next::Nothing);
        let again = |memory_factor, exclude: &[&str]| {
            let Next::Anew(another) = anew(memory_factor, exclude, false) else {
                unreachable!("it is made so")
            };
            Next::Again(another)
        };
        assert_eq!(decide(&[ended(Ending::Checkpointed)]), again(1, &[]));
        let taught = [signal(KILLED), signal(ILLEGAL_INSTRUCTION), ended(Ending::Removed)];
        assert_eq!(decide(&taught), again(2, &["node1"]));
        assert_eq!(decide(&[ended(Ending::Removed)]), again(1, &[]));
        let removed = |goes_on, has_moved| next(&[ended(Ending::Removed)], Seen { goes_on, has_moved }, 2);
        assert_eq!(removed(false, true), Next::Nothing);
        assert!(matches!(removed(true, false), Next::Enough(why) if why.starts_with("the time limit")));
    }

    #[test]
    fn a_machine_that_cannot_run_it_is_left_three_times() {
        for bad in [signal(ILLEGAL_INSTRUCTION), exit(behind_a_shell(ILLEGAL_INSTRUCTION)), exit(78)] {
            let other = Attempt { host: Some("node2".to_owned()), ..bad.clone() };
            assert_eq!(decide(std::slice::from_ref(&bad)), anew(1, &["node1"], false));
            assert_eq!(decide(&[bad.clone(), other.clone()]), anew(1, &["node1", "node2"], false));
            assert_eq!(decide(&[bad.clone(), other.clone(), bad.clone(), other]), Next::Nothing);
        }
    }

    #[test]
    fn what_was_killed_gets_more_memory_three_times() {
        let mut attempts = vec![signal(ILLEGAL_INSTRUCTION)];
        for factor in 2..5 {
            attempts.push(Attempt { host: Some("node2".to_owned()), ..signal(KILLED) });
            assert_eq!(decide(&attempts), anew(factor, &["node1"], false));
        }
        attempts.push(exit(behind_a_shell(KILLED)));
        assert_eq!(decide(&attempts), Next::Nothing);
    }

    /// However it ended: `OverMemoryKill` cancels the job, so that it looks like one that a person took away.
    #[test]
    fn what_the_cluster_ended_for_its_memory_gets_more_of_it() {
        for ending in [Ending::Removed, Ending::Failed, Ending::Checkpointed] {
            let dead = Attempt { out_of_memory: true, ..ended(ending) };
            let goes_on = false;
            let decide = |attempts: &[Attempt]| next(attempts, Seen { goes_on, has_moved: false }, 2);
            assert_eq!(decide(std::slice::from_ref(&dead)), anew(2, &[], false));
            assert_eq!(decide(&[dead.clone(), signal(KILLED), dead.clone()]), anew(4, &[], false));
            assert_eq!(decide(&[dead.clone(), dead.clone(), dead.clone(), dead]), Next::Nothing);
        }
    }

    #[test]
    fn what_slurm_killed_as_a_whole_starves_until_it_was_given_more_three_times() {
        let dead = Attempt { launcher: Launcher::Slurm, out_of_memory: true, ..ended(Ending::Failed) };
        assert!(starves(&[exit(1), dead.clone()]));
        assert!(starves(&[dead.clone(), dead.clone(), dead.clone()]));
        assert!(!starves(&[dead.clone(), dead.clone(), dead.clone(), dead.clone()]));
        assert!(!starves(&[dead.clone(), exit(1)]) && !starves(&[]));
        assert!(!starves(&[Attempt { launcher: Launcher::Condor, ..dead }]));
    }

    #[test]
    fn other_failures_are_tried_elsewhere_unless_they_would_come_again() {
        for code in FOR_GOOD {
            assert_eq!(decide(&[exit(code.code())]), Next::Nothing, "{code:?}");
        }
        assert_eq!(decide(&[exit(1)]), anew(1, &["node1"], true));
        assert_eq!(decide(&[exit(1), signal(11)]), anew(1, &["node1"], true));
        assert_eq!(decide(&[exit(1), exit(1), exit(1)]), Next::Nothing);
        // What has other causes does not count.
        let lost = Attempt { host: Some("node3".to_owned()), ..Attempt::default() };
        assert_eq!(decide(&[exit(1), signal(KILLED), lost, exit(1)]), anew(2, &["node1"], true));
    }
}
