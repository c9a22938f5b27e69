//! The x86-64 level that a program is built for.

use clap::ValueEnum;
use std::fmt;

/// A set of instructions; each level has those of the levels before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Every x86-64 processor.
    V1,
    /// SSE4.2, about 2009 and later.
    V2,
    /// AVX2 and FMA, about 2015 and later.
    V3,
    /// AVX-512.
    V4,
}

impl Level {
    /// A processor of this level as rustc names it; none for the one that it builds for anyway.
    pub(super) fn target_cpu(self) -> Option<&'static str> {
        match self {
            Level::V1 => None,
            Level::V2 => Some("x86-64-v2"),
            Level::V3 => Some("x86-64-v3"),
            Level::V4 => Some("x86-64-v4"),
        }
    }
}

/// As HTCondor names it, and as it stands in the binary.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x86_64-v{}", *self as u8 + 1)
    }
}
