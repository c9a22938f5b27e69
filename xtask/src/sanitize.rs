//! `cargo xtask sanitize`: the `unsafe` code of xray-kernels under an address sanitizer, all instruction sets, and
//! under Miri, the portable one.

use crate::steps::{self, cargo, command};
use anyhow::{Result, bail};
use clap::Args;

/// Run the tests of xray-kernels under an address sanitizer and under Miri
///
/// The sanitizer sees reads and writes outside of a buffer in every form of the kernels; Miri sees all undefined
/// behaviour, races among threads too, in the portable form and on small shapes. Both need a nightly toolchain:
/// `rustup toolchain install nightly --component miri,rust-src`. Takes some minutes.
#[derive(Debug, Args)]
pub(crate) struct SanitizeArguments {
    /// Only one of the two
    #[arg(long, value_enum)]
    only: Option<Sanitizer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sanitizer {
    Address,
    Miri,
}

/// rayon's queues keep addresses as integers and borrow in a way that only the newer model allows.
const MIRI_FLAGS: &str = "-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-tree-borrows";

/// Runs what was asked for.
pub(crate) fn run(arguments: &SanitizeArguments) -> Result<()> {
    let wanted = |sanitizer| arguments.only.is_none_or(|only| only == sanitizer);
    if wanted(Sanitizer::Address) {
        let Some(target) = host()? else { bail!("rustc names no host") };
        let folder = steps::target_folder()?.join("sanitize");
        let mut test = nightly(&["test", "--release", "-p", "xray-kernels", "--tests", "--target", &target]);
        // The target is named so that the flags do not reach build scripts.
        test.arg("--target-dir").arg(folder).env("RUSTFLAGS", "-Zsanitizer=address");
        steps::run(&mut test)?;
    }
    if wanted(Sanitizer::Miri) {
        let folder = steps::target_folder()?.join("miri");
        let mut test = nightly(&["miri", "test", "-p", "xray-kernels", "--test", "guards"]);
        test.arg("--target-dir").arg(folder);
        steps::run(test.env("MIRIFLAGS", MIRI_FLAGS).env("RAYON_NUM_THREADS", "2"))?;
    }
    Ok(())
}

/// Through rustup, whatever toolchain this program was started with.
fn nightly(arguments: &[&str]) -> std::process::Command {
    let mut nightly = command("rustup");
    nightly.args(["run", "nightly", "cargo"]).args(arguments);
    nightly.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    nightly
}

/// Such as `x86_64-unknown-linux-gnu`.
fn host() -> Result<Option<String>> {
    let version = steps::output(&mut cargo(["--version", "--verbose"]))?;
    Ok(version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned))
}
