//! The exit codes of every program here. They are documented in docs/exit-codes.md and part of the contract
//! with HTCondor's policies, so a number never changes its meaning.

use std::process::{ExitCode, Termination};

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something that no other code names.
    Unexpected = 1,
    /// A command line or a configuration that cannot be run.
    Usage = 2,
    /// Nothing matches: no machine, no record, no run.
    NothingMatches = 3,
    /// A sweep with cells that failed or never ran.
    SweepIncomplete = 4,
    /// Records, images or labels that cannot be used.
    BadData = 5,
    /// The loss became infinite or not a number.
    Diverged = 6,
    /// A model, checkpoint or weights file of another shape or version, or a run that is not the planned one.
    ModelMismatch = 7,
    /// A file that settings name and that is not the one that was planned: changed since, or half of it.
    DamagedFile = 8,
    /// A shard that was fetched for a job and is not the one that its manifest lists: another file, or half of it.
    WrongShard = 9,
    /// This processor or this configuration cannot run the program.
    CannotRunHere = 78,
    /// A checkpoint was written on purpose; the same command continues from it.
    Checkpointed = 85,
    /// Stopped by SIGINT (128 + 2).
    Interrupted = 130,
    /// Stopped by SIGTERM (128 + 15).
    Terminated = 143,
}

impl Exit {
    /// Every code there is.
    pub const ALL: [Exit; 14] = [
        Exit::Ok,
        Exit::Unexpected,
        Exit::Usage,
        Exit::NothingMatches,
        Exit::SweepIncomplete,
        Exit::BadData,
        Exit::Diverged,
        Exit::ModelMismatch,
        Exit::DamagedFile,
        Exit::WrongShard,
        Exit::CannotRunHere,
        Exit::Checkpointed,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    /// What a number means, if it means anything.
    pub fn from_code(code: u8) -> Option<Exit> {
        Exit::ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// The number the operating system sees.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_never_changes_its_meaning() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 78, 85, 130, 143]);
    }

    #[test]
    fn every_number_is_documented_and_no_other() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/exit-codes.md");
        let page = std::fs::read_to_string(path).expect("docs/exit-codes.md");
        let cell = |line: &str| line.strip_prefix("| ")?.split(" |").next()?.parse::<u8>().ok();
        let listed: Vec<u8> = page.lines().filter_map(cell).collect();
        assert_eq!(listed, Exit::ALL.map(Exit::code));
    }
}
