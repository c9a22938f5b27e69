//! The networks that torchvision has give its numbers, under its names, by our kernels for processors and for GPUs,
//! and by burn's own operations. The
//! golden files are made by `tests/golden/make_networks.py`.

mod devices;
mod narrow;

use devices::devices;
use narrow::narrow;
use std::path::Path;
use std::process::Command;
use xray_artifacts::ChannelRange;
use xray_model::{
    Algorithm, Architecture, Backend, HostTensor, LabelledImages, Learner, LearnerConfig, ModelConfig,
    OptimizerConfig, Predictor, StateDict,
};
use xray_random::Random;

const CLASSES: usize = 14;
const IMAGES: usize = 8;
const SIZE: u32 = 64;
const SAMPLE: usize = 64;
const CONVOLUTION: &str = "XRAY_CONVOLUTION";

/// Numbers from 0 to 1 that are a function of the name, of 24 bits, as the script draws them.
fn uniform(name: &str, count: usize) -> Vec<f64> {
    let mut random = Random::named(0, name);
    (0..count).map(|_| (random.bits() >> 40) as f64 / f64::from(1 << 24)).collect()
}

/// A weight or running statistic, as the script makes it.
fn value(name: &str, shape: &[usize]) -> HostTensor {
    let count = shape.iter().product();
    let positive = name.ends_with("weight") || name.ends_with("running_var");
    let fan_in: usize = shape[1..].iter().product();
    let scale = (3.0 / fan_in as f64).sqrt() as f32;
    let of = |uniform: f64| {
        let centred = 2.0 * uniform as f32 - 1.0;
        match (shape.len(), positive) {
            (1, true) => 1.0 + 0.25 * centred,
            (1, false) => 0.25 * centred,
            _ => centred * scale,
        }
    };
    HostTensor { shape: shape.to_vec(), values: uniform(name, count).into_iter().map(of).collect() }
}

struct Golden {
    tensors: StateDict,
    names: String,
}

fn golden(architecture: Architecture) -> Golden {
    let file = format!("tests/golden/{}.safetensors", architecture.name());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let (tensors, words) = StateDict::load_with_metadata(&path).expect("a committed file");
    Golden { tensors, names: words["names"].clone() }
}

impl Golden {
    fn values(&self, name: &str) -> &[f32] {
        &self.tensors.tensors[name].values
    }
}

fn learner(architecture: Architecture, backend: Backend, optimizer: OptimizerConfig) -> Learner {
    let config =
        LearnerConfig { model: narrow(architecture), optimizer, backend, ..LearnerConfig::new(CLASSES) };
    let mut learner = Learner::new(&config, 0).expect("the CPU is always there");
    let mut weights = learner.weights().expect("a device that works");
    for (name, tensor) in &mut weights.tensors {
        *tensor = value(name, &tensor.shape);
    }
    let mut state = learner.state().expect("a device that works");
    state.extend_prefixed("network.", weights);
    learner.restore(&state, 0).expect("the same names and shapes");
    learner
}

struct Data {
    images: Vec<f32>,
    labels: Vec<f32>,
}

impl Data {
    fn new(architecture: Architecture) -> Self {
        let salt = if architecture == Architecture::DenseNet121 { " 14" } else { "" };
        let images = uniform(&format!("images{salt}"), IMAGES * (SIZE * SIZE) as usize);
        let labels = uniform(&format!("labels{salt}"), IMAGES * CLASSES);
        Data {
            images: images.into_iter().map(|value| (2.0 * value - 1.0) as f32).collect(),
            labels: labels.into_iter().map(|value| f32::from(u8::from(value < 0.3))).collect(),
        }
    }

    fn batch(&self) -> LabelledImages<'_> {
        LabelledImages { images: (&self.images).into(), labels: &self.labels, size: SIZE }
    }
}

/// The largest difference, relative to the largest expected value.
fn error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
    let worst = found.iter().zip(expected).map(|(f, e)| (f - e).abs());
    worst.fold(0.0f32, |most, error| if error > most || error.is_nan() { error } else { most }) / scale
}

fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    let error = error(found, expected);
    assert!(error <= tolerance, "{what}: off by {error:e} of the largest, {found:?} and {expected:?}");
}

fn sampled(values: &[f32]) -> impl Iterator<Item = f32> {
    values.iter().step_by(values.len().div_ceil(SAMPLE)).copied()
}

/// The narrow ResNet-50 magnifies rounding: PyTorch's own gradients in single precision leave those in double precision
/// by 1.7e-4, and its losses by more.
fn tolerance(architecture: Architecture) -> f32 {
    if architecture == Architecture::ResNet50 { 1e-3 } else { 1e-4 }
}

