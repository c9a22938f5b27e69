//! Sweeps.

pub mod isa;
