//! The real binary, in temporary folders, on phantoms made here.

mod bad_input;
mod command_line;
mod continuation;
mod fine_tuning;
mod given_files;
mod gpu_program;
mod interrupted;
mod kept;
mod logits;
mod precision;
mod range_test;
mod results;
mod stopping;
mod tensorboard;
mod worker;
mod workplace;
