//! A network in integers stays near the same network in float32, and is the same bits however its images are batched and on
//! any number of threads.

mod narrow;

use narrow::narrow;
use xray_model::{
    ActivationRanges, Architecture, Backend, HostTensor, LabelledImages, Learner, LearnerConfig, ModelConfig,
    Predictor, RangeRule, StateDict, StoredDict, WeightType,
};
use xray_random::Random;

const CLASSES: usize = 14;
const SIZE: u32 = 64;

/// Smooth pictures, of waves.
fn images(count: usize) -> Vec<f32> {
    let mut random = Random::keyed(&[count as u64]);
    let mut image = || {
        let [across, down, bright] = [(); 3].map(|()| random.between(0.1, 1.0) as f32);
        let pixel = move |at: u32| {
            let (x, y) = ((at % SIZE) as f32, (at / SIZE) as f32);
            2.0 * bright * (across * x / 3.0).sin() * (down * y / 3.0).cos() - 0.3
        };
        (0..SIZE * SIZE).map(pixel).collect::<Vec<_>>()
    };
    (0..count).flat_map(|_| image()).collect()
}

/// Weights of a few steps, so that batch norm has statistics and no two layers are alike.
fn trained(model: &ModelConfig) -> StateDict {
    let config = LearnerConfig { model: model.clone(), ..LearnerConfig::new(CLASSES) };
    let mut learner = Learner::new(&config, 5).expect("the CPU is always there");
    let (images, labels) =
        (images(8), (0..8 * CLASSES).map(|at| f32::from(u8::from(at % 3 == 0))).collect::<Vec<_>>());
    for _ in 0..12 {
        let pass = learner.forward(&LabelledImages { images: (&images).into(), labels: &labels, size: SIZE });
        let gradients = learner.backward(pass);
        learner.step(gradients, 1e-3);
    }
    learner.weights().expect("a device that works")
}

/// Weights in 8 bits, with the ranges of a few images.
fn calibrated(model: &ModelConfig, weights: &StateDict) -> StoredDict {
    let stored = weights.stored(WeightType::Int8);
    let ranges = ranges(model, &stored.restored());
    stored.with_ranges(&ranges)
}

/// Of eight images of twelve.
fn ranges(model: &ModelConfig, weights: &StateDict) -> ActivationRanges {
    let watching = Predictor::calibrating(model, CLASSES, weights, 8).expect("its own weights");
    for batch in images(12).chunks(4 * (SIZE * SIZE) as usize) {
        assert_eq!(watching.predict(batch, SIZE).expect("a CPU"), [0.0; 4 * CLASSES]);
    }
    let ranges = watching.activation_ranges(RangeRule::Extremes).expect("it watches");
    assert_eq!(ranges.images, 8);
    ranges
}

fn predictor(model: &ModelConfig, weights: &StateDict) -> Predictor {
    Predictor::new(model, CLASSES, weights, Backend::Cpu).expect("its own weights")
}

/// The root of the mean squared difference, as a part of the standard deviation of the second.
fn error(found: &[f32], wanted: &[f32]) -> f32 {
    let mean = wanted.iter().sum::<f32>() / wanted.len() as f32;
    let spread: f32 = wanted.iter().map(|value| (value - mean).powi(2)).sum();
    let error: f32 = found.iter().zip(wanted).map(|(a, b)| (a - b).powi(2)).sum();
    (error / spread).sqrt()
}

#[test]
#[expect(clippy::print_stderr, reason = "how close, for whoever asks")]
fn logits_and_maps_are_those_of_float32_but_for_quantisation() {
    let images = images(6);
    for architecture in Architecture::ALL {
        let model = narrow(architecture);
        let weights = trained(&model);
        let exact = predictor(&model, &weights);
        let integers = predictor(&model, &calibrated(&model, &weights).restored());
        let (logits, maps) = exact.predict_with_maps(&images, SIZE).expect("a CPU");
        let (found, found_maps) = integers.predict_with_maps(&images, SIZE).expect("a CPU");
        let errors = [error(&found, &logits), error(&found_maps.values, &maps.values)];
        eprintln!("{}: {errors:?}", architecture.name());
        assert!(found != logits, "{}: computed in float32", architecture.name());
        assert!(errors.iter().all(|&error| error < 0.25), "{}: {errors:?}", architecture.name());
        assert_eq!(found, integers.predict(&images, SIZE).expect("a CPU"), "{}", architecture.name());
    }
}

#[test]
fn an_images_logits_do_not_depend_on_its_batch() {
    let images = images(5);
    for architecture in Architecture::ALL {
        let model = narrow(architecture);
        let integers = predictor(&model, &calibrated(&model, &trained(&model)).restored());
        let together = integers.predict(&images, SIZE).expect("a CPU");
        let alone = images.chunks((SIZE * SIZE) as usize);
        let alone = alone.flat_map(|image| integers.predict(image, SIZE).expect("a CPU"));
        assert_eq!(together, alone.collect::<Vec<_>>(), "{}", architecture.name());
    }
}

#[test]
fn ranges_of_another_network_are_refused() {
    let [small, large] = [Architecture::SmallCnn, Architecture::ResNet18].map(narrow);
    let weights = trained(&large).stored(WeightType::Int8);
    let mixed = weights.with_ranges(&ranges(&small, &trained(&small))).restored();
    let refused = Predictor::new(&large, CLASSES, &mixed, Backend::Cpu).err().expect("too few ranges");
    assert!(refused.to_string().contains("5 ranges of activations"), "{refused}");
}

#[test]
fn ranges_that_bytes_cannot_reach_over_are_refused() {
    let model = narrow(Architecture::SmallCnn);
    let whole = calibrated(&model, &trained(&model)).restored();
    let refused = |change: &dyn Fn(&mut HostTensor)| {
        let mut weights = whole.clone();
        change(weights.tensors.get_mut("activation_ranges").expect("calibrated"));
        let refused = Predictor::new(&model, CLASSES, &weights, Backend::Cpu).err();
        refused.expect("must be refused").to_string()
    };
    for end in [0, 1] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, if end == 0 { 0.5 } else { -0.5 }] {
            let message = refused(&|ranges| ranges.values[2 + end] = value);
            assert!(message.starts_with("range 1 of activations is"), "{message}");
        }
    }
    let odd = refused(&|ranges| ranges.values.push(1.0));
    assert!(odd.contains("activation_ranges"), "{odd}");
    let flat = refused(&|ranges| ranges.shape = vec![ranges.values.len()]);
    assert!(flat.contains("activation_ranges"), "{flat}");
}

/// What reads weights only, as versions before integers do, says what it does not know.
#[test]
fn ranges_are_no_weights() {
    let model = narrow(Architecture::SmallCnn);
    let weights = calibrated(&model, &trained(&model)).restored();
    let refused = Predictor::calibrating(&model, CLASSES, &weights, 1).err().expect("a tensor too many");
    assert!(refused.to_string().contains("activation_ranges"), "{refused}");
}
