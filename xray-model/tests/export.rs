//! Exported networks are the network: ONNX Runtime gives its logits, and torchvision takes its weights and gives them
//! back bit for bit.

mod narrow;

use narrow::narrow;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use xray_model::{
    Architecture, Backend, LabelledImages, Learner, LearnerConfig, ModelConfig, Onnx, Predictor, RangeRule,
    StateDict, WeightType, onnx, read_weights,
};
use xray_random::Random;

const CLASSES: usize = 14;
const IMAGES: usize = 3;
const SIZE: u32 = 64;

/// Noise in −1..1.
fn images(count: usize) -> Vec<f32> {
    let mut random = Random::keyed(&[]);
    (0..count * (SIZE * SIZE) as usize).map(|_| random.between(-1.0, 1.0) as f32).collect()
}

/// Weights of a few steps, so that batch norm has statistics and no two layers are alike.
fn trained(model: &ModelConfig) -> StateDict {
    let config = LearnerConfig { model: model.clone(), ..LearnerConfig::new(CLASSES) };
    let mut learner = Learner::new(&config, 5).expect("the CPU is always there");
    let (images, labels) =
        (images(8), (0..8 * CLASSES).map(|at| f32::from(u8::from(at % 3 == 0))).collect::<Vec<_>>());
    for _ in 0..4 {
        let pass = learner.forward(&LabelledImages { images: (&images).into(), labels: &labels, size: SIZE });
        let gradients = learner.backward(pass);
        learner.step(gradients, 1e-3);
    }
    learner.weights().expect("a device that works")
}

