//! The real binary, in temporary folders, on phantoms made here.

mod bad_input;
mod comparison;
mod evaluation;
mod export;
mod fine_tuning;
mod results;
mod stopping;
mod unscorable;
mod worker;
mod workplace;