/// In DenseNet-121 a gradient comes or goes where a value within rounding of zero stands before a ReLU, of which there
/// are millions. With direct convolutions and on burn's own operations none does on this data, and gradients agree to
/// 4e-6. Winograd's round twice as far, and some do: others with each instruction set (AVX-512 4e-3, AVX2 2e-3, portable
/// 1e-2, each in another tensor), and with the sums of xray-gpu one does (1e-2 where it stands, 2e-4 in what lies before); logits, loss, statistics and ten losses stay within 1e-4.
fn gradient_tolerance(architecture: Architecture, backend: Backend) -> f32 {
    let is_direct = std::env::var(CONVOLUTION).is_ok_and(|way| way == "direct");
    match (architecture, backend) {
        (Architecture::DenseNet121, Backend::Cpu) if !is_direct => 2e-2,
        (Architecture::DenseNet121, Backend::Wgpu) => 2e-2,
        _ => tolerance(architecture),
    }
}

/// Everything of the first pass: names, logits, loss, gradients, running statistics.
#[expect(clippy::print_stderr, reason = "how close, for whoever asks")]
fn check_first_pass(architecture: Architecture, backend: Backend) {
    let (golden, data) = (golden(architecture), Data::new(architecture));
    let plain = OptimizerConfig { algorithm: Algorithm::Sgd, momentum: 0.0, ..OptimizerConfig::default() };
    let mut learner = learner(architecture, backend, plain);
    let before = learner.weights().expect("a device that works");
    let names = before.tensors.iter().map(|(name, tensor)| format!("{name} {:?}", tensor.shape));
    assert_eq!(names.collect::<Vec<_>>().join("\n"), golden.names);

    let what = |part: &str| format!("{} on {}: {part}", architecture.name(), backend.name());
    let logits = learner.predict(&data.images, SIZE).expect("a device that works");
    assert_close(&what("logits_eval"), &logits, golden.values("logits_eval"), 1e-4);
    let pass = learner.forward(&data.batch());
    let logits = pass.logits().expect("a device that works");
    assert_close(&what("logits_train"), &logits, golden.values("logits_train"), 1e-4);
    assert_close(&what("loss"), &[pass.loss().expect("a device that works")], golden.values("loss"), 1e-5);
    let tracked = learner.weights().expect("a device that works");
    let running = tracked.tensors.iter().filter(|(name, _)| name.contains("running_"));
    let running: Vec<_> = running.flat_map(|(_, tensor)| sampled(&tensor.values)).collect();
    assert_close(&what("statistics"), &running, golden.values("statistics"), 1e-4);

    let tolerance = gradient_tolerance(architecture, backend);
    // Plain descent at rate 1 moves each weight by its gradient.
    let gradients = learner.backward(pass);
    learner.step(gradients, 1.0);
    let (after, mut at) = (learner.weights().expect("a device that works"), 0);
    let learned = before.tensors.iter().filter(|(name, _)| !name.contains("running_"));
    let mut worst = (0.0, String::new());
    let all = golden.values("gradient_norms").iter().map(|norm| norm * norm).sum::<f32>().sqrt().max(1.0);
    for ((name, before), norm) in learned.zip(golden.values("gradient_norms")) {
        let moved: Vec<_> = before
            .values
            .iter()
            .zip(&after.tensors[name].values)
            .map(|(before, after)| before - after)
            .collect();
        let found: Vec<_> = sampled(&moved).collect();
        let expected = &golden.values("gradients")[at..at + found.len()];
        at += found.len();
        // A weight of one takes up a gradient to 1e-7, and a bias before a batch norm has a gradient of zero.
        let largest =
            expected.iter().fold(norm / (moved.len() as f32).sqrt(), |most, value| most.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            let error = ((found - expected).abs() - 2e-7 - 1e-8 * all).max(0.0) / largest;
            if error > worst.0 || error.is_nan() {
                worst = (error, name.clone());
            }
        }
        let found = moved.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let error = ((found / f64::from(*norm) - 1.0).abs()) as f32;
        let rounding = (2e-7 + 1e-8 * all) * (moved.len() as f32).sqrt() / norm;
        assert!(error <= tolerance + rounding, "{}: off by {error:e}", what(&format!("the norm of {name}")));
    }
    assert_eq!(at, golden.values("gradients").len(), "every gradient was looked at");
    eprintln!("{}: {worst:?}, running {:e}", what("gradients"), error(&running, golden.values("statistics")));
    assert!(worst.0 <= tolerance, "{}: {worst:?}", what("gradients"));
}