/// The Python that XRAY_PYTHON names, if it has this package.
#[expect(clippy::print_stderr, reason = "why nothing was compared")]
fn python_with(package: &str) -> Option<PathBuf> {
    let Some(python) = std::env::var_os("XRAY_PYTHON").map(PathBuf::from) else {
        eprintln!("skipped: XRAY_PYTHON names no Python with {package}");
        return None;
    };
    let imports = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    if imports.is_ok_and(|run| run.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: the Python that XRAY_PYTHON names has no {package}");
    None
}

fn script(python: &Path, name: &str, arguments: &[&std::ffi::OsStr]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let run = Command::new(python).arg(script).args(arguments).output().expect("XRAY_PYTHON runs");
    assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
}

struct Runtime {
    python: PathBuf,
    folder: TempDir,
}

impl Runtime {
    fn logits(&self, file: &[u8], images: &[f32], channels: usize) -> Vec<f32> {
        let path = |name: &str| self.folder.path().join(name);
        let places = (SIZE * SIZE) as usize;
        let given = images.chunks(places).flat_map(|image| std::iter::repeat_n(image, channels)).flatten();
        let given: Vec<u8> = given.flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(path("model.onnx"), file).expect("writable");
        std::fs::write(path("images.f32"), given).expect("writable");
        let names = ["model.onnx", "images.f32", "logits.f32"].map(path);
        script(&self.python, "run_onnx.py", &names.each_ref().map(|name| name.as_os_str()));
        let bytes = std::fs::read(path("logits.f32")).expect("just written");
        bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0f32, |most, one| if one > most || one.is_nan() { one } else { most })
}

/// In every dtype and with the oldest, the usual and the newest operator set.
#[test]
#[expect(clippy::print_stderr, reason = "how close, for whoever asks")]
fn onnx_runtime_gives_the_same_logits() {
    let Some(python) = python_with("onnxruntime") else { return };
    let runtime = Runtime { python, folder: tempfile::tempdir().expect("a temporary folder") };
    let images = images(IMAGES);
    for architecture in Architecture::ALL {
        let model = narrow(architecture);
        let weights = trained(&model);
        for (dtype, opset) in
            [(WeightType::F32, 13), (WeightType::F32, 21), (WeightType::F16, 17), (WeightType::Int8, 17)]
        {
            let stored = weights.stored(dtype);
            let how = Onnx { size: SIZE, opset, metadata: vec![("labels".into(), "[]".into())] };
            let file = onnx(&model, CLASSES, &stored, &how).expect("its own weights");
            let own =
                Predictor::new(&model, CLASSES, &stored.restored(), Backend::Cpu).expect("the same weights");
            let own = own.predict(&images, SIZE).expect("a CPU");
            let theirs = runtime.logits(&file, &images, model.channels);
            let scale = own.iter().fold(1.0f32, |most, logit| most.max(logit.abs()));
            let error = largest_difference(&own, &theirs) / scale;
            eprintln!("{} {} opset {opset}: {error:e}", architecture.name(), dtype.name());
            assert!(error <= 1e-4, "{} {} opset {opset}: {error:e}", architecture.name(), dtype.name());
        }
    }
}

/// In integers both, which round a value to one byte or to its neighbour where they add up in another order.
#[test]
#[expect(clippy::print_stderr, reason = "how close, for whoever asks")]
fn onnx_runtime_computes_in_integers_too() {
    let Some(python) = python_with("onnxruntime") else { return };
    let runtime = Runtime { python, folder: tempfile::tempdir().expect("a temporary folder") };
    let images = images(IMAGES);
    for architecture in Architecture::ALL {
        let model = narrow(architecture);
        let weights = trained(&model);
        let stored = weights.stored(WeightType::Int8);
        let watching = Predictor::calibrating(&model, CLASSES, &stored.restored(), IMAGES);
        let watching = watching.expect("its own weights");
        watching.predict(&images, SIZE).expect("a CPU");
        let stored =
            stored.with_ranges(&watching.activation_ranges(RangeRule::Extremes).expect("it watches"));
        for opset in [13, 21] {
            let how = Onnx { size: SIZE, opset, metadata: Vec::new() };
            let file = onnx(&model, CLASSES, &stored, &how).expect("its own weights");
            let own =
                Predictor::new(&model, CLASSES, &stored.restored(), Backend::Cpu).expect("the same weights");
            let own = own.predict(&images, SIZE).expect("a CPU");
            let exact = Predictor::new(&model, CLASSES, &weights, Backend::Cpu).expect("the same weights");
            let exact = exact.predict(&images, SIZE).expect("a CPU");
            let theirs = runtime.logits(&file, &images, model.channels);
            let [error, noise] = [&theirs, &exact].map(|other| largest_difference(&own, other));
            eprintln!("{} opset {opset}: {error:e}, from float32 {noise:e}", architecture.name());
            assert!(error < noise, "{} opset {opset}: {error:e} {noise:e}", architecture.name());
        }
    }
}

#[test]
fn torchvision_takes_the_weights_and_gives_them_back_bit_for_bit() {
    let Some(python) = python_with("torchvision") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [given, saved] = ["given.safetensors", "saved.pth"].map(|name| folder.path().join(name));
    for architecture in Architecture::ALL.into_iter().filter(|one| *one != Architecture::SmallCnn) {
        let weights = trained(&narrow(architecture));
        weights.save(&given, &[("format", "pt".into())]).expect("writable");
        script(&python, "round_trip.py", &[architecture.name().as_ref(), given.as_ref(), saved.as_ref()]);
        let back = read_weights(&saved).expect("torch.save wrote it");
        assert!(back.tensors.keys().eq(weights.tensors.keys()), "{}: other names", architecture.name());
        for (name, tensor) in &weights.tensors {
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(
                bits(&back.tensors[name].values),
                bits(&tensor.values),
                "{}: {name}",
                architecture.name()
            );
        }
    }
}

/// A quarter of the bytes, and a little more where batch norm has much of the parameters.
#[test]
fn int8_takes_a_quarter_of_the_bytes() {
    for architecture in Architecture::ALL {
        let model = ModelConfig::of(architecture);
        let config = LearnerConfig { model: model.clone(), ..LearnerConfig::new(CLASSES) };
        let weights = Learner::new(&config, 0).expect("the CPU is always there").weights().expect("a CPU");
        let length = |dtype| {
            let how = Onnx { size: 224, opset: 17, metadata: Vec::new() };
            onnx(&model, CLASSES, &weights.stored(dtype), &how).expect("its own weights").len() as f64
        };
        let [whole, half, quarter] = [WeightType::F32, WeightType::F16, WeightType::Int8].map(length);
        assert!(
            half / whole < 0.53 && quarter / whole < 0.31,
            "{}: {half} {quarter} of {whole}",
            architecture.name()
        );
    }
}

#[test]
fn weights_of_another_network_are_refused() {
    let weights = trained(&narrow(Architecture::SmallCnn));
    let how = Onnx { size: SIZE, opset: 17, metadata: Vec::new() };
    let refused = onnx(&narrow(Architecture::ResNet18), CLASSES, &weights.stored(WeightType::F32), &how);
    assert!(refused.expect_err("other names").to_string().contains("bn1."), "the missing tensor is named");
}
