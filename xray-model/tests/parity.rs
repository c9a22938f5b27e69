//! The network, its losses and its optimizers give PyTorch's numbers. The golden files are made by
//! `tests/golden/make_golden.py`.

mod devices;

use devices::devices;
use std::path::Path;
use xray_model::{
    Algorithm, Backend, LabelledImages, Learner, LearnerConfig, ModelConfig, OptimizerConfig, StateDict,
};

const SIZE: u32 = 36;

fn golden(file: &str) -> StateDict {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    StateDict::load(&path).expect("a committed file")
}

/// A learner of the golden network with the golden first weights.
fn learner(golden: &StateDict, optimizer: OptimizerConfig, backend: Backend) -> Learner {
    let config = LearnerConfig {
        model: ModelConfig { width: 4, ..ModelConfig::default() },
        optimizer,
        backend,
        ..LearnerConfig::new(14)
    };
    let mut learner = Learner::new(&config, 0).expect("the CPU is always there");
    let mut state = learner.state().expect("a device that works");
    state.extend_prefixed("network.", golden.with_prefix("weights."));
    learner.restore(&state, 0).expect("the same names and shapes");
    learner
}

fn sgd() -> OptimizerConfig {
    OptimizerConfig { algorithm: Algorithm::Sgd, momentum: 0.0, ..OptimizerConfig::default() }
}

fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3f32, |max, value| max.max(value.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * scale, "{what}[{i}]: {f}, PyTorch says {e}");
    }
}

fn batch(golden: &StateDict) -> LabelledImages<'_> {
    LabelledImages {
        images: (&golden.tensors["images"].values).into(),
        labels: &golden.tensors["labels"].values,
        size: SIZE,
    }
}

#[test]
fn loss_gradients_and_evaluation_logits_are_pytorchs() {
    devices().into_iter().for_each(check_one_step);
}

fn check_one_step(backend: Backend) {
    let golden = golden("small_cnn.safetensors");
    let mut learner = learner(&golden, sgd(), backend);
    let before = learner.weights().expect("a device that works");
    let pass = learner.forward(&batch(&golden));
    assert_close("loss", &[pass.loss().expect("a device that works")], &golden.tensors["loss"].values, 1e-6);
    // The forward pass moved the running statistics, as PyTorch's did.
    let logits = learner.predict(&golden.tensors["images"].values, SIZE).expect("a device that works");
    assert_close("logits_eval", &logits, &golden.tensors["logits_eval"].values, 1e-5);

    // Plain descent at rate 1 moves each weight by its gradient.
    let gradients = learner.backward(pass);
    learner.step(gradients, 1.0);
    let after = learner.weights().expect("a device that works");
    let expected = golden.with_prefix("gradients.");
    assert_eq!(expected.tensors.len(), 14);
    for (name, gradient) in &expected.tensors {
        let moved = before.tensors[name].values.iter().zip(&after.tensors[name].values).map(|(b, a)| b - a);
        assert_close(name, &moved.collect::<Vec<_>>(), &gradient.values, 1e-4);
    }
}

fn check_ten_losses(name: &str, learning_rate: f64, optimizer: OptimizerConfig) {
    for backend in devices() {
        let golden = golden("small_cnn.safetensors");
        let mut learner = learner(&golden, optimizer.clone(), backend);
        let step = |_| {
            let pass = learner.forward(&batch(&golden));
            let loss = pass.loss().expect("a device that works");
            let gradients = learner.backward(pass);
            learner.step(gradients, learning_rate);
            loss
        };
        let losses: Vec<_> = (0..10).map(step).collect();
        let what = format!("{name} on {}", backend.name());
        assert_close(&what, &losses, &golden.tensors[name].values, 1e-3);
    }
}

