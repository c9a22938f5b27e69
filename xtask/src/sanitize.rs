//! `cargo xtask sanitize`: the `unsafe` code of xray-kernels under an address sanitizer, in all its forms.

use anyhow::{Result, bail};
use xray_workspace::steps::{self, cargo, command};

/// Runs the tests of xray-kernels with every read and write watched.
pub(crate) fn run() -> Result<()> {
    let Some(target) = host()? else { bail!("rustc names no host") };
    let folder = steps::target_folder()?.join("sanitize");
    // Through rustup, whatever toolchain this program was started with.
    let mut test = command("rustup");
    test.args(["run", "nightly", "cargo", "test", "--release", "-p", "xray-kernels", "--tests"]);
    // The target is named so that the flags do not reach build scripts.
    test.args(["--target", &target]).arg("--target-dir").arg(folder);
    test.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env("RUSTFLAGS", "-Zsanitizer=address");
    steps::run(&mut test)
}

/// Such as `x86_64-unknown-linux-gnu`.
fn host() -> Result<Option<String>> {
    let version = steps::output(&mut cargo(["--version", "--verbose"]))?;
    Ok(version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned))
}
