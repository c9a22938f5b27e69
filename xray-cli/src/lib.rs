//! What the programs of this project share on the command line: `--version`, completions, manual pages, where results
//! and errors are printed, and how a program ends.
//!
//! ```no_run
//! use clap::Parser;
//! use xray_artifacts::Exit;
//! use xray_cli::{Build, print};
//!
//! /// Greet somebody
//! #[derive(Parser)]
//! struct Arguments {
//!     /// Whom to greet
//!     name: String,
//! }
//!
//! fn main() -> Exit {
//!     // A program of the workspace says `build!()`, which also knows its commit.
//!     xray_cli::main(Build::new("hello", "0.1.0"), |arguments: Arguments| {
//!         print(&format!("hello {}\n", arguments.name))?;
//!         Ok(Exit::Ok)
//!     })
//! }
//! ```

mod abort;
mod after_help;
mod build;
mod manual;
mod output;
mod program;
mod progress;
pub mod shell;
mod variables;

pub use build::Build;
pub use output::{print, say};
pub use program::main;
pub use progress::Progress;
