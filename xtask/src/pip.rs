//! Python packages from their registry.

use std::path::Path;
use std::process::Command;
use xray_workspace::steps::command;

/// `pip install` of a virtual environment. Without a registry it gives up in seconds, and it never asks. Ready-made
/// packages only: building some of them would take hours.
pub(crate) fn install(python: &Path) -> Command {
    let mut pip = command(python);
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    pip.args(["--only-binary=:all:", "--timeout", "15", "--retries", "1"]);
    pip
}
