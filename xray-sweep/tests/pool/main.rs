//! Sweeps of real trainings on a real HTCondor pool. `cargo xtask test` starts the pool, builds the workers and says
//! where both are.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod by_url;
mod dag;
mod eviction;
mod failures;
mod given_files;
mod gpu;
mod grid;
mod processors;
mod queue;
mod quoting;
mod rungs;
mod server;
mod sweep;
mod worker;
mod workplace;
