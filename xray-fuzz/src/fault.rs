//! What must never happen, and how much is too much.

use std::time::Duration;

/// What programs and answers are held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Address space of each program.
    pub(crate) address_mib: u64,
    /// How long an answer may take.
    pub(crate) slowest: Duration,
    /// What a program may take more than at rest.
    pub(crate) growth_mib: f64,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// A signal ended the program.
    Death,
    /// A thread panicked, whether the program survived it or not.
    Panic,
    /// Too much memory.
    Memory,
    /// Too much time.
    Slow,
    /// An exit code or status that does not tell of bad input.
    Code,
    /// No answer, or one that cannot be read.
    Answer,
    /// A whole file was refused, or a bad one accepted, or a skipped one not named.
    Judgement,
    /// A good image has other findings than before.
    Changed,
}

impl xray_workspace::What for What {
    fn name(self) -> &'static str {
        match self {
            What::Death => "death",
            What::Panic => "panic",
            What::Memory => "memory",
            What::Slow => "slow",
            What::Code => "code",
            What::Answer => "answer",
            What::Judgement => "judgement",
            What::Changed => "changed",
        }
    }
}

/// One thing that must not happen.
pub(crate) type Fault = xray_workspace::Fault<What>;
