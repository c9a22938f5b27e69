//! `cargo xtask package worker`: xray-train as one file that any x86-64 Linux machine can run.

use super::Level;
use crate::steps::{self, cargo, duration};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSection as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

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

/// How much a worker is optimised, as profiles of the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As it is sent.
    Worker,
    /// Hardly, to be built soon.
    Hasty,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Profile::Worker => "worker",
            Profile::Hasty => "hasty",
        }
    }
}

const TARGET: &str = "x86_64-unknown-linux-gnu";

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
    build(*level, Profile::Worker, &file)?;
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
pub(crate) fn build(level: Level, profile: Profile, file: &Path) -> Result<()> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "the worker is built on x86-64 Linux only"
    );
    let start = Instant::now();
    let target = steps::target_folder()?.join("worker-build");
    let arguments = ["build", "--profile", profile.name(), "--target", TARGET, "--package", "xray-train"];
    let mut cargo = cargo(arguments);
    cargo.args(["--bin", "xray-train", "--no-default-features", "--target-dir"]).arg(&target);
    // Goes before RUSTFLAGS and any configuration file; programs that run while it builds are not concerned.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(level));
    steps::run(&mut cargo).context(
        "cannot build the worker\n hint: a static program needs libc.a: libc6-dev on Debian and Ubuntu, \
         glibc-static on Fedora",
    )?;
    let built = target.join(TARGET).join(profile.name()).join("xray-train");
    check(&built, level)?;
    if profile == Profile::Worker {
        check_size(&built)?;
    }
    put(&built, file)?;
    eprintln!("built in {}", duration(start.elapsed()));
    Ok(())
}

/// Static glibc rather than musl: the target that every Rust on Linux has, and the same mathematical functions.
fn flags(level: Level) -> String {
    let cpu = level.target_cpu().map(|cpu| format!("\x1f-Ctarget-cpu={cpu}"));
    format!("-Ctarget-feature=+crt-static{}", cpu.unwrap_or_default())
}

/// By renaming, because the old one may be running.
fn put(built: &Path, file: &Path) -> Result<()> {
    let cannot = || format!("cannot write {}", file.display());
    fs::create_dir_all(file.parent().unwrap_or(Path::new(""))).with_context(cannot)?;
    let part = file.with_extension("part");
    fs::copy(built, &part).with_context(cannot)?;
    fs::rename(&part, file).with_context(cannot)
}

/// Whether a program is static and for this level.
fn check(program: &Path, level: Level) -> Result<()> {
    let data = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    ensure!(!has_interpreter(&data)?, "{} is not static", program.display());
    let found = level_in(&data)?;
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

/// Whether it asks the machine for a program that loads its libraries.
fn has_interpreter(data: &[u8]) -> Result<bool> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    Ok(header.program_headers(endian, data)?.iter().any(|segment| segment.p_type(endian) == PT_INTERP))
}

fn level_in(data: &[u8]) -> Result<String> {
    let file = object::File::parse(data)?;
    let section = file.section_by_name(".xray.isa").context("it does not say which processor it needs")?;
    Ok(String::from_utf8_lossy(section.data()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_libraries_cannot_travel() {
        let this = std::env::current_exe().expect("a test is a program");
        let message = check(&this, Level::V1).expect_err("tests are linked to a C library").to_string();
        assert!(message.ends_with(" is not static"), "{message}");
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(check(&text, Level::V1).is_err());
    }

    #[test]
    fn the_name_tells_the_level() {
        assert_eq!(file_name(Level::V1), "xray-train");
        assert_eq!(file_name(Level::V3), "xray-train-x86_64-v3");
        assert_eq!(flags(Level::V1), "-Ctarget-feature=+crt-static");
        assert_eq!(flags(Level::V4), "-Ctarget-feature=+crt-static\u{1f}-Ctarget-cpu=x86-64-v4");
    }
}
