//! Tests that run the real program in a temporary folder.

mod archives;
mod build;
mod check;
mod command_line;
mod dicom;
mod nih;
mod publish;
mod records;
mod released;
mod round_trip;
mod show;
mod tables;
mod workbench;
