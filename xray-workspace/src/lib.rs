//! This workspace, for `xtask` and `xray-bench`: its folders, its own programs, and commands that run in it.
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

mod programs;
pub mod steps;

pub use programs::{ALL, ProgramArguments, Programs};
