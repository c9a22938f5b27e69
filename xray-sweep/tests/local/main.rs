//! Sweeps on this machine, with the real trainer.

mod command_line;
mod given_files;
mod gpu;
mod planning;
mod running;
mod workplace;
