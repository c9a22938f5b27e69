//! This workspace, for `xtask` and the programs that measure and attack its own: its folders, its programs, and commands
//! that run in it.
//!
//! ```
//! use xray_workspace::steps;
//! # fn main() -> anyhow::Result<()> {
//! let version = steps::output(&mut steps::cargo(["--version"]))?;
//! assert!(version.starts_with("cargo "));
//! # Ok(())
//! # }
//! ```
#![expect(clippy::print_stderr, reason = "says on the terminal what is run")]

mod parallel;
mod programs;
pub mod steps;
pub mod watch;

pub use parallel::in_parallel;
pub use programs::{ALL, ProgramArguments, Programs};
