//! Signals that end a job, and what becomes of their numbers behind a shell.

use signal_hook::consts;

/// The program used an instruction that the processor does not have.
pub const ILLEGAL_INSTRUCTION: u8 = consts::SIGILL as u8;

/// Killed at once, most often for want of memory.
pub const KILLED: u8 = consts::SIGKILL as u8;

/// What a shell adds to the signal that its child died of.
const SHELL: u8 = 128;

/// The exit code of a shell whose child died of a signal.
pub const fn behind_a_shell(signal: u8) -> u8 {
    SHELL + signal
}

/// HTCondor's code of a hold by the submit file's own policy. Its sub-code says which signal it was, as a shell would,
/// and above three digits what the job has to remember: HTCondor keeps it through evictions and starts.
pub(crate) const HOLD_BY_POLICY: u32 = 3;

/// Above the signal: the level of x86-64 that was too low, from 0 to 9.
pub(crate) const PER_LEVEL: u32 = 1000;

/// How many levels the digit tells apart.
pub(crate) const LEVELS: u32 = 10;

/// Above the level: how often the job was killed, from 0 to 9.
pub(crate) const PER_KILL: u32 = PER_LEVEL * LEVELS;

/// How many kills the digit tells apart.
pub(crate) const KILLS: u32 = 10;

/// Above the kills: how often its machine had no GPU that it could use. That is not a signal, so such a hold has the exit code
/// in its place.
pub(crate) const PER_MISSING_GPU: u32 = PER_KILL * KILLS;

/// The signal in the sub-code of a hold by policy.
pub(crate) fn of_hold(sub_code: u32) -> Option<u8> {
    of_shell(sub_code % PER_LEVEL)
}

/// The signal that a shell's exit code tells of.
pub(crate) fn of_shell(code: u32) -> Option<u8> {
    code.checked_sub(u32::from(SHELL)).and_then(valid)
}

/// A signal, where the number is one.
pub(crate) fn valid(number: u32) -> Option<u8> {
    u8::try_from(number).ok().filter(|signal| (1..=64).contains(signal))
}

/// What it did to a program, with its name.
pub(crate) fn text(signal: u8) -> String {
    let name = match i32::from(signal) {
        consts::SIGINT => "interrupted (SIGINT)",
        consts::SIGABRT => "aborted (SIGABRT)",
        consts::SIGBUS => "bus error (SIGBUS)",
        consts::SIGFPE => "arithmetic error (SIGFPE)",
        consts::SIGKILL => "killed (SIGKILL), perhaps by the out-of-memory killer",
        consts::SIGSEGV => "segmentation fault (SIGSEGV)",
        consts::SIGTERM => "terminated (SIGTERM)",
        consts::SIGXCPU => "out of processor time (SIGXCPU)",
        consts::SIGXFSZ => "file too large (SIGXFSZ)",
        other => return format!("died of signal {other}"),
    };
    name.to_owned()
}
