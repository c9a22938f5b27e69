//! `cargo xtask quickstart`: from a fresh clone to a first trained and scored model.

use anyhow::{Result, bail};
use clap::Args;
use std::time::Instant;
use xray_workspace::steps::{self, command, duration};
use xray_workspace::{ProgramArguments, Programs};

/// Build everything, then train and score a small network on synthetic X-rays
///
/// Needs Rust, a C compiler and git, no data and no GPU. Started again, it shows the finished run; --overwrite
/// trains anew.
#[derive(Debug, Args)]
pub(crate) struct QuickstartArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// Train anew where a run is finished already
    #[arg(long)]
    overwrite: bool,
}

const RUN_DIRECTORY: &str = "runs/quickstart";

/// Sized for about a minute on two cores: 420 training images, five epochs.
const TRAIN: [&str; 8] = ["--fraction", "0.3", "--size", "64", "--epochs", "5", "--run", RUN_DIRECTORY];

/// Does all of it.
pub(crate) fn run(arguments: &QuickstartArguments) -> Result<()> {
    let start = Instant::now();
    eprintln!("1 of 2: building the programs (minutes the first time, seconds after that)");
    check_c_compiler()?;
    let programs = arguments.programs.get()?;

    eprintln!("\n2 of 2: training on 30 % of a synthetic set (about a minute on two cores)");
    train(&programs, arguments.overwrite)?;
    eprintln!("\ndone in {}. Next:\n{}", duration(start.elapsed()), next_steps(&programs));
    Ok(())
}

fn train(programs: &Programs, overwrite: bool) -> Result<()> {
    let mut train = command(programs.path("xray-train")?);
    train.args(TRAIN);
    if overwrite {
        train.arg("--overwrite");
    }
    steps::run(&mut train)
}

/// Some dependencies contain C and assembly, and say only at their own turn that nothing can compile it.
fn check_c_compiler() -> Result<()> {
    let named = std::env::var_os("CC").is_some();
    if cfg!(not(target_os = "linux")) || named || steps::succeeds(command("cc").arg("--version")) {
        return Ok(());
    }
    bail!("there is no C compiler named cc, which Rust needs\n hint: {}", HOW_TO_GET_ONE)
}

const HOW_TO_GET_ONE: &str =
    "apt-get install build-essential, dnf install gcc, pacman -S base-devel, or apk add build-base";

fn next_steps(programs: &Programs) -> String {
    let (data, train) = (programs.shown("xray-data"), programs.shown("xray-train"));
    format!(
        "  {data} show data/synthetic --out sheet.png    draw some of the images\n  \
         {data} build --nih DIR --out shards           your own ChestX-ray14; --help lists other sources\n  \
         {train} --data shards --fraction 0.3         train on it"
    )
}
