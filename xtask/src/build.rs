//! `cargo xtask build`: the programs.

use anyhow::Result;
use clap::Args;
use std::time::Instant;
use xray_workspace::Programs;
use xray_workspace::steps::{self, cargo, duration};

/// Build all programs: xray-data, xray-train, xray-eval, xray-sweep and xray-serve
///
/// `cargo xtask quickstart` has built the first three. They compute on the processor, with kernels for what it has.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// Build xray-train-gpu too, to which xray-train hands over with --backend wgpu or auto; minutes more
    #[arg(long)]
    gpu: bool,
}

/// Builds them and says where they are.
pub(crate) fn run(arguments: &BuildArguments) -> Result<()> {
    let programs = Programs::build(&xray_workspace::ALL)?;
    if arguments.gpu {
        let start = Instant::now();
        steps::run(&mut cargo(GPU))?;
        eprintln!("built in {}", duration(start.elapsed()));
    }
    eprintln!("\nthe programs are in {}", programs.folder());
    Ok(())
}

/// What builds `xray-train-gpu`.
pub(crate) const GPU: [&str; 7] =
    ["build", "--release", "--workspace", "--features", "xray-train/wgpu", "--bin", "xray-train-gpu"];
