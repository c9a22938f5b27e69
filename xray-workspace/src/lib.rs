//! This workspace, for `xtask` and the programs that measure and attack its own: its folders, its programs, commands that
//! run in it, and what must not happen to programs.
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

mod fault;
mod parallel;
mod programs;
pub mod steps;
pub mod watch;

pub use fault::{Fault, What, list_faults};
pub use parallel::in_parallel;
pub use programs::{ALL, ProgramArguments, Programs};
