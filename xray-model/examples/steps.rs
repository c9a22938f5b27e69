//! Steps of training or inference on one batch in memory, and how long they take:
//! `cargo run --release -p xray-model --example steps -- --pass train --size 128 --batch 32 --threads 2`.
//!
//! Nothing is decoded, loaded or written. A step of training is forward, loss, backward and Adam; one of inference
//! is forward with batch norm folded into the weights. Prints one JSON object a line for each pass.
//!
//! With `--record FILE --threads 1` the tasks of each step are written to FILE, cut as for each number of `--workers`;
//! `cargo xtask bench scaling` makes schedules of them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints its figures")]

use clap::{Parser, ValueEnum};
use serde_json::json;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use xray_artifacts::{Exit, Failure};
use xray_kernels::{Isa, Recorder, Recording, TaskCosts, multiply_add_peak};
use xray_model::{
    Architecture, Backend, DeviceWork, Error, LabelledImages, Learner, LearnerConfig, ModelConfig, Pixels,
    Precision, Predictor, RangeRule, WeightType, set_threads,
};
use xray_random::Random;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As many as the NIH data have.
const CLASSES: usize = 14;

/// Measure steps on one batch in memory
#[derive(Debug, Parser)]
struct Arguments {
    /// What a step is; several one after the other
    #[arg(long, value_enum, value_delimiter = ',', default_value = "train")]
    pass: Vec<Pass>,

    /// The network
    #[arg(long, default_value = "small-cnn", value_parser = named::<Architecture>)]
    model: Architecture,

    /// Where it runs
    #[arg(long, default_value = "cpu", value_parser = named::<Backend>)]
    backend: Backend,

    /// What factors of convolutions are rounded to: f32, tf32, bf16 or f16
    #[arg(long, value_name = "NAME", default_value = "f32", value_parser = named::<Precision>)]
    precision: Precision,

    /// Infer in integers, with the ranges of this batch
    #[arg(long)]
    int8: bool,

    /// Width and height of the images
    #[arg(long, default_value = "128")]
    size: u32,

    /// Images in the batch
    #[arg(long, default_value = "32")]
    batch: usize,

    /// CPU threads
    #[arg(long, default_value = "2")]
    threads: usize,

    /// What is measured so often: a step, or a block of them
    #[arg(long, default_value = "8")]
    repeats: NonZero<usize>,

    /// Steps in a block, at whose end the device is waited for
    #[arg(long, default_value = "1")]
    block: NonZero<usize>,

    /// Steps before them, at least the first
    #[arg(long, default_value = "3")]
    warmup: usize,

    /// Write the tasks of the measured steps to this file, with one thread on the CPU
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// For how many threads tasks are cut when they are recorded
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    workers: Vec<NonZero<usize>>,

    /// Measure what a pass and a task cost with these threads, and nothing else
    #[arg(long)]
    costs: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pass {
    Train,
    Infer,
}

impl Arguments {
    /// Of a pass, measured or before.
    fn steps(&self) -> usize {
        self.warmup.max(1) + self.repeats.get() * self.block.get()
    }
}

impl Pass {
    fn name(self) -> &'static str {
        match self {
            Pass::Train => "train",
            Pass::Infer => "infer",
        }
    }
}

/// By the name that files and command lines use.
fn named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, serde_json::Error> {
    serde_json::from_value(name.into())
}

fn main() -> ExitCode {
    let begun = Instant::now();
    match run(&Arguments::parse(), begun) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit.code())
        }
    }
}

fn run(arguments: &Arguments, begun: Instant) -> Result<(), Failure> {
    set_threads(arguments.threads);
    if arguments.costs {
        let TaskCosts { pass_nanoseconds, task_nanoseconds } = TaskCosts::measure();
        println!("{}", json!({ "pass_nanoseconds": pass_nanoseconds, "task_nanoseconds": task_nanoseconds }));
        return Ok(());
    }
    let config = LearnerConfig {
        model: ModelConfig { architecture: arguments.model, ..ModelConfig::default() },
        backend: arguments.backend,
        precision: arguments.precision,
        ..LearnerConfig::new(CLASSES)
    };
    let mut learner = Learner::new(&config, 0)?;
    // As in training: a GPU is sent levels of gray, and the CPU's loader has normalised them.
    let (levels, values) = (levels(arguments.batch, arguments.size), values());
    let levels = Pixels::Levels { levels: &levels, values: &values };
    let floats = levels.normalised();
    let images = if learner.runs_behind() { levels } else { Pixels::Floats(&floats) };
    if let Some(file) = &arguments.record {
        return record(arguments, &mut learner, images, file);
    }
    for &pass in &arguments.pass {
        let began = unix_seconds();
        let times = match pass {
            Pass::Train => train(arguments, &mut learner, images, begun)?,
            Pass::Infer => infer(arguments, &learner, images, begun)?,
        };
        println!("{}", figures(arguments, &config, &learner, pass, times, began));
    }
    Ok(())
}

