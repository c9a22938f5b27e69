//! The real binary, in temporary folders, on score files and on runs of phantoms made here.

mod command_line;
mod comparison;
mod elsewhere;
mod ensemble;
mod evaluation;
mod export;
mod importing;
mod prediction;
mod sources;
mod unscorable;
mod workplace;
