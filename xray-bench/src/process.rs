//! What a command takes: time and memory of its process, several times over.

use crate::spread::Spread;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xray_artifacts::Exit;
use xray_workspace::steps;

/// One command's figures.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) seconds: Spread,
    pub(crate) peak_mib: f64,
}

impl Row {
    /// Runs the commands that `make` gives, one a round.
    pub(crate) fn measure(
        what: &'static str,
        rounds: usize,
        mut make: impl FnMut() -> Result<Command>,
    ) -> Result<Row> {
        let (mut seconds, mut peak_mib) = (Vec::new(), 0.0_f64);
        for _ in 0..rounds {
            let (time, peak) = timed(&mut make()?)?;
            seconds.push(time.as_secs_f64());
            peak_mib = peak_mib.max(peak);
        }
        let seconds = Spread::of(seconds).context("no round")?;
        eprintln!("{what}: {seconds} s, {peak_mib:.0} MiB");
        Ok(Row { what, seconds, peak_mib })
    }
}

/// In markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let row = |row: &Row| format!("| {} | {} | {:.0} |\n", row.what, row.seconds, row.peak_mib);
    let head = "| command | seconds, median (lowest–highest) | peak MiB |\n|---|---|---|\n";
    head.to_owned() + &rows.iter().map(row).collect::<String>()
}

/// Time and highest resident memory of a process, the latter looked at every millisecond.
fn timed(command: &mut Command) -> Result<(Duration, f64)> {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0.0_f64;
    let status = loop {
        let highest = fs::read_to_string(&path).ok().and_then(|status| high_water_mib(&status));
        peak = peak.max(highest.unwrap_or(0.0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let exit = status.code().and_then(|code| u8::try_from(code).ok()).and_then(Exit::from_code);
    // A sweep with cells that are not done, as planned ones are, is incomplete.
    let went_well = matches!(exit, Some(Exit::Ok | Exit::SweepIncomplete));
    ensure!(went_well, "{} ended with {status}", steps::line(command));
    Ok((start.elapsed(), peak))
}

fn high_water_mib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read() {
        assert_eq!(high_water_mib("Name:\tx\nVmHWM:\t    2048 kB\n"), Some(2.0));
        assert_eq!(high_water_mib("Name:\tx\n"), None);
    }

    #[test]
    fn a_process_is_timed_and_its_failure_is_an_error() {
        let (time, peak) = timed(Command::new("sleep").arg("0.05")).expect("it ends well");
        assert!(time >= Duration::from_millis(50) && peak > 0.1, "{time:?} {peak}");
        timed(&mut Command::new("false")).expect_err("exit code 1");
    }
}
