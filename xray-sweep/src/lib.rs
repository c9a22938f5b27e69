//! Sweeps.
#![allow(missing_docs)]

pub mod attempt;
pub mod cell;
mod ending;
pub mod job_log;
pub mod local_attempts;
pub mod logs;
pub mod state;
pub mod status;
pub mod sweep_dir;
pub mod verdict;