#[expect(clippy::print_stderr, reason = "how close, for whoever asks")]
fn check_ten_losses(architecture: Architecture, backend: Backend) {
    let (golden, data) = (golden(architecture), Data::new(architecture));
    // A large epsilon: Adam divides by the size of gradients, and small ones are mostly rounding.
    let rate = f64::from(golden.values("learning_rate")[0]);
    let mut learner =
        learner(architecture, backend, OptimizerConfig { epsilon: 1e-2, ..OptimizerConfig::default() });
    let step = |_| {
        let pass = learner.forward(&data.batch());
        let loss = pass.loss().expect("a device that works");
        let gradients = learner.backward(pass);
        learner.step(gradients, rate);
        loss
    };
    let losses: Vec<_> = (0..10).map(step).collect();
    let what = format!("{} on {}: losses", architecture.name(), backend.name());
    eprintln!("{what}: {:e}", error(&losses, golden.values("losses")));
    assert_close(&what, &losses, golden.values("losses"), tolerance(architecture));
}

/// The mean of a class activation map is the logit.
fn check_activation_maps(architecture: Architecture) {
    let data = Data::new(architecture);
    for backend in devices() {
        let predictor = learner(architecture, backend, OptimizerConfig::default())
            .predictor()
            .expect("a device that works");
        let logits = predictor.predict(&data.images, SIZE).expect("a device that works");
        let maps = predictor.activation_maps(&data.images, SIZE).expect("a device that works");
        let places = maps.height * maps.width;
        assert!(places > 1 && maps.values.len() == logits.len() * places);
        let mean = |map: &[f32]| map.iter().sum::<f32>() / places as f32;
        let means: Vec<_> = maps.values.chunks(places).map(mean).collect();
        assert_close("means of the maps", &means, &logits, 1e-5);
    }
}

macro_rules! networks {
    ($($module:ident: $architecture:ident, $parameters:literal;)*) => {
        $(mod $module {
            use super::*;

            #[test]
            fn the_first_pass_is_torchvisions() {
                devices().into_iter().for_each(|device| check_first_pass(Architecture::$architecture, device));
            }

            #[test]
            fn ten_losses_are_torchvisions() {
                devices().into_iter().for_each(|device| check_ten_losses(Architecture::$architecture, device));
            }

            #[test]
            fn class_activation_maps_add_up() {
                check_activation_maps(Architecture::$architecture);
            }

            #[test]
            fn it_has_the_papers_parameters() {
                let model = ModelConfig::of(Architecture::$architecture);
                let config = LearnerConfig { model, ..LearnerConfig::new(CLASSES) };
                let learner = Learner::new(&config, 0).expect("the CPU is always there");
                assert_eq!(learner.num_parameters(), $parameters);
            }
        })*
    };
}

networks! {
    resnet_18: ResNet18, 11_177_422;
    resnet_50: ResNet50, 23_530_446;
    densenet_121: DenseNet121, 6_961_934;
    mobilenet_v2: MobileNetV2, 2_241_230;
    efficientnet_b0: EfficientNetB0, 4_024_906;
}

/// The way of convolving is chosen once a process, so the test of DenseNet-121 is run again in another.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn gradients_by_direct_convolutions_are_torchvisions() {
    if !devices().contains(&Backend::Cpu) {
        eprintln!("skipped: a build for GPUs is tested on them");
        return;
    }
    let run = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "densenet_121::the_first_pass_is_torchvisions", "--nocapture"])
        .env(CONVOLUTION, "direct")
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

/// A growth rate that fills no block of lanes.
#[test]
fn a_narrow_densenet_trains_as_by_burns_own_operations() {
    let model = ModelConfig { width: 5, ..ModelConfig::of(Architecture::DenseNet121) };
    let data = Data::new(model.architecture);
    let trace = |backend| {
        let config = LearnerConfig { model: model.clone(), backend, ..LearnerConfig::new(CLASSES) };
        let mut learner = Learner::new(&config, 3).expect("the CPU is always there");
        let step = |_| {
            let pass = learner.forward(&data.batch());
            let loss = pass.loss().expect("a device that works");
            let gradients = learner.backward(pass);
            learner.step(gradients, 1e-4);
            loss
        };
        let losses: Vec<f32> = (0..4).map(step).collect();
        (losses, learner.predict(&data.images, SIZE).expect("a device that works"))
    };
    let ((own, own_logits), (burns, burns_logits)) = (trace(Backend::Cpu), trace(Backend::Flex));
    assert_close("losses", &own, &burns, 1e-4);
    // Four steps of Adam make much of the rounding of gradients that are nearly zero.
    assert_close("logits", &own_logits, &burns_logits, 3e-3);
}