/// Writes the tasks of steps, cut for each number of workers.
fn record(
    arguments: &Arguments,
    learner: &mut Learner,
    images: Pixels<'_>,
    file: &Path,
) -> Result<(), Failure> {
    let (1, Backend::Cpu, &[pass]) = (arguments.threads, arguments.backend, &arguments.pass[..]) else {
        let message = "tasks are recorded of one --pass on the CPU with --threads 1";
        return Err(Failure::new(Exit::Usage, message));
    };
    let labels = labels(arguments.batch);
    let predictor = learner.predictor_as_trained()?;
    let mut step = || {
        if pass == Pass::Infer {
            return predictor.predict(images, arguments.size).map(|_| ());
        }
        let pass = learner.forward(&LabelledImages { images, labels: &labels, size: arguments.size });
        let gradients = learner.backward(pass);
        learner.step(gradients, 1e-3);
        Ok(())
    };
    let mut recordings = Vec::new();
    for &workers in &arguments.workers {
        let steps = 0..arguments.warmup + arguments.repeats.get();
        let steps = steps.map(|_| {
            let recorder = Recorder::start(workers);
            step().map(|()| recorder.finish())
        });
        let steps = steps.skip(arguments.warmup).collect::<Result<Vec<_>, _>>()?;
        recordings.push((workers, steps));
    }
    // Only now: what JSON takes and gives back of the memory would be paid for by the next step.
    let recordings = recordings.into_iter().map(|(workers, steps)| {
        let steps: Vec<_> = steps.into_iter().map(steps_json).collect();
        json!({ "workers": workers, "steps": steps })
    });
    let recordings: Vec<_> = recordings.collect();
    let written = fs::write(file, json!({ "recordings": recordings }).to_string());
    written.map_err(|error| {
        Failure::new(Exit::CannotRunHere, format!("cannot write {}: {error}", file.display()))
    })
}

fn steps_json(Recording { passes, alone_nanoseconds }: Recording) -> serde_json::Value {
    let passes = passes.into_iter().map(|pass| {
        json!({
            "name": pass.name,
            "floats": pass.floats,
            "alone_nanoseconds": pass.alone_nanoseconds,
            "task_nanoseconds": pass.task_nanoseconds,
        })
    });
    json!({ "passes": passes.collect::<Vec<_>>(), "alone_nanoseconds": alone_nanoseconds })
}

/// What was measured of a pass that began at this time.
fn figures(
    arguments: &Arguments,
    config: &LearnerConfig,
    learner: &Learner,
    pass: Pass,
    times: Times,
    began: f64,
) -> serde_json::Value {
    let Times { mut milliseconds, first_step_seconds, work } = times;
    milliseconds.sort_by(f64::total_cmp);
    let median = milliseconds[milliseconds.len() / 2];
    // The gradients take two more passes of as many multiplications as forward.
    let passes = if pass == Pass::Train { 3.0 } else { 1.0 };
    let multiply_adds = config.model.multiply_adds(CLASSES, arguments.size) as f64 * arguments.batch as f64;
    let peak =
        if arguments.backend == Backend::Cpu { Isa::detected().ok().map(multiply_add_peak) } else { None };
    json!({
        "pass": pass.name(),
        "images_per_second": arguments.batch as f64 * 1e3 / median,
        "ms": { "median": median, "lowest": milliseconds[0], "highest": milliseconds[milliseconds.len() - 1] },
        "first_step_seconds": first_step_seconds,
        "gigaflops": 2.0 * passes * multiply_adds / median / 1e6,
        "peak_gigaflops": peak.map(|peak| peak * arguments.threads as f64),
        "peak_memory_mib": peak_memory_mib(),
        "parameters": learner.num_parameters(),
        "device": learner.device().name,
        "work": work.map(|DeviceWork { launches, work_groups, multiply_adds, bytes, .. }| json!({
            "launches": launches, "work_groups": work_groups, "multiply_adds": multiply_adds, "bytes": bytes,
        })),
        "began": began,
        "ended": unix_seconds(),
        "versions": { "xray-model": env!("CARGO_PKG_VERSION") },
    })
}

