//! Places to run cells.

pub mod condor;
pub mod local;
