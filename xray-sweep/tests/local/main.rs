//! Sweeps on this machine, with the real trainer.

mod planning;
mod running;
mod workplace;
