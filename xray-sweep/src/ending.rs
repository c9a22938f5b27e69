//! How a start of a job ended, in words.

use crate::attempt::{Attempt, Ending};
use crate::signal::{self, ILLEGAL_INSTRUCTION, KILLED, behind_a_shell};
use xray_artifacts::Exit;

/// Exit codes after which another start would end the same way, on whatever machine: the retry policy of the
/// submit file has them from here.
pub(crate) const FOR_GOOD: [Exit; 5] =
    [Exit::Usage, Exit::BadData, Exit::Diverged, Exit::ModelMismatch, Exit::DamagedFile];

impl Attempt {
    /// Whether it died of an instruction that its machine does not have, directly or behind a shell.
    pub fn is_illegal_instruction(&self) -> bool {
        self.signal == Some(ILLEGAL_INSTRUCTION) || self.exit == Some(behind_a_shell(ILLEGAL_INSTRUCTION))
    }

    /// Whether it was killed at once, directly or behind a shell: most often for want of memory.
    pub fn is_killed(&self) -> bool {
        self.signal == Some(KILLED) || self.exit == Some(behind_a_shell(KILLED))
    }

    /// Whether what it had asked for was too little memory, as far as anybody can tell: the next start asks for more.
    pub fn died_of_memory(&self) -> bool {
        self.out_of_memory || self.is_killed()
    }

    /// Seconds that it took; none while it runs.
    pub fn seconds(&self) -> Option<u64> {
        let time = |text: &Option<String>| humantime::parse_rfc3339(text.as_deref()?).ok();
        Some(time(&self.ended)?.duration_since(time(&self.started)?).ok()?.as_secs())
    }

    /// Where it ran, as far as known: `node7 (x86_64-v2)`.
    pub fn place(&self) -> String {
        let host = self.host.as_deref().unwrap_or("an unknown machine");
        match &self.microarch {
            Some(microarch) => format!("{host} ({microarch})"),
            None => host.to_owned(),
        }
    }

    /// How it ended: `illegal instruction`, `exit code 5 (data)`, `evicted`; `running` before that.
    pub fn ending_text(&self) -> String {
        let text = match (self.ending, self.signal, self.exit) {
            _ if self.out_of_memory => "out of memory".to_owned(),
            _ if self.is_illegal_instruction() => "illegal instruction".to_owned(),
            (_, Some(signal), _) => signal::text(signal),
            (Some(Ending::Checkpointed), ..) => "saved a checkpoint".to_owned(),
            (Some(Ending::Finished), ..) => "finished".to_owned(),
            (Some(Ending::Failed), _, Some(code)) => exit_text(code),
            (Some(Ending::Failed), ..) => "failed".to_owned(),
            (Some(Ending::Evicted), ..) => "evicted".to_owned(),
            (Some(Ending::Held), ..) => "held".to_owned(),
            (Some(Ending::Undelivered), ..) => "undelivered".to_owned(),
            (Some(Ending::Removed), ..) => "removed".to_owned(),
            (Some(Ending::Lost), ..) => "lost".to_owned(),
            (None, ..) if self.ended.is_none() => "no end seen".to_owned(),
            (None, ..) => "ended".to_owned(),
        };
        match &self.reason {
            Some(reason) if !reason.contains(&text) => format!("{text}: {reason}"),
            Some(reason) => reason.clone(),
            None => text,
        }
    }
}

fn exit_text(code: u8) -> String {
    let meaning = match Exit::from_code(code) {
        Some(Exit::Usage) => "configuration",
        Some(Exit::NothingMatches) => "nothing matches",
        Some(Exit::BadData) => "data",
        Some(Exit::Diverged) => "diverged",
        Some(Exit::ModelMismatch) => "another model or plan",
        Some(Exit::DamagedFile) => "a planned file is damaged",
        Some(Exit::WrongShard) => "a fetched shard is not the planned one",
        Some(Exit::CannotRunHere) => "this machine cannot run it",
        Some(Exit::Checkpointed) => "a checkpoint is saved",
        Some(Exit::Interrupted | Exit::Terminated) => "stopped",
        Some(Exit::Ok | Exit::Unexpected | Exit::SweepIncomplete) | None => {
            return format!("exit code {code}");
        }
    };
    format!("exit code {code} ({meaning})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::consts::SIGSEGV;

    fn check(attempt: Attempt, expected: &str) {
        assert_eq!(attempt.ending_text(), expected);
    }

    #[test]
    fn an_ending_reads_as_a_sentence() {
        let failed = || Attempt { ending: Some(Ending::Failed), ..Attempt::default() };
        check(Attempt { signal: Some(ILLEGAL_INSTRUCTION), ..failed() }, "illegal instruction");
        check(Attempt { exit: Some(behind_a_shell(ILLEGAL_INSTRUCTION)), ..failed() }, "illegal instruction");
        check(Attempt { signal: Some(SIGSEGV as u8), ..failed() }, "segmentation fault (SIGSEGV)");
        check(Attempt { exit: Some(Exit::BadData.code()), ..failed() }, "exit code 5 (data)");
        check(
            Attempt { exit: Some(Exit::DamagedFile.code()), ..failed() },
            "exit code 8 (a planned file is damaged)",
        );
        check(Attempt { exit: Some(Exit::Unexpected.code()), ..failed() }, "exit code 1");
        let reason = |reason: &str| Some(reason.to_owned());
        let cancelled = Attempt { ending: Some(Ending::Removed), out_of_memory: true, ..Attempt::default() };
        check(cancelled.clone(), "out of memory");
        check(
            Attempt { reason: reason("StepId=15.batch exceeded memory limit (2 > 1)"), ..cancelled },
            "out of memory: StepId=15.batch exceeded memory limit (2 > 1)",
        );
        let held = Attempt { ending: Some(Ending::Held), reason: reason("disk full"), ..Attempt::default() };
        check(held, "held: disk full");
        check(
            Attempt {
                reason: reason("illegal instruction on v2"),
                signal: Some(ILLEGAL_INSTRUCTION),
                ..failed()
            },
            "illegal instruction on v2",
        );
        check(Attempt::default(), "no end seen");
    }
}
