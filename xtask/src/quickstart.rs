//! `cargo xtask quickstart`: from a fresh clone to a first trained and scored model.

use anyhow::{Result, bail};
use clap::Args;
use std::fs;
use std::path::Path;
use std::time::Instant;
use xray_workspace::steps::{self, command, duration};
use xray_workspace::{ProgramArguments, Programs};

/// Build the trainer, train a small network on synthetic X-rays, and show what it learned
///
/// Needs Rust, a C compiler and git, no data and no GPU: about seven minutes on two cores, most of which is building.
/// Started again, it shows the finished run; --overwrite trains anew.
#[derive(Debug, Args)]
pub(crate) struct QuickstartArguments {
    #[command(flatten)]
    programs: ProgramArguments,

    /// Train anew where a run is finished already
    #[arg(long)]
    overwrite: bool,
}

/// What is built, and no more.
const PROGRAMS: [&str; 3] = ["xray-data", "xray-train", "xray-eval"];

const DATA: &str = "data/quickstart";
const RUN: &str = "runs/quickstart";
/// Its maps are easily judged by eye: fluid lies at the bottom of one lung or the other.
const FINDING: &str = "Effusion";
const MAP: &str = "where the score of Effusion comes from";

/// Enough, and large enough, that findings differ in how well they are found, as on real X-rays.
const SYNTH: [&str; 7] = ["synth", "--images", "40000", "--size", "64", "--out", DATA];
const TRAIN: [&str; 10] = [
    "--data",
    DATA,
    "--size",
    "64",
    "--epochs",
    "4",
    "--set",
    "training.evaluate_every=0.5 epochs",
    "--run",
    RUN,
];

/// Does all of it.
pub(crate) fn run(arguments: &QuickstartArguments) -> Result<()> {
    let start = Instant::now();
    check_c_compiler()?;
    eprintln!(
        "1 of 4: building {} (about five minutes on two cores, seconds the next time)",
        PROGRAMS.join(", ")
    );
    let programs = arguments.programs.get_only(&PROGRAMS)?;

    eprintln!("\n2 of 4: drawing 40,000 phantoms of 64 x 64 pixels (half a minute)");
    draw(&programs)?;

    eprintln!("\n3 of 4: training for four epochs (a minute and a half)");
    train(&programs, arguments.overwrite)?;

    eprintln!("\n4 of 4: pictures");
    let sheet = format!("{RUN}/sheet.png");
    let maps = format!("{RUN}/maps");
    steps::run(command(programs.path("xray-data")?).args(["show", DATA, "--out", &sheet]))?;
    let explain = ["explain", RUN, "--test-records", "3", "--label", FINDING, "--out", &maps];
    steps::run(command(programs.path("xray-eval")?).args(explain))?;

    eprintln!("\ndone in {}\n\n{}", duration(start.elapsed()), made(&sheet, &maps)?);
    eprintln!("{}", next_steps(&programs));
    Ok(())
}

fn draw(programs: &Programs) -> Result<()> {
    let folder = steps::root().join(DATA);
    if folder.join("dataset.json").exists() {
        eprintln!("{DATA} is there already");
        return Ok(());
    }
    steps::run(command(programs.path("xray-data")?).args(SYNTH))
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

/// Files to open.
fn made(sheet: &str, maps: &str) -> Result<String> {
    let maps =
        first_file(&steps::root().join(maps))?.map_or(maps.to_owned(), |name| format!("{maps}/{name}"));
    Ok(aligned(
        "Look at",
        &[
            (format!("{RUN}/curve.svg"), "loss and validation AUC by step"),
            (sheet.to_owned(), "images with their labels"),
            (maps, MAP),
            (format!("{RUN}/result.json"), "the table above, for programs"),
        ],
    ))
}

fn first_file(folder: &Path) -> Result<Option<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_>>()?;
    Ok(names.into_iter().min())
}

fn next_steps(programs: &Programs) -> String {
    let [data, train, eval] = PROGRAMS.map(|program| programs.shown(program));
    aligned(
        "Next",
        &[
            (
                format!("{data} build --nih DIR --out shards"),
                "your own ChestX-ray14; --help lists other sources",
            ),
            (format!("{train} --data shards --fraction 0.3"), "train on 30 % of it"),
            (format!("{eval} run {RUN}"), "thresholds, calibration, subgroups"),
            ("cargo xtask build".to_owned(), "xray-sweep and xray-serve too"),
        ],
    )
}

/// A heading, and below it what to type or open, each with what it is.
fn aligned(heading: &str, lines: &[(String, &str)]) -> String {
    let width = lines.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
    let lines: String = lines.iter().map(|(what, is)| format!("  {what:<width$}   {is}\n")).collect();
    format!("{heading}\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_stands_in_columns() {
        let lines = [("a b".to_owned(), "one"), ("c".to_owned(), "two")];
        assert_eq!(aligned("Next", &lines), "Next\n  a b   one\n  c     two\n");
    }
}
