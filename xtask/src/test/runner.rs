//! The test runner: cargo-nextest where it is installed, `cargo test` where there is only Rust.

use super::skipped::{self, Filter, Skipped};
use super::vulkan::Driver;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use xray_workspace::steps::{self, cargo};

/// What runs tests.
#[derive(Debug)]
pub(super) struct Runner {
    has_nextest: bool,
    /// What tests ask for by the name of a variable.
    given: Vec<(&'static str, PathBuf)>,
    /// How cargo starts them, where not as any program.
    environment: Vec<(&'static str, OsString)>,
}

/// What a test can be given: a Python, a folder of packaged workers, a trainer for GPUs, a program whose `condor run`
/// reaches a pool, one whose `slurm run` reaches a Slurm, and one whose `page` looks at a page in a browser.
pub(super) const VARIABLES: [&str; 6] = [
    "XRAY_PYTHON",
    "XRAY_WORKER_DIR",
    "XRAY_GPU_TRAINER",
    "XRAY_CONDOR_RUN",
    "XRAY_SLURM_RUN",
    "XRAY_PAGE_CHECK",
];

/// Some tests of the workspace, and how they are built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection {
    /// What they are, in a few words.
    pub(super) name: &'static str,
    /// How much they are optimised.
    pub(super) profile: &'static str,
    /// Which they are, and with which features.
    pub(super) arguments: &'static [&'static str],
    /// Which of these, where cargo-nextest can choose: a filterset.
    pub(super) only: Option<&'static str>,
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What did not pass.
    pub(super) failed: Vec<String>,
    /// What tests said they skipped.
    pub(super) skipped: Vec<Skipped>,
}

impl Runner {
    /// Tests are given nothing yet.
    pub(super) fn choose() -> Runner {
        let has_nextest = steps::succeeds(&mut cargo(["nextest", "--version"]));
        if !has_nextest {
            eprintln!("cargo-nextest is not installed: testing with cargo test, which is slower");
        }
        Runner { has_nextest, given: Vec::new(), environment: Vec::new() }
    }

    /// Gives the tests what `variable`, one of [`VARIABLES`], stands for.
    pub(super) fn give(&mut self, variable: &'static str, path: PathBuf) {
        self.given.push((variable, path));
    }

    /// It, with a driver that is not installed.
    pub(super) fn on(&self, driver: &Driver) -> Runner {
        Runner { given: self.given.clone(), environment: driver.environment().into(), ..*self }
    }

    /// Builds tests without running them, so that building and running are told apart.
    pub(super) fn build(&self, selection: &Selection) -> Result<()> {
        let Selection { profile, arguments, .. } = selection;
        let test: &[&str] = if self.has_nextest {
            &["nextest", "run", "--workspace", "--no-run", "--cargo-profile", profile]
        } else {
            &["test", "--workspace", "--no-run", "--profile", profile]
        };
        steps::run(&mut self.command(&[test, *arguments].concat()))
    }

    /// The examples in the documentation. `cargo test` alone can run them.
    pub(super) fn documentation(&self, report: &mut Report) -> Result<()> {
        let arguments = ["test", "--release", "--doc", "--workspace"];
        self.libtest("examples of the documentation", &arguments, report)
    }

    /// The tests of `selection`, but not the documentation's.
    pub(super) fn tests(&self, selection: &Selection, report: &mut Report) -> Result<()> {
        if self.has_nextest {
            return self.nextest(selection, report);
        }
        let Selection { name, profile, arguments, .. } = selection;
        let test = ["test", "--workspace", "--profile", profile, "--no-fail-fast"];
        self.libtest(name, &[&test, *arguments].concat(), report)
    }

    fn nextest(&self, selection: &Selection, report: &mut Report) -> Result<()> {
        let Selection { name, profile, arguments, only } = selection;
        // Nextest keeps its reports here wherever cargo builds.
        let junit = steps::root().join("target/nextest/default/junit.xml");
        // One of another run would tell of other tests.
        if junit.exists() {
            fs::remove_file(&junit).with_context(|| format!("cannot remove {}", junit.display()))?;
        }
        let test = ["nextest", "run", "--workspace", "--cargo-profile", profile, "--profile", "default"];
        // Two more than there are processors: tests on HTCondor and Slurm, one at a time on each, wait more than they compute.
        let threads = thread::available_parallelism().map_or(1, NonZero::get) + 2;
        let mut command = self.command(&[&test, *arguments].concat());
        command.args(["--test-threads", &threads.to_string()]);
        command.args(only.iter().flat_map(|filter| ["--filterset", filter]));
        let ran = steps::run(&mut command);
        match fs::read_to_string(&junit) {
            Ok(xml) => report.skipped.extend(skipped::in_junit(&xml)),
            // When compiling failed there is none.
            Err(_) if ran.is_err() => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", junit.display())),
        }
        report.failed.extend(ran.err().map(|error| format!("{name} ({error})")));
        Ok(())
    }

    /// Shows the output line by line, without that of tests that passed, which is looked through.
    fn libtest(&self, name: &str, arguments: &[&str], report: &mut Report) -> Result<()> {
        let mut command = self.command(&[arguments, &["--", "--show-output"]].concat());
        eprintln!("+ {}", steps::line(&command));
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
        let stdout = child.stdout.take().expect("it was asked for");
        let mut filter = Filter::default();
        for line in BufReader::new(stdout).lines() {
            let line = line.context("cannot read what cargo test prints")?;
            if filter.shows(&line) {
                eprintln!("{line}");
            }
        }
        let status = child.wait().context("cannot wait for cargo test")?;
        if !status.success() {
            report.failed.push(format!("{name} (cargo test ended with {status})"));
        }
        report.skipped.extend(filter.skipped);
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = cargo(arguments);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.envs(self.given.iter().map(|(name, path)| (name, path)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}
