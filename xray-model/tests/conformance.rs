//! Every device of this build computes what the CPU computes: the same logits, losses and weights after some
//! steps, for each loss and optimizer. A backend without a device here says that it is skipped.

mod devices;

use devices::devices;
use xray_model::{
    Algorithm, Architecture, Backend, LabelledImages, Learner, LearnerConfig, Loss, ModelConfig,
    OptimizerConfig,
};

const WORKS: &str = "a device that works";

const SIZE: u32 = 34;
const IMAGES: usize = 3;

/// Smooth, deterministic numbers in −1..1.
fn wave(length: usize, phase: f32) -> Vec<f32> {
    (0..length).map(|i| (phase + 0.37 * i as f32 + 0.011 * (i % 97) as f32).sin()).collect()
}

fn labels() -> Vec<f32> {
    let mut labels: Vec<_> =
        wave(IMAGES * 14, 0.3).iter().map(|v| if *v > 0.4 { 1.0 } else { 0.0 }).collect();
    labels[5] = f32::NAN;
    labels
}

fn config(loss: &str, algorithm: Algorithm, backend: Backend) -> LearnerConfig {
    LearnerConfig {
        model: ModelConfig { width: 5, ..ModelConfig::default() },
        loss: Loss::from_name(loss).expect("a listed name"),
        optimizer: OptimizerConfig {
            algorithm,
            clip_norm: 1.0,
            weight_decay: 0.01,
            ..OptimizerConfig::default()
        },
        backend,
        prevalence: vec![0.1; 14],
        ..LearnerConfig::new(14)
    }
}

/// Losses of some steps, then logits in inference mode.
fn trace(config: &LearnerConfig) -> xray_model::Result<(Vec<f32>, Vec<f32>)> {
    let mut learner = Learner::new(config, 11)?;
    let (images, labels) = (wave(IMAGES * (SIZE * SIZE) as usize, 0.0), labels());
    for _ in 0..6 {
        let pass = learner.forward(&LabelledImages { images: (&images).into(), labels: &labels, size: SIZE });
        let gradients = learner.backward(pass);
        learner.step(gradients, 1e-2);
    }
    let losses = learner.records()?.iter().map(|record| record.loss).collect();
    Ok((losses, learner.predict(&images, SIZE).expect(WORKS)))
}

fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= 1e-3 * e.abs().max(1.0), "{what}: {found:?}, the CPU says {expected:?}");
    }
}

