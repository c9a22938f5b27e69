//! This program in place of the compiler, for the crates of the workspace: it knows what is to be linked statically, and
//! which tests are not worth full optimisation.
//!
//! Cargo compiles a crate again for each stand-in. A command that also builds a static program, such as
//! `cargo xtask test`, therefore builds everything through this one, and each crate is compiled once.

use anyhow::{Context, Result, anyhow};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use xray_workspace::steps;

/// By this name the program is the compiler.
const NAME: &str = "xray-rustc";

/// Where cargo looks for a stand-in.
pub(crate) const VARIABLE: &str = "RUSTC_WORKSPACE_WRAPPER";

/// What a static program is linked with. Static glibc rather than musl: the target that every Rust on Linux has, and the
/// same mathematical functions. Cargo does not see this flag: after a change, remove the programs from the target folder.
const STATIC: &str = "-Ctarget-feature=+crt-static";

/// The sign of a program that is to be static. It comes from the profile, by which cargo tells the two apart.
const SIGN: &str = "strip=symbols";

/// A test holds its crate or its own program once more. What it starts, or links as a library, is optimised in full, and
/// most tests do little besides.
const QUICKLY: &str = "-Copt-level=1";

/// How cargo asks for full optimisation.
const FULLY: &str = "opt-level=3";

/// Crates whose tests compute themselves.
const COMPUTING: [&str; 5] = ["xray-image", "xray-kernels", "xray-metrics", "xray-model", "xray-random"];

/// Puts a copy of this program into the target folder under the compiler's name. A copy, because a build may put another
/// file in the place of this one.
pub(crate) fn install() -> Result<PathBuf> {
    let file = steps::target_folder()?.join(NAME);
    let part = file.with_extension("part");
    fs::copy(steps::this_program()?, &part)
        .and_then(|_| fs::rename(&part, &file))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Begins this command again with the stand-in in the environment, from where every cargo that it starts takes it;
/// returns where that is so already.
pub(crate) fn for_all_builds() -> Result<()> {
    let is_ours = |path: OsString| Path::new(&path).file_name() == Some(OsStr::new(NAME));
    if env::var_os(VARIABLE).is_some_and(is_ours) {
        return Ok(());
    }
    let (this, stand_in) = (steps::this_program()?, install()?);
    let error = Command::new(this).args(env::args_os().skip(1)).env(VARIABLE, stand_in).exec();
    Err(anyhow!(error).context(format!("cannot start {}", this.display())))
}

/// Where cargo called this program in place of the compiler: does the compiler's work.
pub(crate) fn compile() -> Option<ExitCode> {
    let this = env::current_exe().ok()?;
    if this.file_name()? != NAME {
        return None;
    }
    let mut arguments = env::args_os().skip(1);
    let compiler = arguments.next()?;
    let arguments: Vec<OsString> = arguments.collect();
    let package = env::var("CARGO_PKG_NAME").unwrap_or_default();
    let flags = [
        links_statically(&arguments).then_some(STATIC),
        is_a_small_test(&package, &arguments).then_some(QUICKLY),
    ];
    let error = Command::new(&compiler).args(&arguments).args(flags.into_iter().flatten()).exec();
    eprintln!("error: cannot start {}: {error}", compiler.display());
    Some(ExitCode::FAILURE)
}

/// Only programs: neither libraries nor build scripts, which run on this machine, nor cargo's question what the compiler
/// can do, in which the crate is called `___`.
fn links_statically(arguments: &[OsString]) -> bool {
    let value_of = |name: &str| {
        let place = arguments.iter().position(|word| word == name)?;
        arguments.get(place + 1).and_then(|value| value.to_str())
    };
    let is_ours = |name: &str| !name.starts_with("build_script_") && name != "___";
    value_of("--crate-type") == Some("bin")
        && value_of("--crate-name").is_some_and(is_ours)
        && arguments.windows(2).any(|words| words[0] == "-C" && words[1] == SIGN)
}

/// A test that would be optimised in full and need not be.
fn is_a_small_test(package: &str, arguments: &[OsString]) -> bool {
    arguments.iter().any(|word| word == "--test")
        && arguments.iter().any(|word| word == FULLY)
        && !COMPUTING.contains(&package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_compute_and_what_is_no_test_are_optimised_in_full() {
        let check = |package: &str, line: &str, expected| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(is_a_small_test(package, &words), expected, "{package}: {line}");
        };
        check("xray-sweep", "--crate-name local tests/local.rs --test -C opt-level=3", true);
        check("xray-sweep", "--crate-name xray_sweep src/lib.rs --crate-type lib -C opt-level=3", false);
        check("xray-sweep", "--crate-name local tests/local.rs --test -C opt-level=0", false);
        check("xray-kernels", "--crate-name formulas tests/main.rs --test -C opt-level=3", false);
    }

    #[test]
    fn only_programs_with_the_sign_are_linked_statically() {
        let check = |line: &str, expected| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(links_statically(&words), expected, "{line}");
        };
        let program =
            "--crate-name xray_train --edition=2024 src/main.rs --crate-type bin --emit=dep-info,link";
        check(&format!("{program} -C strip=symbols -C debuginfo=0"), true);
        check(&format!("{program} -C strip=debuginfo -C debuginfo=0"), false);
        check("--crate-name xray_train src/lib.rs --crate-type lib -C strip=symbols", false);
        check("--crate-name build_script_main build/main.rs --crate-type bin -C strip=symbols", false);
        check(
            "- --crate-name ___ --print=file-names --crate-type bin --crate-type rlib -C strip=symbols",
            false,
        );
        check("-vV", false);
    }
}
