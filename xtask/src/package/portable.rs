//! Programs as static files that any x86-64 Linux machine of a level can run.
//!
//! Only the last step of a build decides whether a program is static: its linking. So these builds share every
//! dependency with the ordinary ones. Cargo calls [`stand_in`] in place of the compiler for the crates of the
//! workspace, and it adds the flag where a program is linked.

use super::Level;
use crate::stand_in;
use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xray_workspace::steps::{self, cargo, duration};

const TARGET: &str = "x86_64-unknown-linux-gnu";

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
    // The sign by which the stand-in knows them. Each program's package has its name.
    let stripped =
        programs.iter().map(|program| format!("profile.release.package.{program}.strip=\"symbols\""));
    cargo.args(stripped.flat_map(|setting| ["--config".to_owned(), setting]));
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
    cargo.env(stand_in::VARIABLE, stand_in::install()?);
    steps::run(&mut cargo).context(
        "cannot build static programs\n hint: they need libc.a: libc6-dev on Debian and Ubuntu, glibc-static on Fedora",
    )?;
    let built: Vec<_> = programs.iter().map(|program| folder.join("release").join(program)).collect();
    built.iter().try_for_each(|program| check_static(program))?;
    eprintln!("built in {}", duration(start.elapsed()));
    Ok(built)
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
        let this = std::env::current_exe().expect("a test is a program");
        let message = check_static(&this).expect_err("tests are linked to a C library").to_string();
        assert!(message.ends_with(" is not static"), "{message}");
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(check_static(&text).is_err());
    }
}
