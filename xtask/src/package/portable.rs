//! Programs as static files that any x86-64 Linux machine of a level can run.
//!
//! Only the last step of a build decides whether a program is static: its linking. So these builds share every
//! dependency with the ordinary ones. Cargo calls this program in place of the compiler for the crates of the
//! workspace, and it adds the flags where a program is linked.

use super::Level;
use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;
use xray_workspace::steps::{self, cargo, duration};

/// Set while this program stands in for the compiler.
const STAND_IN: &str = "XRAY_LINKS_STATICALLY";

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Static glibc rather than musl: the target that every Rust on Linux has, and the same mathematical functions. Cargo
/// does not see these flags: after a change of them, remove the programs from the target folder.
const FLAGS: [&str; 2] = ["-Ctarget-feature=+crt-static", "-Cstrip=symbols"];

/// Builds programs of the workspace and checks that they are static; gives where cargo put them, until its next
/// build puts the ordinary ones there.
pub(super) fn build(programs: &[&str], level: Level) -> Result<Vec<PathBuf>> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "static programs are built on x86-64 Linux only"
    );
    let start = Instant::now();
    // All of the workspace is named, so that dependencies get the features that they have in every other build.
    let mut cargo = cargo(["build", "--release", "--workspace"]);
    cargo.args(programs.iter().flat_map(|program| ["--bin", program]));
    let mut folder = steps::target_folder()?;
    if let Some(cpu) = level.target_cpu() {
        folder.push(level.to_string());
        // The target is named so that the flag does not reach what runs here while it builds.
        cargo.args(["--target", TARGET]).arg("--target-dir").arg(&folder);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", format!("-Ctarget-cpu={cpu}"));
        folder.push(TARGET);
    } else {
        // No flags: those of whoever builds must not decide which processors can run it.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", "");
    }
    cargo.env("RUSTC_WORKSPACE_WRAPPER", steps::this_program()?).env(STAND_IN, "1");
    steps::run(&mut cargo).context(
        "cannot build static programs\n hint: they need libc.a: libc6-dev on Debian and Ubuntu, glibc-static on Fedora",
    )?;
    let built: Vec<_> = programs.iter().map(|program| folder.join("release").join(program)).collect();
    built.iter().try_for_each(|program| check_static(program))?;
    eprintln!("built in {}", duration(start.elapsed()));
    Ok(built)
}

/// Where cargo called this program in place of the compiler: does the compiler's work.
pub(crate) fn stand_in() -> Option<ExitCode> {
    env::var_os(STAND_IN)?;
    let mut arguments = env::args_os().skip(1);
    let compiler = arguments.next()?;
    let arguments: Vec<OsString> = arguments.collect();
    let flags = if links_a_program(&arguments) { &FLAGS[..] } else { &[] };
    match Command::new(&compiler).args(&arguments).args(flags).status() {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
        }
        Err(error) => {
            eprintln!("error: cannot start {}: {error}", compiler.display());
            Some(ExitCode::FAILURE)
        }
    }
}

/// Neither build scripts, which run on this machine, nor cargo's question what the compiler can do, in which the crate
/// is called `___`.
fn links_a_program(arguments: &[OsString]) -> bool {
    let value_of = |name: &str| {
        let place = arguments.iter().position(|word| word == name)?;
        arguments.get(place + 1).and_then(|value| value.to_str())
    };
    let is_ours = |name: &str| !name.starts_with("build_script_") && name != "___";
    value_of("--crate-type") == Some("bin") && value_of("--crate-name").is_some_and(is_ours)
}

fn check_static(program: &Path) -> Result<()> {
    let data = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    ensure!(!has_interpreter(&data)?, "{} is not static", program.display());
    Ok(())
}

/// Whether it asks the machine for a program that loads its libraries.
fn has_interpreter(data: &[u8]) -> Result<bool> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    Ok(header.program_headers(endian, data)?.iter().any(|segment| segment.p_type(endian) == PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_libraries_cannot_travel() {
        let this = env::current_exe().expect("a test is a program");
        let message = check_static(&this).expect_err("tests are linked to a C library").to_string();
        assert!(message.ends_with(" is not static"), "{message}");
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(check_static(&text).is_err());
    }

    #[test]
    fn only_programs_are_linked_statically() {
        let check = |line: &str, expected| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(links_a_program(&words), expected, "{line}");
        };
        check(
            "--crate-name xray_train --edition=2024 src/main.rs --crate-type bin --emit=dep-info,link",
            true,
        );
        check("--crate-name xray_train src/lib.rs --crate-type lib", false);
        check("--crate-name build_script_main build/main.rs --crate-type bin", false);
        check("- --crate-name ___ --print=file-names --crate-type bin --crate-type rlib", false);
        check("-vV", false);
    }
}
