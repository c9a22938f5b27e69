//! The command line of `xray-train`: raw arguments, checked into a configuration and options before work
//! starts.

mod arguments;
mod dry_run;
mod gpu_program;
mod program;
mod range_test;
mod resolve;

pub use arguments::{Arguments, OutputFormat};
pub use dry_run::{Costs, dry_run};
pub use program::main;
pub use range_test::RangeTest;
