//! Sweeps.
fn main() {}
