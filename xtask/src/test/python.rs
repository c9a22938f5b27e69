//! A Python with TensorFlow for the tests that compare with it, and with Jupyter for the notebook, in `target/python`.

use crate::pip;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xray_workspace::steps::{self, command, succeeds};

const REQUIREMENTS: &str = include_str!("python-requirements.txt");

/// Copied into the environment when everything is installed: one without it, or with another, is made anew.
const STAMP: &str = "requirements.txt";

/// The Python that XRAY_PYTHON names, or one that is made once. The error is the reason why there is none.
pub(super) fn prepare() -> Result<PathBuf, String> {
    if let Some(python) = std::env::var_os("XRAY_PYTHON") {
        return Ok(python.into());
    }
    let folder = steps::target_folder().map_err(|error| format!("{error:#}"))?.join("python");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if is_ready(&folder) && succeeds(command(&python).arg("--version")) {
        return Ok(python);
    }
    make(&folder, &python).map(|()| python).map_err(|error| format!("{error:#}"))
}

fn is_ready(folder: &Path) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == REQUIREMENTS)
}

fn make(folder: &Path, python: &Path) -> Result<()> {
    let start = Instant::now();
    eprintln!(
        "making a Python environment for tests that compare with TensorFlow and for the notebook: 400 MB, a minute or two"
    );
    steps::run(command("python3").args(["-m", "venv", "--clear"]).arg(folder))
        .context("cannot make a virtual environment")?;
    let wanted = folder.join("wanted.txt");
    fs::write(&wanted, REQUIREMENTS).with_context(|| format!("cannot write {}", wanted.display()))?;
    steps::run(pip::install(python).arg("--requirement").arg(&wanted))
        .context("pip cannot install TensorFlow")?;
    // TensorFlow talks while it is imported, so only what it says when that fails is shown.
    steps::output(
        command(python).args(["-c", "import tensorflow, numpy, PIL, polars, matplotlib, nbclient"]),
    )
    .context("TensorFlow or what the notebook needs cannot be imported")?;
    fs::rename(&wanted, folder.join(STAMP)).context("cannot mark the environment as ready")?;
    eprintln!("made in {}", steps::duration(start.elapsed()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_counts_only_when_it_was_finished_with_these_packages() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stamp = |text: &str| fs::write(folder.path().join(STAMP), text).expect("writable");
        assert!(!is_ready(folder.path()));
        stamp("tensorflow-cpu==1.0.0\n");
        assert!(!is_ready(folder.path()));
        stamp(REQUIREMENTS);
        assert!(is_ready(folder.path()));
    }
}
