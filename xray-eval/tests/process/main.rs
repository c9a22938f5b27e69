//! The real binary, in temporary folders, on score files and on runs of phantoms made here.

mod command_line;
mod comparison;
mod elsewhere;
mod embedding;
mod ensemble;
mod errors;
mod evaluation;
mod export;
mod importing;
mod out_of_fold;
mod prediction;
mod sources;
mod unscorable;
mod workplace;
