//! What came of a trial.

use std::time::Duration;

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// A signal that nobody sent ended the program.
    Death,
    /// A thread panicked.
    Panic,
    /// It does not end.
    Hang,
    /// An exit code that the program's help does not name, or none of an error.
    Code,
    /// An error without a message, or one that does not say where.
    Message,
    /// What is there after success is not what was to be made.
    Different,
    /// What was there before is neither as it was nor as it was to become.
    Lost,
    /// The next start does not succeed.
    Stuck,
    /// Temporary files stay.
    Litter,
    /// A damaged file was used and nothing said.
    Believed,
    /// What was warned of before an interruption is not in the result.
    Unwarned,
    /// Something that this program does not know: a file, a setting.
    Unknown,
}

impl xray_workspace::What for What {
    fn name(self) -> &'static str {
        match self {
            What::Death => "death",
            What::Panic => "panic",
            What::Hang => "hang",
            What::Code => "code",
            What::Message => "message",
            What::Different => "different",
            What::Lost => "lost",
            What::Stuck => "stuck",
            What::Litter => "litter",
            What::Believed => "believed",
            What::Unwarned => "unwarned",
            What::Unknown => "unknown",
        }
    }
}

/// One thing that must not happen.
pub(crate) type Fault = xray_workspace::Fault<What>;

/// How a trial ended that went as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Good {
    /// The work was done all the same.
    Whole,
    /// It was refused or stopped, and done when it was started again.
    Refused,
}

/// A trial: its number, what it did in words, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) number: u64,
    pub(crate) did: String,
    /// How often a program was killed.
    pub(crate) kills: u64,
    pub(crate) time: Duration,
    pub(crate) came: Result<Good, Fault>,
}