fn check(backend: Backend) {
    let algorithms = [Algorithm::Adam, Algorithm::AdamW, Algorithm::Sgd];
    let cases =
        Loss::NAMES.map(|loss| (loss, Algorithm::Adam)).into_iter().chain(algorithms.map(|a| ("bce", a)));
    for (loss, algorithm) in cases {
        let what = format!("{loss} with {algorithm:?} on {}", backend.name());
        let (losses, logits) = trace(&config(loss, algorithm, backend)).expect("the device was there before");
        let (cpu_losses, cpu_logits) = trace(&config(loss, algorithm, Backend::Cpu)).expect("always there");
        assert_close(&what, &losses, &cpu_losses);
        assert_close(&what, &logits, &cpu_logits);
        assert!(losses[5] < losses[0], "{what} learns nothing: {losses:?}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "which devices were compared, or why not")]
fn every_compiled_device_agrees_with_the_cpu() {
    for backend in Backend::compiled() {
        match Learner::new(&config("bce", Algorithm::Adam, backend), 0) {
            Ok(learner) => {
                eprintln!("{}: {}", backend.name(), learner.device().name);
                check(backend);
                check_networks(backend);
            }
            Err(error) => eprintln!("skipped: {error}"),
        }
    }
}

/// Each network in evaluation mode and over a few steps.
fn check_networks(backend: Backend) {
    for architecture in Architecture::ALL {
        let width = if architecture == Architecture::DenseNet121 { 3 } else { 8 };
        let of = |backend| LearnerConfig {
            model: ModelConfig { architecture, width, ..ModelConfig::default() },
            ..config("bce", Algorithm::Sgd, backend)
        };
        let trace = |backend| -> xray_model::Result<(Vec<f32>, Vec<f32>)> {
            let mut learner = Learner::new(&of(backend), 11)?;
            let (images, labels) = (wave(IMAGES * (SIZE * SIZE) as usize, 0.0), labels());
            let logits = learner.predict(&images, SIZE).expect(WORKS);
            // Small steps: the statistics of three images magnify any rounding.
            let step = |_| {
                let pass = learner.forward(&LabelledImages {
                    images: (&images).into(),
                    labels: &labels,
                    size: SIZE,
                });
                let loss = pass.loss().expect(WORKS);
                let gradients = learner.backward(pass);
                learner.step(gradients, 1e-5);
                loss
            };
            Ok(((0..3).map(step).collect(), logits))
        };
        let what = format!("{} on {}", architecture.name(), backend.name());
        let (losses, logits) = trace(backend).expect("the device was there before");
        let (cpu_losses, cpu_logits) = trace(Backend::Cpu).expect("always there");
        assert_close(&what, &losses, &cpu_losses);
        assert_close(&what, &logits, &cpu_logits);
    }
}

#[test]
fn auto_never_takes_a_software_renderer() {
    let learner = Learner::new(&config("bce", Algorithm::Adam, Backend::Auto), 0).expect("the CPU at least");
    let name = learner.device().name.to_lowercase();
    assert!(!name.contains("llvmpipe") && !name.contains("swiftshader"), "{name}");
}

/// Everything that a learner can be told beside loss and rule, all at once: first the last layer alone learns, then all do
/// at two rates, and then the last layer alone again; labels are smoothed, weights averaged, three channels hold the gray image, and scores are of both sides.
#[test]
fn frozen_averaged_and_smoothed_on_every_device() {
    let trace = |backend| {
        let model = ModelConfig { width: 5, channels: 3, flip: true, ..ModelConfig::default() };
        let config = LearnerConfig {
            model,
            average_decay: 0.5,
            label_smoothing: 0.2,
            ..config("weighted-bce", Algorithm::AdamW, backend)
        };
        let mut learner = Learner::new(&config, 11).expect(WORKS);
        let (images, labels) = (wave(IMAGES * (SIZE * SIZE) as usize, 0.0), labels());
        for backbone_rate in [0.0, 0.0, 0.3, 0.3, 0.0] {
            learner.set_backbone_rate(backbone_rate);
            let pass =
                learner.forward(&LabelledImages { images: (&images).into(), labels: &labels, size: SIZE });
            let gradients = learner.backward(pass);
            learner.step(gradients, 1e-2);
        }
        let records = learner.records().expect(WORKS);
        let norms: Vec<_> = records.iter().map(|record| record.gradient_norm).collect();
        let losses: Vec<_> = records.iter().map(|record| record.loss).collect();
        let averaged = learner.weights().expect(WORKS).tensors.into_values().flat_map(|tensor| tensor.values);
        (losses, norms, averaged.collect::<Vec<_>>(), learner.predict(&images, SIZE).expect(WORKS))
    };
    let (losses, norms, weights, logits) = trace(Backend::Cpu);
    for backend in devices().into_iter().filter(|backend| *backend != Backend::Cpu) {
        let found = trace(backend);
        let what = |part: &str| format!("{part} on {}", backend.name());
        assert_close(&what("losses"), &found.0, &losses);
        assert_close(&what("norms"), &found.1, &norms);
        assert_close(&what("averaged weights"), &found.2, &weights);
        assert_close(&what("logits"), &found.3, &logits);
    }
}

/// The kernels of this processor and of a GPU against burn's own operations, or against each other, over a training run:
/// rounding may differ, learning may not.
#[test]
fn fifty_losses_are_the_same_on_every_device() {
    // More images than elsewhere here: the statistics of a batch of three magnify any rounding.
    const BATCH: usize = 24;
    const PIXELS: usize = 32 * 32;
    let losses = |backend| {
        let mut learner =
            Learner::new(&config("bce", Algorithm::Adam, backend), 3).expect("on every processor");
        let step = |step: usize| {
            let (mut images, mut labels) = (Vec::new(), Vec::new());
            for image in 0..BATCH {
                let number = (BATCH * step + image) % 96;
                let brighter = (number % 7) as f32 / 4.0;
                images.extend(wave(PIXELS, number as f32).iter().map(|value| value + brighter));
                labels.extend((0..14).map(|label| f32::from(u8::from((number + label) % 7 < 2))));
            }
            let pass =
                learner.forward(&LabelledImages { images: (&images).into(), labels: &labels, size: 32 });
            let loss = pass.loss().expect(WORKS);
            let gradients = learner.backward(pass);
            learner.step(gradients, 1e-3);
            loss
        };
        (0..50).map(step).collect::<Vec<f32>>()
    };
    let own = losses(Backend::Cpu);
    assert!(own[49] < 0.9 * own[0], "it learns: {own:?}");
    for backend in devices().into_iter().filter(|backend| *backend != Backend::Cpu) {
        for (step, (own, found)) in own.iter().zip(losses(backend)).enumerate() {
            assert!((own / found - 1.0).abs() < 1e-4, "step {step} on {}: {own} and {found}", backend.name());
        }
    }
}
