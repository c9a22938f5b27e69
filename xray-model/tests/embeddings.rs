//! Embeddings are what the last layer makes the logits of, whatever the network.
//!
//! The last layer has more outputs here than inputs, and weights drawn at random, so no other numbers than its inputs give
//! its outputs: logits, which have golden files, decide what the embeddings are.

mod devices;
mod narrow;

use devices::devices;
use narrow::narrow;
use xray_model::{Architecture, Backend, Learner, LearnerConfig, ModelConfig, Predictor, StateDict};
use xray_random::Random;

const SIZE: u32 = 64;
const IMAGES: usize = 3;

fn images() -> Vec<f32> {
    let mut random = Random::named(0, "images of embeddings");
    (0..IMAGES * (SIZE * SIZE) as usize).map(|_| random.between(-1.0, 1.0) as f32).collect()
}

/// Weights and running statistics by which something is left of an image after every layer.
fn weights(model: &ModelConfig, classes: usize) -> StateDict {
    let config = LearnerConfig { model: model.clone(), ..LearnerConfig::new(classes) };
    let mut weights = Learner::new(&config, 3).expect("the CPU is always there").weights().expect("a CPU");
    for (name, tensor) in &mut weights.tensors {
        let (mut random, fan_in) = (Random::named(0, name), tensor.shape[1..].iter().product::<usize>());
        let is_around_one = name.ends_with("weight") || name.ends_with("running_var");
        let (middle, spread) = match (tensor.shape.len(), is_around_one) {
            (1, true) => (1.0, 0.25),
            (1, false) => (0.0, 0.25),
            _ => (0.0, (3.0 / fan_in as f64).sqrt()),
        };
        let value = |_| random.between(middle - spread, middle + spread) as f32;
        tensor.values = (0..tensor.values.len()).map(value).collect();
    }
    weights
}

/// The last layer: the one matrix, `[classes, features]`, and its bias.
fn last_layer(weights: &StateDict, classes: usize) -> (&[f32], &[f32], usize) {
    let matrices: Vec<_> = weights.tensors.iter().filter(|(_, tensor)| tensor.shape.len() == 2).collect();
    let [(name, matrix)] = matrices.as_slice() else { panic!("one matrix, not {}", matrices.len()) };
    let bias = &weights.tensors[&name.replace("weight", "bias")];
    assert_eq!((matrix.shape[0], bias.shape.as_slice()), (classes, &[classes][..]));
    (&matrix.values, &bias.values, matrix.shape[1])
}

/// The last layer's outputs, and how large their terms are: what rounding is measured by.
fn product(matrix: &[f32], bias: &[f32], embedding: &[f32]) -> (Vec<f64>, f64) {
    let rows = matrix.chunks(embedding.len()).zip(bias);
    let sum = |(row, bias): (&[f32], &f32)| {
        let terms = row.iter().zip(embedding).map(|(weight, value)| f64::from(*weight) * f64::from(*value));
        f64::from(*bias) + terms.sum::<f64>()
    };
    let length = embedding.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    (rows.map(sum).collect(), length)
}

fn check(architecture: Architecture, backend: Backend) {
    let what = format!("{} on {}", architecture.name(), backend.name());
    let model = narrow(architecture);
    let features = last_layer(&weights(&model, 1), 1).2;
    let classes = features + 8;
    let (weights, images) = (weights(&model, classes), images());
    let (matrix, bias, _) = last_layer(&weights, classes);
    for flip in [false, true] {
        let model = ModelConfig { flip, ..model.clone() };
        let predictor = Predictor::new(&model, classes, &weights, backend).expect("its own weights");
        let embeddings = predictor.embeddings(&images, SIZE).expect("a device that works");
        let logits = predictor.predict(&images, SIZE).expect("a device that works");
        assert_eq!(embeddings.len(), IMAGES * features, "{what}");
        for (embedding, logits) in embeddings.chunks(features).zip(logits.chunks(classes)) {
            let (expected, length) = product(matrix, bias, embedding);
            assert!(length > 1e-3, "{what}: nothing is embedded");
            let worst =
                expected.iter().zip(logits).map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max);
            assert!(worst <= 1e-5 * (1.0 + length), "{what}, flip {flip}: off by {worst:e} of {length}");
        }
        let [first, second] = [&embeddings[..features], &embeddings[features..2 * features]];
        assert!(first != second, "{what}: images are told apart");
    }
}

#[test]
fn the_last_layer_makes_the_logits_of_them() {
    for backend in devices() {
        Architecture::ALL.into_iter().for_each(|architecture| check(architecture, backend));
    }
}