/// Of steps.
struct Times {
    /// Of each block: the mean of its steps.
    milliseconds: Vec<f64>,
    /// From the program's start until the first step was done.
    first_step_seconds: f64,
    /// Of a step, where somebody counts.
    work: Option<DeviceWork>,
}

fn train(
    arguments: &Arguments,
    learner: &mut Learner,
    images: Pixels<'_>,
    begun: Instant,
) -> Result<Times, Failure> {
    let labels = labels(arguments.batch);
    let before = learner.work().unwrap_or_default();
    let times = timed(arguments, begun, |is_last| {
        let pass = learner.forward(&LabelledImages { images, labels: &labels, size: arguments.size });
        let gradients = learner.backward(pass);
        learner.step(gradients, 1e-3);
        if is_last {
            // A device that runs behind has taken the step when this returns.
            learner.records()?;
        }
        Ok(())
    })?;
    let work = learner.work().map(|after| of_a_step(before, after, arguments.steps()));
    Ok(Times { work, ..times })
}

fn infer(
    arguments: &Arguments,
    learner: &Learner,
    images: Pixels<'_>,
    begun: Instant,
) -> Result<Times, Failure> {
    let predictor = if arguments.int8 {
        integers(arguments, learner, images)?
    } else {
        learner.predictor_as_trained()?
    };
    timed(arguments, begun, |_| {
        let logits = predictor.predict(images, arguments.size)?;
        assert!(logits.iter().all(|logit| logit.is_finite()), "logits of such a network are finite");
        Ok(())
    })
}

/// The network in integers, calibrated on these images.
fn integers(arguments: &Arguments, learner: &Learner, images: Pixels<'_>) -> Result<Predictor, Failure> {
    let model = ModelConfig { architecture: arguments.model, ..ModelConfig::default() };
    let stored = learner.weights()?.stored(WeightType::Int8);
    let watching = Predictor::calibrating(&model, CLASSES, &stored.restored(), images.len())?;
    watching.predict(images, arguments.size)?;
    let stored = stored.with_ranges(&watching.activation_ranges(RangeRule::Extremes).expect("it watches"));
    Ok(Predictor::new(&model, CLASSES, &stored.restored(), Backend::Cpu)?)
}

/// What so many steps asked of a device, by their number.
fn of_a_step(before: DeviceWork, after: DeviceWork, steps: usize) -> DeviceWork {
    let each = |figure: fn(&DeviceWork) -> u64| (figure(&after) - figure(&before)) / steps as u64;
    DeviceWork {
        launches: each(|work| work.launches),
        work_groups: each(|work| work.work_groups),
        multiply_adds: each(|work| work.multiply_adds),
        bytes: each(|work| work.bytes),
        reads: each(|work| work.reads),
    }
}

/// `step` is told when it is a block's last, and waits for the device then.
fn timed(
    arguments: &Arguments,
    begun: Instant,
    mut step: impl FnMut(bool) -> Result<(), Error>,
) -> Result<Times, Failure> {
    step(true)?;
    let first_step_seconds = begun.elapsed().as_secs_f64();
    let mut block = |steps: usize| -> Result<f64, Error> {
        let start = Instant::now();
        (1..=steps).try_for_each(|number| step(number == steps))?;
        Ok(start.elapsed().as_secs_f64() * 1e3 / steps as f64)
    };
    if arguments.warmup > 1 {
        block(arguments.warmup - 1)?;
    }
    let steps = arguments.block.get();
    let milliseconds = (0..arguments.repeats.get()).map(|_| block(steps)).collect::<Result<_, _>>()?;
    Ok(Times { milliseconds, first_step_seconds, work: None })
}

/// Since 1970.
fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// One finding in four.
fn labels(batch: usize) -> Vec<f32> {
    (0..batch * CLASSES).map(|i| if i % 4 == 0 { 1.0 } else { 0.0 }).collect()
}

/// Noise.
fn levels(batch: usize, size: u32) -> Vec<u8> {
    let mut random = Random::keyed(&[]);
    (0..batch * (size * size) as usize).map(|_| random.bits() as u8).collect()
}

/// Levels of gray from −2 to 2.
fn values() -> [f32; 256] {
    std::array::from_fn(|level| level as f32 / 63.75 - 2.0)
}

/// Highest resident memory of this process so far, where Linux tells it.
fn peak_memory_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024.0)
}