#[test]
#[expect(clippy::print_stderr, reason = "why nothing was compared")]
fn full_size_weights_of_torchvision_give_its_logits() {
    let Some(python) = std::env::var_os("XRAY_PYTHON") else {
        eprintln!("skipped: XRAY_PYTHON names no Python with torchvision");
        return;
    };
    if !Command::new(&python)
        .args(["-c", "import torchvision"])
        .output()
        .is_ok_and(|run| run.status.success())
    {
        eprintln!("skipped: the Python that XRAY_PYTHON names has no torchvision");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/make_networks.py");
    let run = Command::new(python).arg(script).arg(dir.path()).output().expect("XRAY_PYTHON runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    for architecture in Architecture::ALL.into_iter().filter(|one| *one != Architecture::SmallCnn) {
        let path = dir.path().join(format!("{}.safetensors", architecture.name()));
        let file = StateDict::load(&path).expect("just written");
        let model = ModelConfig { width: 0, ..narrow(architecture) };
        for backend in devices() {
            let predictor = Predictor::new(&model, CLASSES, &file.with_prefix("weights."), backend);
            let logits =
                predictor.expect("torchvision's weights fit").predict(&file.tensors["image"].values, 224);
            let what = format!("{} on {}", architecture.name(), backend.name());
            let logits = logits.expect("a device that works");
            eprintln!("{what}: {:e}", error(&logits, &file.tensors["logits"].values));
            assert_close(&what, &logits, &file.tensors["logits"].values, 1e-4);
        }
    }
}

/// What is found of an image does not depend on the others of its batch, nor on how many they are. Networks of a paper's
/// width are among them: sums over many features are cut where a product's shape says.
#[test]
fn an_image_has_the_same_logits_in_every_batch_on_the_cpu() {
    let wide = ModelConfig { width: 0, ..narrow(Architecture::ResNet50) };
    for model in Architecture::ALL.map(narrow).into_iter().chain([wide]) {
        const IMAGES: usize = 70;
        let config = LearnerConfig { model: model.clone(), ..LearnerConfig::new(CLASSES) };
        let learner = Learner::new(&config, 0).expect("the CPU is always there");
        let weights = learner.weights().expect("the CPU");
        let predictor = Predictor::new(&model, CLASSES, &weights, Backend::Cpu).expect("its own weights");
        let size = 32;
        let pixels: Vec<f32> =
            uniform("alike", IMAGES * size * size).into_iter().map(|value| value as f32).collect();
        let predict = |images: &[f32]| predictor.predict(images, size as u32).expect("the CPU");
        let together = predict(&pixels);
        for batch in [1, 3, 17, 33] {
            let apart: Vec<f32> = pixels.chunks(batch * size * size).flat_map(predict).collect();
            assert_eq!(apart, together, "{} in batches of {batch}", model.architecture.name());
        }
    }
}

/// A channel that normalises values is one that is given them normalised.
#[test]
fn channels_of_one_range_are_images_of_that_range() {
    let model = ModelConfig { channels: 3, ..narrow(Architecture::ResNet50) };
    let learner = Learner::new(&LearnerConfig { model: model.clone(), ..LearnerConfig::new(CLASSES) }, 0);
    let weights = learner.and_then(|learner| learner.weights()).expect("the CPU is always there");
    let predictor = || Predictor::new(&model, CLASSES, &weights, Backend::Cpu).expect("its own weights");
    let range = ChannelRange { mean: 0.25, std: 0.5 };
    let pixels: Vec<f32> = uniform("ranges", 2 * 40 * 40).into_iter().map(|value| value as f32).collect();
    let normalised: Vec<f32> = pixels.iter().map(|&value| range.of(value)).collect();
    let with = |ranges| predictor().with_ranges(ranges).expect("three channels");
    let plain = with(None).predict(&normalised, 40).expect("the CPU");
    let ranged = with(Some([range; 3]));
    // Not to the last digit: channels that are known to hold the same are added up before they are multiplied.
    let furthest = |found: &[f32]| {
        found.iter().zip(&plain).fold(0.0_f32, |most, (found, plain)| most.max((found - plain).abs()))
    };
    assert!(furthest(&ranged.predict(&pixels, 40).expect("the CPU")) < 1e-4);
    assert!(furthest(&ranged.predict_with_maps(&pixels, 40).expect("the CPU").0) < 1e-4);
    // Each channel has its own.
    let green = ChannelRange { mean: 0.3, ..range };
    let different = with(Some([range, green, range])).predict(&pixels, 40).expect("the CPU");
    assert!(furthest(&different) > 0.01, "{different:?}");
    let gray = ModelConfig { channels: 1, ..model };
    let learner = Learner::new(&LearnerConfig { model: gray.clone(), ..LearnerConfig::new(CLASSES) }, 0);
    let weights = learner.and_then(|learner| learner.weights()).expect("the CPU is always there");
    let predictor = Predictor::new(&gray, CLASSES, &weights, Backend::Cpu).expect("its own weights");
    let message = predictor.with_ranges(Some([range; 3])).err().expect("one channel").to_string();
    assert_eq!(message, "model.channels is 1, it must be 3 where each has a range of its own");
}
