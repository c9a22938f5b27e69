//! `cargo xtask package release`: the programs for people who have no Rust, as a tarball and as Python wheels.

mod bill;
mod pages;
mod tarball;
mod wheel;

use super::{Level, portable, worker};
use anyhow::{Context, Result};
use clap::Args;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xray_workspace::steps::{self, cargo, duration};

/// Build what is given to people without Rust: a tarball and Python wheels with all programs
///
/// The programs are static and run on every x86-64 Linux. With --gpu they include xray-train-gpu, which needs the system's
/// C library and Vulkan driver, and to which xray-train hands over. RELEASING.md says what to do with the files; nothing
/// is published.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArguments {
    /// Build xray-train-gpu too: into the tarball, and as a wheel of its own
    #[arg(long)]
    gpu: bool,

    /// The folder that is made [default: release-packages/ in the target folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What goes into a package: where it lies there, its bytes, and whether it is a program.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
    pub(super) is_program: bool,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const GPU_PROGRAM: &str = "xray-train-gpu";

/// Builds it and says what it is.
#[expect(clippy::print_stdout, reason = "the answer")]
pub(super) fn run(arguments: &ReleaseArguments) -> Result<()> {
    let start = Instant::now();
    let out = match &arguments.out {
        Some(out) => std::path::absolute(out)?,
        None => steps::target_folder()?.join("release-packages"),
    };
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    remove_earlier(&out)?;
    let built = portable::build(&xray_workspace::ALL, Level::V1)?;
    for program in built.iter().filter(|program| program.ends_with("xray-train")) {
        worker::check_level(program, Level::V1)?;
    }
    let bill = bill::of_materials(arguments.gpu)?;
    let documents = [pages::of(&built)?, vec![bill.clone()], licences()?].concat();
    let mut programs: Vec<Item> = built.iter().map(|path| program(path)).collect::<Result<_>>()?;
    let mut files = vec![wheel::write(&out, wheel::Kind::Programs, &programs, &documents)?];
    if arguments.gpu {
        steps::run(&mut cargo(crate::build::GPU))?;
        let gpu = program(&steps::target_folder()?.join("release").join(GPU_PROGRAM))?;
        files.push(wheel::write(&out, wheel::Kind::Gpu, std::slice::from_ref(&gpu), &documents)?);
        programs.push(gpu);
    }
    files.push(tarball::write(&out, &programs, &documents)?);
    let sbom = out.join(format!("xray-{VERSION}.cdx.json"));
    fs::write(&sbom, &bill.bytes)?;
    files.push(sbom);
    checksums(&out, &files)?;
    for file in &files {
        println!("{}: {:.1} MB", file.display(), fs::metadata(file)?.len() as f64 / 1e6);
    }
    eprintln!("packaged in {}", duration(start.elapsed()));
    Ok(())
}

impl Item {
    fn document(path: &str, bytes: Vec<u8>) -> Item {
        Item { path: path.to_owned(), bytes, is_program: false }
    }
}

/// So that nobody uploads what another version left.
fn remove_earlier(out: &Path) -> Result<()> {
    for entry in fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_ours(&name) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn is_ours(name: &str) -> bool {
    let between = |start: &str, end: &str| name.starts_with(start) && name.ends_with(end);
    between("xray-", ".tar.gz")
        || between("xray-", ".cdx.json")
        || between("xray_training", ".whl")
        || name == "SHA256SUMS"
}

fn program(path: &Path) -> Result<Item> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_name().context("a program has a name")?.to_string_lossy();
    Ok(Item { path: format!("bin/{name}"), bytes, is_program: true })
}

fn licences() -> Result<Vec<Item>> {
    let read = |name: &str| {
        let path = steps::root().join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Item::document(&format!("share/doc/xray/{name}"), bytes))
    };
    ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "CHANGELOG.md"].map(read).into_iter().collect()
}

/// `SHA256SUMS`, as sha256sum(1) checks it.
fn checksums(out: &Path, files: &[PathBuf]) -> Result<()> {
    let mut text = String::new();
    for file in files {
        let name = file.file_name().context("a file has a name")?.to_string_lossy();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}  {name}", hex(&Sha256::digest(fs::read(file)?)));
    }
    fs::write(out.join("SHA256SUMS"), text)?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_release_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names = [
            "xray-0.1.0-x86_64-linux.tar.gz",
            "xray_training-0.1.0-py3-none-any.whl",
            "SHA256SUMS",
            "notes.txt",
        ];
        names.iter().for_each(|name| fs::write(folder.path().join(name), "old").expect("writable"));
        remove_earlier(folder.path()).expect("removed");
        let left: Vec<_> = fs::read_dir(folder.path())
            .expect("readable")
            .map(|entry| entry.expect("one").file_name())
            .collect();
        assert_eq!(left, ["notes.txt"]);
    }

    #[test]
    fn checksums_are_those_that_sha256sum_checks() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("a.whl");
        fs::write(&file, "abc").expect("writable");
        checksums(folder.path(), &[file]).expect("written");
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a.whl\n";
        assert_eq!(fs::read_to_string(folder.path().join("SHA256SUMS")).expect("readable"), expected);
    }
}
