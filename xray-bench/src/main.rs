//! `xray-bench`: measures this project, and other people's programs at the same tasks in turn. `cargo xtask bench` builds
//! it and runs it.
#![expect(clippy::print_stderr, reason = "says on the terminal what it does")]

mod competitor;
mod contest;
mod coverage;
mod data;
mod day;
mod gpu;
mod load;
mod machine;
mod network_steps;
mod networks;
mod peers;
mod process;
mod report;
mod scaling;
mod serve;
mod server;
mod shards;
mod spread;
mod sweep;
mod sweep_report;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use xray_artifacts::Failure;

/// That of xray-serve: whoever makes a load takes little of the processors that it shares with the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure, and compare with others on the same machine and data
#[derive(Debug, Parser)]
#[command(name = "xray-bench", version)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    Data(data::DataArguments),
    Sweep(sweep::SweepArguments),
    Report(sweep_report::EvaluationArguments),
    Coverage(coverage::CoverageArguments),
    /// Measure training steps against PyTorch, Keras and burn's own operations: results/benchmarks/train.md
    ///
    /// Every figure comes from a process of its own, ours and theirs in turn: leave the machine alone meanwhile.
    /// Without --peers ours stands beside burn's own operations only.
    Train(network_steps::StepArguments),
    /// Measure inference against ONNX Runtime: results/benchmarks/infer.md
    ///
    /// As `train`.
    Infer(network_steps::StepArguments),
    /// Measure every network against PyTorch, and tell what each is: results/benchmarks/networks.md
    ///
    /// As `train`.
    Networks(networks::NetworkArguments),
    Scaling(scaling::ScalingArguments),
    Gpu(gpu::GpuArguments),
    Serve(serve::ServeArguments),
    Day(day::DayArguments),
    Load(load::LoadArguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().bench {
        Bench::Data(arguments) => data::run(&arguments),
        Bench::Sweep(arguments) => sweep::run(&arguments),
        Bench::Report(arguments) => sweep_report::run(&arguments),
        Bench::Coverage(arguments) => coverage::run(&arguments),
        Bench::Train(arguments) => network_steps::train(&arguments),
        Bench::Infer(arguments) => network_steps::infer(&arguments),
        Bench::Networks(arguments) => networks::run(&arguments),
        Bench::Scaling(arguments) => scaling::run(&arguments),
        Bench::Gpu(arguments) => gpu::run(&arguments),
        Bench::Serve(arguments) => serve::run(&arguments),
        Bench::Day(arguments) => day::run(&arguments),
        Bench::Load(arguments) => load::run(&arguments),
    };
    match done.map_err(|error| error.downcast::<Failure>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ok(failure)) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit.code())
        }
        Err(Err(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
