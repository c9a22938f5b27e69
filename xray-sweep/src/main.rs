//! `xray-sweep`: many training runs, planned, run, watched and collected.

use xray_artifacts::Exit;

fn main() -> Exit {
    xray_cli::main(xray_cli::build!(), xray_sweep::cli::run)
}
