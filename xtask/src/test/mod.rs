//! `cargo xtask test`: every test there is, and a list of what was skipped.

mod python;
mod runner;
mod skipped;
mod system;
mod vulkan;
mod worker;

use crate::ledger::Ledger;
use crate::{condor, page, slurm, stand_in};
use anyhow::{Result, anyhow, bail};
use clap::Args;
use runner::{Report, Runner, Selection};
use std::path::PathBuf;
use std::time::Instant;
use vulkan::Driver;
use xray_workspace::steps::{self, cargo, duration};

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

    /// Skip the tests of the packaged worker, for which it is built
    #[arg(long)]
    no_worker: bool,

    /// Skip the tests of the GPU backend, for which the tensor engine is built once more
    #[arg(long)]
    no_gpu: bool,

    /// Compute with every network on the GPU backend, not only with ResNet-18: ten minutes more where a renderer in
    /// software stands in for a GPU
    #[arg(long)]
    all_networks: bool,

    /// Also run the sweep on Slurm that is interrupted in every way, which takes two minutes. Each way has a shorter test,
    /// which always runs
    #[arg(long)]
    long: bool,

    /// Run the tests of GPU kernels again on the Vulkan driver in this folder: Debian's libvulkan1, mesa-vulkan-drivers and
    /// what they depend on, unpacked with dpkg -x. Mesa 26 and later take shaders as SPIR-V, and list matrix instructions
    #[arg(long, value_name = "FOLDER")]
    vulkan: Option<PathBuf>,

    /// Skip the tests on a real HTCondor pool and a real Slurm; otherwise they are started where that is possible
    #[arg(long)]
    no_pool: bool,
}

impl TestArguments {
    /// To be called first: what builds a static worker builds everything through the compiler's stand-in.
    pub(crate) fn prepare(&self) -> Result<()> {
        if self.no_worker || !worker::CAN_BE_BUILT { Ok(()) } else { stand_in::for_all_builds() }
    }
}

/// Installs, tests, lists.
pub(crate) fn run(arguments: &TestArguments) -> Result<()> {
    arguments.prepare()?;
    let mut ledger = Ledger::begin();
    let tested = run_in(arguments, &mut ledger);
    eprintln!("\n{}", ledger.table());
    tested
}

/// The same as steps of a longer command.
pub(crate) fn run_in(arguments: &TestArguments, ledger: &mut Ledger) -> Result<()> {
    let start = Instant::now();
    let (mut runner, mut report) = (Runner::choose(), Report::default());
    let mut skipped = ledger.step("system packages", || system::prepare(arguments));
    if !arguments.no_python {
        match ledger.step("Python with TensorFlow", python::prepare) {
            Ok(python) => runner.give("XRAY_PYTHON", python),
            Err(reason) => skipped.push(format!("no Python with TensorFlow: {reason}")),
        }
    }
    ledger.step("building programs and tests", || runner.build(&EVERYTHING))?;
    if !arguments.no_worker {
        match ledger.step("static worker", worker::prepare) {
            Ok(worker) => worker.into_iter().for_each(|folder| runner.give("XRAY_WORKER_DIR", folder)),
            Err(error) => report.failed.push(format!("the worker ({error:#})")),
        }
    }
    let own = steps::this_program()?.to_owned();
    let pool = if arguments.no_pool {
        Err(anyhow!("--no-pool"))
    } else {
        ledger.step("HTCondor pool", condor::for_tests)
    };
    match &pool {
        Ok(_) => runner.give("XRAY_CONDOR_RUN", own.clone()),
        Err(reason) => skipped.push(format!("no HTCondor pool: {reason:#}")),
    }
    let cluster =
        if arguments.no_pool { Err(anyhow!("--no-pool")) } else { ledger.step("Slurm", slurm::for_tests) };
    match &cluster {
        Ok(_) => runner.give("XRAY_SLURM_RUN", own.clone()),
        Err(reason) => skipped.push(format!("no Slurm: {reason:#}")),
    }
    if page::installed().is_some() {
        runner.give("XRAY_PAGE_CHECK", own);
    }
    let tested = test_all(&mut runner, arguments, ledger, &mut report);
    // Both are processes of their own, which would outlive this one.
    drop((pool, cluster));
    tested?;
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
fn test_all(
    runner: &mut Runner,
    arguments: &TestArguments,
    ledger: &mut Ledger,
    report: &mut Report,
) -> Result<()> {
    ledger.step("examples of the documentation", || runner.documentation(report))?;
    if !arguments.no_gpu {
        let trainer = ledger.step("building the GPU trainer and tests", || {
            runner.build(&GPU)?;
            gpu_trainer()
        })?;
        runner.give("XRAY_GPU_TRAINER", trainer);
        let chosen = if arguments.all_networks { GPU } else { Selection { only: Some(A_NETWORK), ..GPU } };
        ledger.step("tests of the GPU backend", || runner.tests(&chosen, report))?;
        if let Some(folder) = &arguments.vulkan {
            let runner = runner.on(&Driver::unpacked_in(folder)?);
            ledger
                .step("tests of GPU kernels on the driver of --vulkan", || runner.tests(&KERNELS, report))?;
        }
    }
    let chosen =
        if arguments.long { EVERYTHING } else { Selection { only: Some(WITHOUT_LONG), ..EVERYTHING } };
    ledger.step("tests", || runner.tests(&chosen, report))
}

/// No `--all-targets`: it would run benchmarks as tests.
const EVERYTHING: Selection = Selection {
    name: "the workspace",
    profile: "release",
    arguments: &["--lib", "--bins", "--tests"],
    only: None,
};

/// Tests on Slurm run one at a time; with this one they would take longer than all others together.
const WITHOUT_LONG: &str = "not (binary(slurm) and test(everything::))";

/// The backend that only `xray-train-gpu` has, and the kernels of xray-gpu, on a GPU or a renderer that stands in for one.
/// Unoptimised, because they wait
/// for the device and not for the host, and much is built once more.
const GPU: Selection = Selection {
    name: "the GPU backend",
    profile: "unoptimised",
    arguments: &[
        "--features",
        "xray-train/wgpu,xray-gpu/wgpu",
        "--test",
        "conformance",
        "--test",
        "gpu",
        "--test",
        "learner",
        "--test",
        "networks",
        "--test",
        "parity",
        "--test",
        "kernels",
        "--test",
        "passes",
    ],
    only: None,
};

/// All but what networks do on the processor, which the workspace's tests look at; and of what they do on a renderer in
/// software one network is a sample.
const A_NETWORK: &str = "not (binary(networks) and (\
    test(on_the_cpu) or test(it_has_the_papers_parameters) or test(trains_as_by_burns_own_operations) or \
    not test(resnet_18::)))";

/// Of these, what launches kernels. Its features are those of [`GPU`], so nothing is built for it.
const KERNELS: Selection = Selection {
    name: "GPU kernels on another driver",
    profile: GPU.profile,
    arguments: &["--features", "xray-train/wgpu,xray-gpu/wgpu", "--test", "kernels", "--test", "passes"],
    only: None,
};

/// `xray-train-gpu`, built like the tests of its backend.
fn gpu_trainer() -> Result<PathBuf> {
    let program = "xray-train-gpu";
    let build =
        ["build", "--workspace", "--profile", GPU.profile, "--features", GPU.arguments[1], "--bin", program];
    steps::run(&mut cargo(build))?;
    Ok(steps::target_folder()?.join(GPU.profile).join(program))
}

fn verdict(failed: &[String]) -> &'static str {
    if failed.is_empty() { "all tests passed" } else { "tests failed" }
}
