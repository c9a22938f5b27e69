//! Sweeps of real trainings on a real Slurm. `cargo xtask test` starts one where Debian's packages can be had.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod everything;
mod interruptions;
mod memory;
mod processors;
mod refusals;
mod rungs;
mod sweep;
#[expect(dead_code, reason = "tests on a pool use the rest")]
#[path = "../pool/worker.rs"]
mod worker;
mod workplace;
mod wrapper;
