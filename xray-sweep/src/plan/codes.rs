//! Exit codes and signals by name, for the policies of the submit file.

use crate::ending::FOR_GOOD;
use crate::signal::{self, KILLS, PER_KILL, PER_LEVEL, PER_MISSING_GPU, behind_a_shell};
use serde::Serialize;
use xray_artifacts::Exit;

/// The sub-code of a hold for a URL that a plug-in could not fetch is its exit code times this.
const PER_PLUG_IN: u32 = 256;

/// Exit codes.
#[derive(Serialize)]
pub(super) struct ExitCodes {
    unexpected: u8,
    usage: u8,
    nothing_matches: u8,
    sweep_incomplete: u8,
    bad_data: u8,
    diverged: u8,
    model_mismatch: u8,
    damaged_file: u8,
    wrong_shard: u8,
    cannot_run_here: u8,
    checkpointed: u8,
    /// Those after which another start would end the same way, as HTCondor writes a list.
    for_good: String,
}

/// Signals, by their own numbers or by those that a shell makes of them.
#[derive(Serialize)]
pub(super) struct SignalCodes {
    illegal_instruction: u8,
    killed: u8,
}

/// What the sub-code of a hold by policy counts in: below `level` it is a signal as a shell tells it.
#[derive(Serialize)]
pub(super) struct SubCode {
    level: u32,
    kill: u32,
    kills: u32,
    missing_gpu: u32,
    /// HTCondor's own: what it multiplies the exit code of a plug-in with that could not fetch a file.
    plug_in: u32,
}

impl SubCode {
    pub(super) fn new() -> SubCode {
        SubCode {
            level: PER_LEVEL,
            kill: PER_KILL,
            kills: KILLS,
            missing_gpu: PER_MISSING_GPU,
            plug_in: PER_PLUG_IN,
        }
    }
}

impl ExitCodes {
    pub(super) fn new() -> ExitCodes {
        let for_good: Vec<String> = FOR_GOOD.iter().map(|exit| exit.code().to_string()).collect();
        ExitCodes {
            unexpected: Exit::Unexpected.code(),
            usage: Exit::Usage.code(),
            nothing_matches: Exit::NothingMatches.code(),
            sweep_incomplete: Exit::SweepIncomplete.code(),
            bad_data: Exit::BadData.code(),
            diverged: Exit::Diverged.code(),
            model_mismatch: Exit::ModelMismatch.code(),
            damaged_file: Exit::DamagedFile.code(),
            wrong_shard: Exit::WrongShard.code(),
            cannot_run_here: Exit::CannotRunHere.code(),
            checkpointed: Exit::Checkpointed.code(),
            for_good: format!("{{{}}}", for_good.join(", ")),
        }
    }
}

impl SignalCodes {
    pub(super) fn direct() -> SignalCodes {
        SignalCodes { illegal_instruction: signal::ILLEGAL_INSTRUCTION, killed: signal::KILLED }
    }

    pub(super) fn behind_a_shell() -> SignalCodes {
        let SignalCodes { illegal_instruction, killed } = SignalCodes::direct();
        SignalCodes {
            illegal_instruction: behind_a_shell(illegal_instruction),
            killed: behind_a_shell(killed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_get_numbers_and_lists_as_htcondor_writes_them() {
        assert_eq!(ExitCodes::new().for_good, "{2, 5, 6, 7, 8}");
        let (signal, shell) = (SignalCodes::direct(), SignalCodes::behind_a_shell());
        assert_eq!((signal.illegal_instruction, signal.killed), (4, 9));
        assert_eq!((shell.illegal_instruction, shell.killed), (132, 137));
    }
}
