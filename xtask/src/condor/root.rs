//! The root file system of the pool: a small Debian with HTCondor, qemu and a Vulkan driver in software, built once and
//! then only read.

use super::Unavailable;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use xray_workspace::steps;

/// The Debian release; the one before has no HTCondor.
const SUITE: &str = "trixie";
const MIRROR: &str = "http://deb.debian.org/debian";

/// Who submits jobs inside: HTCondor refuses those of root.
pub(super) const USER: &str = "xray";
/// Nobody's number on this machine, as a rule: folders are given to it.
pub(super) const UID: u32 = 50_000;

/// What builds it.
const SCRIPT: &str = include_str!("build.sh");

/// The root file system below `folder`, built when it is missing or another script built it.
pub(super) fn built(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    let finished = root.join(".built");
    if fs::read_to_string(&finished).ok().is_none_or(|script| script != SCRIPT) {
        build(folder, &root)?;
        fs::write(&finished, SCRIPT).with_context(|| format!("cannot write {}", finished.display()))?;
    }
    Ok(root)
}

fn build(folder: &Path, root: &Path) -> Result<()> {
    if !steps::succeeds(steps::command("debootstrap").arg("--version")) {
        let hint = "install HTCondor, or debootstrap: apt-get install debootstrap";
        return Err(Unavailable::new("HTCondor pool", "debootstrap is not installed", hint).into());
    }
    let log = folder.join("build.log");
    let mirror = mirror();
    eprintln!("installing HTCondor from {mirror} into {} (once, two to three minutes)", root.display());
    let began = Instant::now();
    let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "bash", "-c", SCRIPT, "build"])
        .arg(root)
        .args([SUITE, &mirror, USER, &UID.to_string()])
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .context("cannot start unshare")?;
    if !status.success() {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let last = said.lines().rev().find(|line| !line.is_empty()).unwrap_or("no word");
        let why = format!("it could not be installed from {mirror}: {last} ({})", log.display());
        return Err(
            Unavailable::new("HTCondor pool", why, "is there a network? the log says what failed").into()
        );
    }
    eprintln!("installed in {}", steps::duration(began.elapsed()));
    Ok(())
}

/// The mirror that this machine installs from, so that the pool works where only that one can be reached.
fn mirror() -> String {
    let files =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = files.chain([PathBuf::from("/etc/apt/sources.list")]).collect();
    files.sort();
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    texts.filter_map(|text| debian_mirror(&text)).next().unwrap_or_else(|| MIRROR.to_owned())
}

/// The first address of Debian itself in an apt sources file, of the old form (`deb [...] URL suite`) or the new one
/// (`URIs: URL`).
fn debian_mirror(sources: &str) -> Option<String> {
    let addresses = sources.lines().filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"));
    let mut addresses = addresses.flat_map(str::split_whitespace).filter(|word| word.contains("://"));
    addresses.find(|address| address.trim_end_matches('/').ends_with("/debian")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_this_machine() {
        let check = |sources, expected: Option<&str>| assert_eq!(debian_mirror(sources).as_deref(), expected);
        check(
            "Types: deb\n# http://old/debian\nURIs: http://deb.debian.org/debian\n",
            Some("http://deb.debian.org/debian"),
        );
        check(
            "deb [signed-by=/k] https://mirror.example/debian/ bookworm main\n",
            Some("https://mirror.example/debian/"),
        );
        check("deb http://deb.debian.org/debian-security bookworm-security main\n", None);
        check("deb https://packages.cloud.google.com/apt cloud-sdk main\n", None);
        check("# deb http://deb.debian.org/debian bookworm main\n", None);
    }
}
