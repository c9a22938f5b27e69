//! Sweeps.
#![allow(missing_docs)]

pub mod attempt;
pub mod cell;
pub mod collect;
pub mod report;
pub mod state;
pub mod sweep_dir;
pub mod verdict;
