//! `cargo xtask package worker`: xray-train as one file that any x86-64 Linux machine can run.

use super::{Level, portable};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use object::{Object as _, ObjectSection as _};
use std::fs;
use std::path::{Path, PathBuf};
use xray_workspace::steps;

/// Build xray-train small and portable: one static file for the CPU
///
/// It needs nothing of the machine it runs on, neither a C library nor a folder. The baseline build runs on every
/// x86-64 processor and chooses its kernels when it starts; a build for a higher level refuses to start on a lesser
/// processor.
#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    /// Lowest x86-64 level it must run on
    #[arg(long, value_enum, default_value_t = Level::V1)]
    level: Level,

    /// Where to put it [default: worker/xray-train, or worker/xray-train-LEVEL, in the target folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const WORKER: &str = "xray-train";

/// Where a worker says which level it needs.
pub(crate) const LEVEL_SECTION: &str = ".xray.isa";

/// It travels with every job.
const MAX_BYTES: u64 = 25_000_000;

/// Builds it and says what it is.
#[expect(clippy::print_stdout, reason = "the answer")]
pub(super) fn run(arguments: &WorkerArguments) -> Result<()> {
    let WorkerArguments { level, out } = arguments;
    let file = match out {
        Some(out) => std::path::absolute(out)?,
        None => folder()?.join(file_name(*level)),
    };
    build(*level, &file)?;
    let megabytes = fs::metadata(&file)?.len() as f64 / 1e6;
    println!("{}: {megabytes:.1} MB, {level}", file.display());
    Ok(())
}

/// Where workers are put when nobody says where.
fn folder() -> Result<PathBuf> {
    Ok(steps::target_folder()?.join("worker"))
}

/// `xray-train`, or `xray-train-x86_64-v3`.
pub(crate) fn file_name(level: Level) -> String {
    match level {
        Level::V1 => "xray-train".to_owned(),
        _ => format!("xray-train-{level}"),
    }
}

/// Builds a worker, checks that it can travel, and puts it into its place.
pub(crate) fn build(level: Level, file: &Path) -> Result<()> {
    let built = portable::build(&[WORKER], level)?.remove(0);
    check_level(&built, level)?;
    check_size(&built)?;
    put(&built, file)
}

/// By renaming, because the old one may be running.
fn put(built: &Path, file: &Path) -> Result<()> {
    let cannot = || format!("cannot write {}", file.display());
    fs::create_dir_all(file.parent().unwrap_or(Path::new(""))).with_context(cannot)?;
    let part = file.with_extension("part");
    fs::copy(built, &part).with_context(cannot)?;
    fs::rename(&part, file).with_context(cannot)
}

/// Whether it says of itself that it is built for this level.
pub(super) fn check_level(program: &Path, level: Level) -> Result<()> {
    let found = level_in(&fs::read(program)?)?;
    ensure!(found == format!("{level}\0"), "{} is built for {found:?}, not {level}", program.display());
    Ok(())
}

fn check_size(program: &Path) -> Result<()> {
    let bytes = fs::metadata(program)?.len();
    if bytes > MAX_BYTES {
        bail!("{} has {bytes} bytes, more than {MAX_BYTES}", program.display());
    }
    Ok(())
}

fn level_in(data: &[u8]) -> Result<String> {
    let file = object::File::parse(data)?;
    let section = file.section_by_name(LEVEL_SECTION).context("it does not say which processor it needs")?;
    Ok(String::from_utf8_lossy(section.data()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_level() {
        assert_eq!(file_name(Level::V1), "xray-train");
        assert_eq!(file_name(Level::V3), "xray-train-x86_64-v3");
    }

    #[test]
    fn a_program_that_names_no_processor_is_no_worker() {
        let this = std::env::current_exe().expect("a test is a program");
        let message = check_level(&this, Level::V1).expect_err("it names none").to_string();
        assert_eq!(message, "it does not say which processor it needs");
    }
}
