//! HTCondor's own word on the submit file, where its tools are installed.

use crate::sweep_dir::SweepDir;
use std::process::{Command, Stdio};
use xray_artifacts::{Exit, Failure, write_bytes};

/// Lets `condor_submit -dry-run` read `text`, the submit file of one job with the variables of `row`. Nothing is said
/// where there are no such tools, or none that work.
pub(super) fn read_by_htcondor<'a>(
    dir: &SweepDir,
    text: &str,
    row: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Failure> {
    let name = ".check.sub";
    let path = dir.path().join(name);
    write_bytes(&path, text.as_bytes())?;
    let mut command = Command::new("condor_submit");
    command.current_dir(dir.path()).stdin(Stdio::null()).args(["-dry-run", "/dev/null"]);
    command.args(row.map(|(variable, value)| format!("{variable}={value}"))).arg(name);
    let output = command.output();
    let _ = std::fs::remove_file(&path);
    let Ok(output) = output else { return Ok(()) };
    let has_begun = String::from_utf8_lossy(&output.stdout).starts_with("Dry-Run");
    if output.status.success() || !has_begun {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let said: String = said.trim_start_matches("ERROR: ").chars().take(300).collect();
    Err(Failure::new(Exit::Usage, format!("HTCondor cannot read the submit file: {said}"))
        .hint("nothing was planned; correct --require, --rank, --attribute or the template"))
}
