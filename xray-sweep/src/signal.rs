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
        consts::SIGKILL => "killed (SIGKILL), perhaps for its memory",
        consts::SIGSEGV => "segmentation fault (SIGSEGV)",
        consts::SIGTERM => "terminated (SIGTERM)",
        consts::SIGXCPU => "out of processor time (SIGXCPU)",
        consts::SIGXFSZ => "file too large (SIGXFSZ)",
        other => return format!("died of signal {other}"),
    };
    name.to_owned()
}
