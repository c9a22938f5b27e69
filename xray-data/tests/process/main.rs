//! Tests that run the real program in a temporary folder.

mod build;
mod check;
mod nih;
mod workbench;
