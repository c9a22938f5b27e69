//! `xray-eval`: what a model's scores are worth.

use xray_artifacts::Exit;
use xray_cli::build;
use xray_eval::cli::Arguments;
use xray_kernels::Isa;
use xray_train::environment::VERSION;

fn main() -> Exit {
    let build = build!().version(VERSION).with("kernels", Isa::summary());
    xray_cli::main(build, |arguments: Arguments| arguments.run())
}