#[test]
fn ten_losses_are_pytorchs_for_every_optimizer() {
    let adam = OptimizerConfig { weight_decay: 1e-2, ..OptimizerConfig::default() };
    check_ten_losses("losses_adam", 1e-2, adam);
    let adamw =
        OptimizerConfig { algorithm: Algorithm::AdamW, weight_decay: 0.1, ..OptimizerConfig::default() };
    check_ten_losses("losses_adamw", 1e-2, adamw);
    let clipped = OptimizerConfig { momentum: 0.9, weight_decay: 1e-2, clip_norm: 0.05, ..sgd() };
    check_ten_losses("losses_sgd", 0.5, clipped);
}

#[test]
fn one_batch_is_learned_by_heart() {
    let golden = golden("small_cnn.safetensors");
    let mut learner = learner(&golden, OptimizerConfig::default(), Backend::Cpu);
    let mut last = f32::INFINITY;
    for _ in 0..300 {
        let pass = learner.forward(&batch(&golden));
        last = pass.loss().expect("a device that works");
        let gradients = learner.backward(pass);
        learner.step(gradients, 3e-2);
    }
    assert!(last < 0.01, "loss {last}");
}

#[test]
fn the_mean_of_an_activation_map_is_the_logit() {
    let golden = golden("small_cnn.safetensors");
    let predictor = learner(&golden, sgd(), Backend::Cpu).predictor().expect("a CPU");
    let (batch, logits) = (
        batch(&golden),
        predictor.predict(batch(&golden).images, batch(&golden).size).expect("a device that works"),
    );
    let maps =
        predictor.activation_maps(&batch.images.normalised(), batch.size).expect("a device that works");
    let places = maps.height * maps.width;
    assert!(places > 1 && maps.values.len() == logits.len() * places);
    let means: Vec<_> =
        maps.values.chunks(places).map(|map| map.iter().sum::<f32>() / places as f32).collect();
    assert_close("means of the maps", &means, &logits, 1e-5);
}

#[test]
fn a_restored_learner_goes_on_with_the_same_bits() {
    devices().into_iter().for_each(check_restored);
}

fn check_restored(backend: Backend) {
    let golden = golden("small_cnn.safetensors");
    let train = |learner: &mut Learner, steps: usize| {
        for _ in 0..steps {
            let pass = learner.forward(&batch(&golden));
            let gradients = learner.backward(pass);
            learner.step(gradients, 1e-2);
        }
    };
    let mut whole = learner(&golden, OptimizerConfig::default(), backend);
    train(&mut whole, 6);
    let mut first = learner(&golden, OptimizerConfig::default(), backend);
    train(&mut first, 2);
    let mut second = learner(&golden, OptimizerConfig::default(), backend);
    second.restore(&first.state().expect("a device that works"), 2).expect("the same network");
    train(&mut second, 4);
    let (second, whole) =
        (second.state().expect("a device that works"), whole.state().expect("a device that works"));
    let differing: Vec<_> =
        whole.tensors.keys().filter(|name| second.tensors.get(*name) != whole.tensors.get(*name)).collect();
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn weights_of_another_network_are_refused_by_name() {
    let golden = golden("small_cnn.safetensors");
    let narrow = learner(&golden, sgd(), Backend::Cpu);
    let wide = ModelConfig { width: 8, ..ModelConfig::default() };
    let check = |model: &ModelConfig, classes, weights: &StateDict, expected: &str| {
        let message = xray_model::Predictor::new(model, classes, weights, Backend::Cpu)
            .err()
            .expect("refused")
            .to_string();
        assert_eq!(message, expected);
    };
    let weights = narrow.weights().expect("a device that works");
    check(&wide, 14, &weights, "tensor `classifier.weight` has shape [14, 32], this network needs [14, 64]");
    let mut cut = weights.clone();
    cut.tensors.remove("features.2.norm.running_var");
    let model = ModelConfig { width: 4, ..ModelConfig::default() };
    check(&model, 14, &cut, "tensor `features.2.norm.running_var` is missing from the weights");
    let mut long = weights;
    long.extend_prefixed(
        "extra.",
        StateDict { tensors: [("w".into(), golden.tensors["loss"].clone())].into() },
    );
    check(
        &model,
        14,
        &long,
        "tensor `extra.w` has no place in this network".replace(" has", " of the weights has").as_str(),
    );
}
