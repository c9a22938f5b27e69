//! Steps of training or inference on one batch in memory, and how long they take:
//! `cargo run --release -p xray-model --example steps -- --pass train --size 128 --batch 32 --threads 2`.
//!
//! Nothing is decoded, loaded or written. A step of training is forward, loss, backward and Adam; one of inference
//! is forward with batch norm folded into the weights. Prints one JSON object.
#![expect(clippy::print_stdout, reason = "a program that prints its figures")]

use clap::{Parser, ValueEnum};
use serde_json::json;
use std::error::Error;
use std::time::Instant;
use xray_kernels::{Isa, multiply_add_peak};
use xray_model::{Architecture, Backend, LabelledImages, Learner, LearnerConfig, ModelConfig, set_threads};
use xray_random::Random;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As many as the NIH data have.
const CLASSES: usize = 14;

/// Measure steps on one batch in memory
#[derive(Debug, Parser)]
struct Arguments {
    /// What a step is
    #[arg(long, value_enum, default_value = "train")]
    pass: Pass,

    /// The network
    #[arg(long, default_value = "small-cnn", value_parser = named::<Architecture>)]
    model: Architecture,

    /// Where it runs
    #[arg(long, default_value = "cpu", value_parser = named::<Backend>)]
    backend: Backend,

    /// Width and height of the images
    #[arg(long, default_value = "128")]
    size: u32,

    /// Images in the batch
    #[arg(long, default_value = "32")]
    batch: usize,

    /// CPU threads
    #[arg(long, default_value = "2")]
    threads: usize,

    /// Measured steps
    #[arg(long, default_value = "8")]
    repeats: usize,

    /// Steps before them
    #[arg(long, default_value = "3")]
    warmup: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pass {
    Train,
    Infer,
}

/// By the name that files and command lines use.
fn named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, serde_json::Error> {
    serde_json::from_value(name.into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    set_threads(arguments.threads);
    let config = LearnerConfig {
        model: ModelConfig { architecture: arguments.model, ..ModelConfig::default() },
        backend: arguments.backend,
        ..LearnerConfig::new(CLASSES)
    };
    let learner = Learner::new(&config, 0)?;
    let (device, parameters) = (learner.device().name.clone(), learner.num_parameters());
    let images = images(arguments.batch, arguments.size);
    let mut milliseconds = match arguments.pass {
        Pass::Train => train(&arguments, learner, &images)?,
        Pass::Infer => infer(&arguments, &learner, &images)?,
    };
    milliseconds.sort_by(f64::total_cmp);
    let median = milliseconds.get(milliseconds.len() / 2).copied().ok_or("nothing was measured")?;

    // The gradients take two more passes of as many multiplications as forward.
    let passes = if arguments.pass == Pass::Train { 3.0 } else { 1.0 };
    let multiply_adds = config.model.multiply_adds(CLASSES, arguments.size) as f64 * arguments.batch as f64;
    let on_cpu = arguments.backend == Backend::Cpu;
    let peak = on_cpu.then(|| Isa::detected().map(multiply_add_peak)).transpose()?;
    println!(
        "{}",
        json!({
            "images_per_second": arguments.batch as f64 * 1e3 / median,
            "ms": { "median": median, "lowest": milliseconds[0], "highest": milliseconds[milliseconds.len() - 1] },
            "gigaflops": 2.0 * passes * multiply_adds / median / 1e6,
            "peak_gigaflops": peak.map(|peak| peak * arguments.threads as f64),
            "peak_memory_mib": peak_memory_mib(),
            "parameters": parameters,
            "device": device,
            "versions": { "xray-model": env!("CARGO_PKG_VERSION") },
        })
    );
    Ok(())
}

/// Milliseconds of each step.
fn train(arguments: &Arguments, mut learner: Learner, images: &[f32]) -> Result<Vec<f64>, Box<dyn Error>> {
    let labels: Vec<f32> =
        (0..arguments.batch * CLASSES).map(|i| if i % 4 == 0 { 1.0 } else { 0.0 }).collect();
    timed(arguments, || {
        let pass = learner.forward(&LabelledImages { images, labels: &labels, size: arguments.size });
        let gradients = learner.backward(pass);
        learner.step(gradients, 1e-3);
        // A device that runs behind has taken the step when this returns.
        learner.records()?;
        Ok(())
    })
}

/// Milliseconds of each forward pass.
fn infer(arguments: &Arguments, learner: &Learner, images: &[f32]) -> Result<Vec<f64>, Box<dyn Error>> {
    let predictor = learner.predictor();
    timed(arguments, || {
        let logits = predictor.predict(images, arguments.size);
        assert!(logits.iter().all(|logit| logit.is_finite()), "logits of a fresh network are finite");
        Ok(())
    })
}

fn timed(
    arguments: &Arguments,
    mut step: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<Vec<f64>, Box<dyn Error>> {
    (0..arguments.warmup).try_for_each(|_| step())?;
    let mut one = |_| {
        let start = Instant::now();
        step()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    (0..arguments.repeats).map(&mut one).collect()
}

/// Noise in −2..2.
fn images(batch: usize, size: u32) -> Vec<f32> {
    let mut random = Random::keyed(&[]);
    (0..batch * (size * size) as usize).map(|_| random.between(-2.0, 2.0) as f32).collect()
}

/// Highest resident memory of this process so far, where Linux tells it.
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024.0)
}
