//! A program as one static file that any x86-64 Linux machine of a level can run.

use super::Level;
use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xray_workspace::steps::{self, cargo, duration};

/// How much a program is optimised, as profiles of the workspace.
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

/// What is built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub(super) package: &'static str,
    pub(super) binary: &'static str,
    pub(super) features: &'static [&'static str],
}

const TARGET: &str = "x86_64-unknown-linux-gnu";

impl Program {
    /// Builds it and checks that it is static; gives where cargo put it.
    pub(super) fn build(&self, level: Level, profile: Profile) -> Result<PathBuf> {
        ensure!(
            cfg!(all(target_os = "linux", target_arch = "x86_64")),
            "static programs are built on x86-64 Linux only"
        );
        let start = Instant::now();
        let target = steps::target_folder()?.join("worker-build");
        let mut cargo = cargo(["build", "--profile", profile.name(), "--target", TARGET]);
        cargo.args(["--package", self.package, "--bin", self.binary, "--no-default-features"]);
        cargo.args(self.features.iter().flat_map(|feature| ["--features", feature]));
        cargo.arg("--target-dir").arg(&target);
        // Goes before RUSTFLAGS and any configuration file; programs that run while it builds are not concerned.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(level));
        steps::run(&mut cargo).with_context(|| {
            format!(
                "cannot build {}\n hint: a static program needs libc.a: libc6-dev on Debian and Ubuntu, glibc-static on \
                 Fedora",
                self.binary
            )
        })?;
        let built = target.join(TARGET).join(profile.name()).join(self.binary);
        check_static(&built)?;
        eprintln!("built in {}", duration(start.elapsed()));
        Ok(built)
    }
}

/// Static glibc rather than musl: the target that every Rust on Linux has, and the same mathematical functions.
fn flags(level: Level) -> String {
    let cpu = level.target_cpu().map(|cpu| format!("\x1f-Ctarget-cpu={cpu}"));
    format!("-Ctarget-feature=+crt-static{}", cpu.unwrap_or_default())
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

    #[test]
    fn flags_name_the_processor() {
        assert_eq!(flags(Level::V1), "-Ctarget-feature=+crt-static");
        assert_eq!(flags(Level::V4), "-Ctarget-feature=+crt-static\u{1f}-Ctarget-cpu=x86-64-v4");
    }
}
