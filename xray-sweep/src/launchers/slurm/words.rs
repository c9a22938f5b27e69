//! What jobs and Slurm itself say in the files below `slurm/`, one for all tasks of an array. Where Slurm killed a job as a
//! whole, nothing else is left to tell why.

use crate::attempt::{Attempt, Ending, Launcher};
use crate::out_of_memory;
use crate::sweep_dir::SweepDir;
use std::fs;

/// A job's first words: by which number Slurm speaks of this task of an array.
pub(super) fn task_line(task: &str, number: &str) -> String {
    format!("task {task} is job {number}")
}

/// What Slurm says of the memory of the job `12_3`, if it ended it for that.
pub(super) fn memory_line(dir: &SweepDir, job: &str) -> Option<String> {
    let array = job.split('_').next().unwrap_or(job);
    // A person may have sent the words elsewhere; then the reason stays unknown.
    let words = fs::read(dir.slurm().join(format!("{array}.txt"))).ok()?;
    let words = String::from_utf8_lossy(&words);
    let number = words.lines().rev().find_map(|line| line.strip_prefix(&task_line(job, "")));
    out_of_memory::line_of(&words, number?).map(str::to_owned)
}

/// Writes into starts that have no end how Slurm ended them, where it says so.
pub(crate) fn explain(dir: &SweepDir, attempts: &mut [Attempt]) {
    let is_open = |attempt: &&mut Attempt| {
        attempt.launcher == Launcher::Slurm && attempt.ended.is_none() && attempt.ending.is_none()
    };
    for attempt in attempts.iter_mut().filter(is_open) {
        if let Some(line) = memory_line(dir, &attempt.job) {
            (attempt.ending, attempt.out_of_memory, attempt.reason) =
                (Some(Ending::Failed), true, Some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_without_an_end_is_told_of_its_memory_by_its_own_number() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = SweepDir::new(folder.path());
        fs::create_dir_all(dir.slurm()).expect("writable");
        let words = "task 12_0 is job 13\ntask 12_1 is job 12\n\
                     slurmstepd: error: Detected 1 oom_kill event in StepId=12.batch. Some of the step tasks have been OOM \
                     Killed.\n";
        fs::write(dir.slurm().join("12.txt"), words).expect("writable");
        let start = |job: &str, launcher, ending| Attempt {
            job: job.to_owned(),
            launcher,
            ending,
            ..Attempt::default()
        };
        let mut attempts = [
            start("12_0", Launcher::Slurm, None),
            start("12_1", Launcher::Slurm, None),
            start("12_1", Launcher::Slurm, Some(Ending::Finished)),
            start("12_1", Launcher::Local, None),
            start("14_1", Launcher::Slurm, None),
        ];
        explain(&dir, &mut attempts);
        let told = attempts.each_ref().map(|attempt| attempt.out_of_memory);
        assert_eq!(told, [false, true, false, false, false]);
        assert_eq!(
            attempts[1].ending_text(),
            "out of memory: Detected 1 oom_kill event in StepId=12.batch. Some of the step tasks have been OOM Killed."
        );
    }
}
