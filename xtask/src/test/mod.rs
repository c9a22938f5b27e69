//! `cargo xtask test`: every test there is, and a list of what was skipped.

mod python;
mod runner;
mod skipped;
mod system;
mod worker;

use crate::ledger::Ledger;
use crate::{condor, page};
use anyhow::{Result, anyhow, bail};
use clap::Args;
use runner::{Report, Runner, Selection};
use std::time::Instant;
use xray_workspace::steps::duration;

/// Run every test, and list what was skipped and why
///
/// Some tests compare with TensorFlow, need a Vulkan driver or a pool. Where apt-get may install (as root, or with a
/// sudo that asks for no password) and pip finds its registry, what is missing is installed first: system
/// packages with apt-get, Python packages in target/python. Without them those tests are skipped.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Install no system packages
    #[arg(long)]
    no_apt: bool,

    /// Skip the tests that need Python; otherwise the Python that XRAY_PYTHON names, or one in target/python
    #[arg(long)]
    no_python: bool,

    /// Skip the tests of the packaged worker, for which it is built twice
    #[arg(long)]
    no_worker: bool,

    /// Skip the tests of the GPU backend, for which the tensor engine is built once more
    #[arg(long)]
    no_gpu: bool,

    /// Skip the tests on a real HTCondor pool; otherwise one is started where that is possible
    #[arg(long)]
    no_pool: bool,
}

/// Installs, tests, lists.
pub(crate) fn run(arguments: &TestArguments) -> Result<()> {
    let mut ledger = Ledger::begin();
    let tested = run_in(arguments, &mut ledger);
    eprintln!("\n{}", ledger.table());
    tested
}

/// The same as steps of a longer command.
pub(crate) fn run_in(arguments: &TestArguments, ledger: &mut Ledger) -> Result<()> {
    let start = Instant::now();
    let mut skipped = ledger.step("system packages", || system::prepare(arguments));
    let python = if arguments.no_python {
        Err("--no-python".to_owned())
    } else {
        ledger.step("Python with TensorFlow", python::prepare)
    };
    if let Err(reason) = &python {
        skipped.push(format!("no Python with TensorFlow: {reason}"));
    }

    let pool = if arguments.no_pool {
        Err(anyhow!("--no-pool"))
    } else {
        ledger.step("HTCondor pool", condor::for_tests)
    };
    if let Err(reason) = &pool {
        skipped.push(format!("no HTCondor pool: {reason:#}"));
    }

    let worker = if arguments.no_worker { Ok(None) } else { ledger.step("static worker", worker::prepare) };
    let (worker, failed) = worker.map_or_else(|error| (None, Some(error)), |worker| (worker, None));

    let own = std::env::current_exe()?;
    let page = page::installed().map(|_| own.clone());
    let runner = Runner::choose(python.ok(), worker, pool.is_ok().then_some(own), page);
    let report = test_all(&runner, arguments, ledger);
    // The pool is a process of its own, which would outlive this one.
    drop(pool);
    let mut report = report?;
    report.failed.extend(failed.map(|error| format!("the worker ({error:#})")));
    skipped.extend(skipped::grouped(&report.skipped));
    for reason in &skipped {
        eprintln!("skipped: {reason}");
    }
    eprintln!("{} in {}", verdict(&report.failed), duration(start.elapsed()));
    if !report.failed.is_empty() {
        bail!("{} failed", report.failed.join(", "));
    }
    Ok(())
}

/// The tests of the whole workspace come last, so that their summary stands at the end.
fn test_all(runner: &Runner, arguments: &TestArguments, ledger: &mut Ledger) -> Result<Report> {
    let mut report = Report::default();
    ledger.step("building tests", || runner.build(&EVERYTHING))?;
    ledger.step("examples of the documentation", || runner.documentation(&mut report))?;
    if !arguments.no_gpu {
        ledger.step("building tests of the GPU backend", || runner.build(&GPU))?;
        ledger.step("tests of the GPU backend", || runner.tests(&GPU, &mut report))?;
    }
    ledger.step("tests", || runner.tests(&EVERYTHING, &mut report))?;
    Ok(report)
}

/// No `--all-targets`: it would run benchmarks as tests.
const EVERYTHING: Selection =
    Selection { name: "the workspace", profile: "release", arguments: &["--lib", "--bins", "--tests"] };

/// The backend that only `xray-train-gpu` has, on a GPU or a renderer that stands in for one. Unoptimised, because the
/// tensor engine is built for it once more.
const GPU: Selection = Selection {
    name: "the GPU backend",
    profile: "unoptimised",
    arguments: &["--features", "xray-model/wgpu", "--test", "conformance"],
};

fn verdict(failed: &[String]) -> &'static str {
    if failed.is_empty() { "all tests passed" } else { "tests failed" }
}
