//! `xray-eval`: what a model's scores are worth.

use clap::{CommandFactory, Parser};
use std::io::Write;
use xray_artifacts::Exit;
use xray_eval::cli::Arguments;

#[expect(clippy::print_stderr, reason = "the one place that prints errors")]
fn main() -> Exit {
    let arguments = Arguments::parse();
    if let Some(shell) = arguments.completions {
        clap_complete::generate(shell, &mut Arguments::command(), "xray-eval", &mut std::io::stdout());
        return Exit::Ok;
    }
    match arguments.answer() {
        Ok(text) => {
            // A reader that went away, such as `head`, is no error.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Exit::Ok
        }
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit
        }
    }
}
