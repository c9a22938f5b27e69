//! Many training runs: planned over data fractions and trials, run on an HTCondor pool or here, watched, and
//! collected into tables. It never links the tensor engine: the trainer is a program that it sends along.
//!
//! ```
//! use xray_sweep::fractions::Fractions;
//! let fractions: Fractions = "0.01,0.1..0.3:0.1".parse().expect("a list and a range");
//! assert_eq!(fractions.values(), [0.01, 0.1, 0.2, 0.3]);
//! ```

pub mod attempt;
pub mod axis;
pub mod budget;
pub mod cell;
pub mod cell_result;
pub mod clean;
pub mod cli;
pub mod collect;
pub mod data;
mod ending;
pub mod fractions;
pub mod glibc;
mod gpu;
pub mod grid;
pub mod isa;
pub mod job_log;
pub mod launchers;
pub mod local_attempts;
pub mod lock;
pub mod logs;
pub mod order;
mod out_of_memory;
pub mod plan;
mod present;
pub mod queue;
pub mod report;
pub mod request;
pub mod reset;
pub mod rungs;
mod sample;
pub mod selection;
pub mod signal;
pub mod sizes;
pub mod spec;
mod staged;
pub mod state;
pub mod status;
pub mod sweep_dir;
pub mod tables;
pub mod tally;
pub mod templates;
pub mod trainer;
