//! How HTCondor and Slurm say that they ended a job because it used more memory than it had asked for.

/// What tells such a hold of HTCondor from another one with the same code.
#[derive(Clone, Copy)]
enum Sign {
    /// Its sub-code.
    SubCode(u32),
    /// Any sub-code but this one.
    NotSubCode(u32),
    /// A word of its reason, whatever its case.
    Word(&'static str),
}

/// Holds for want of memory, by their codes.
const HOLDS: [(u32, Sign); 5] = [
    // A limit of the machine's control groups; 104 is that of the disk.
    (34, Sign::NotSubCode(104)),
    // The machine's policy (WANT_HOLD), whose ready-made form is HOLD_IF_MEMORY_EXCEEDED.
    (21, Sign::SubCode(102)),
    (21, Sign::Word("memory")),
    // The access point's policy (SYSTEM_PERIODIC_HOLD), whose reason and sub-code its administrator chooses.
    (26, Sign::SubCode(102)),
    (26, Sign::Word("memory")),
];

/// Whether a hold with these numbers and this reason is one for want of memory.
pub(crate) fn is_hold(code: Option<u32>, sub_code: Option<u32>, reason: Option<&str>) -> bool {
    let shows = |sign| match sign {
        Sign::SubCode(number) => sub_code == Some(number),
        Sign::NotSubCode(number) => sub_code != Some(number),
        Sign::Word(word) => reason.is_some_and(|reason| reason.to_ascii_lowercase().contains(word)),
    };
    HOLDS.iter().any(|&(number, sign)| code == Some(number) && shows(sign))
}

/// The same as a ClassAd expression on a held job.
pub(crate) fn hold_expression() -> String {
    let term = |&(code, sign): &(u32, Sign)| {
        let sign = match sign {
            Sign::SubCode(number) => format!("HoldReasonSubCode =?= {number}"),
            Sign::NotSubCode(number) => format!("HoldReasonSubCode =!= {number}"),
            Sign::Word(word) => format!("regexp(\"{word}\", HoldReason ?: \"\", \"i\")"),
        };
        format!("(HoldReasonCode =?= {code} && {sign})")
    };
    format!("({})", HOLDS.iter().map(term).collect::<Vec<_>>().join(" || "))
}

/// What Slurm calls a job that it ended so, and the reason that it gives, in `scontrol show job`.
const STATES: [&str; 2] = ["JobState=OUT_OF_MEMORY", "Reason=OutOfMemory"];

/// Whether `scontrol show job` shows a job that ended for want of memory.
pub(crate) fn is_state(shown: &str) -> bool {
    shown.split_whitespace().any(|field| STATES.contains(&field))
}

/// What Slurm's `slurmstepd` says among the words of a job: the kernel ended a process of the job's control group, or
/// `OverMemoryKill` ended the job. In the forms of all versions since 17.11.
const LINES: [&str; 5] = [
    "oom_kill event",
    "oom-kill event",
    "exceeded memory limit",
    "exceeded virtual memory limit",
    "exceeded step memory limit",
];

/// What Slurm says, in a file with the words of jobs, of the memory of the job `number`, if it ended it for that.
pub(crate) fn line_of<'a>(words: &'a str, number: &str) -> Option<&'a str> {
    let is_of_memory = |said: &str| LINES.iter().any(|kind| said.contains(kind));
    // `StepId=15.batch`, and before 20.11 `step 15.batch`.
    let is_of_job = |said: &str| {
        let behind = ["stepid=", "step ", "job "].iter().filter_map(|word| said.split_once(word));
        let rests = behind.filter_map(|(_, rest)| rest.strip_prefix(number));
        rests.into_iter().any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    };
    // `slurmstepd: error: ...`; with several daemons on a machine `slurmstepd-node7: error: ...`.
    let said = |line: &'a str| line.trim().strip_prefix("slurmstepd")?.split_once(": error: ");
    words.lines().filter_map(said).map(|(_, said)| said).find(|said| {
        let said = said.to_ascii_lowercase();
        is_of_memory(&said) && is_of_job(&said)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of hold that HTCondor's manual describes, with the words of its programs, and those that look alike.
    #[test]
    fn every_hold_for_want_of_memory_is_known() {
        let check = |code, sub_code, reason: &str, expected| {
            assert_eq!(
                is_hold(Some(code), Some(sub_code), Some(reason)),
                expected,
                "{code} {sub_code} {reason}"
            );
        };
        let of_cgroup = "Error from slot1_1@node: Job has gone over cgroup memory limit of 512 megabytes. Last measured \
                         usage: 511 megabytes.  Consider resubmitting with a higher request_memory.";
        check(34, 0, of_cgroup, true);
        check(34, 102, of_cgroup, true);
        check(34, 0, "Job has encountered an out-of-memory event.", true);
        check(34, 104, "Job has exceeded request_disk", false);
        check(21, 102, "memory usage exceeded request_memory", true);
        check(21, 7, "Memory usage too high", true);
        check(21, 104, "disk usage exceeded request_disk", false);
        check(26, 102, "over the limit", true);
        check(
            26,
            0,
            "The system macro SYSTEM_PERIODIC_HOLD expression 'MemoryUsage > RequestMemory' evaluated to TRUE",
            true,
        );
        check(26, 0, "Job held by SYSTEM_PERIODIC_HOLD due to wall time exceeded", false);
        check(1, 0, "via condor_hold (by user me): uses too much memory", false);
        check(3, 10_137, "killed, perhaps out of memory, on x86_64-v2", false);
        check(13, 256, "cannot be fetched", false);
        assert!(!is_hold(None, None, Some("memory")));
    }

    #[test]
    fn the_submit_file_has_the_same_rule() {
        assert_eq!(
            hold_expression(),
            "((HoldReasonCode =?= 34 && HoldReasonSubCode =!= 104) || \
             (HoldReasonCode =?= 21 && HoldReasonSubCode =?= 102) || \
             (HoldReasonCode =?= 21 && regexp(\"memory\", HoldReason ?: \"\", \"i\")) || \
             (HoldReasonCode =?= 26 && HoldReasonSubCode =?= 102) || \
             (HoldReasonCode =?= 26 && regexp(\"memory\", HoldReason ?: \"\", \"i\")))"
        );
    }

    /// As Slurm 17.11, 18.08, 20.11 and later write them, among the words of other tasks of the array.
    #[test]
    fn every_line_of_slurm_on_memory_is_known() {
        for line in [
            "slurmstepd: error: Detected 1 oom_kill event in StepId=15.batch. Some of the step tasks have been OOM Killed.",
            "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=15.batch cgroup. Some of your processes may have been \
             killed by the cgroup out-of-memory handler.",
            "slurmstepd: error: Detected 1 oom-kill event(s) in step 15.batch cgroup.",
            "slurmstepd: error: StepId=15.batch exceeded memory limit (314572800 > 104857600), being killed",
            "slurmstepd: error: StepId=15.batch exceeded virtual memory limit (314572800 > 104857600), being killed",
            "slurmstepd: error: Step 15.4294967294 exceeded memory limit (314572800 > 104857600), being killed",
            "slurmstepd: error: Job 15 exceeded memory limit (307200 > 102400), being killed",
            "slurmstepd: error: StepId=15 exceeded step memory limit at some point.",
        ] {
            let words = format!(
                "fraction 1, trial 1 (a1): finished on new\n{line}\nslurmstepd: error: *** JOB 15 ***\n"
            );
            assert_eq!(line_of(&words, "15"), line.strip_prefix("slurmstepd: error: "));
            let of_node = words.replace("slurmstepd:", "slurmstepd-new:");
            assert_eq!(line_of(&of_node, "15"), line_of(&words, "15"));
            for other in ["1", "5", "150", "16"] {
                assert_eq!(line_of(&words, other), None, "{line}");
            }
        }
        for other in [
            "slurmstepd: error: *** JOB 15 ON new CANCELLED AT 2026-12-01T10:00:00 ***",
            "slurmstepd: error: *** JOB 15 ON new CANCELLED AT 2026-12-01T10:00:00 DUE TO TIME LIMIT ***",
            "xray-train: StepId=15.batch exceeded memory limit",
        ] {
            assert_eq!(line_of(other, "15"), None, "{other}");
        }
    }

    #[test]
    fn the_state_of_a_job_tells_it() {
        assert!(is_state("JobId=15 JobName=sweep JobState=OUT_OF_MEMORY Reason=None ExitCode=0:125"));
        assert!(is_state("JobId=15 JobState=FAILED Reason=OutOfMemory Dependency=(null)"));
        assert!(!is_state("JobId=15 JobState=CANCELLED Reason=None ExitCode=0:9"));
    }
}
