//! Sweeps on this machine, with the real trainer.

mod by_url;
mod cleaning;
mod command_line;
mod given_files;
mod gpu;
mod planning;
mod rungs;
mod running;
mod search;
mod sizes;
mod workplace;
