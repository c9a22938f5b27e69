//! What a learner does beside single steps on whole batches, on every device.

mod devices;

use devices::devices;
use xray_model::{Algorithm, Backend, LabelledImages, Learner, LearnerConfig, ModelConfig, OptimizerConfig};

const SIZE: u32 = 32;
const PIXELS: usize = (SIZE * SIZE) as usize;

fn images(count: usize) -> Vec<f32> {
    (0..count * PIXELS).map(|at| ((at * 7919) % 1009) as f32 / 504.5 - 1.0).collect()
}

/// Some unknown, and not as many in each image.
fn labels(count: usize) -> Vec<f32> {
    let label = |at: usize| match at % 5 {
        0 => 1.0,
        1 if at < 40 => f32::NAN,
        _ => 0.0,
    };
    (0..count * 14).map(label).collect()
}

const WORKS: &str = "a device that works";

fn learner(flip: bool, backend: Backend) -> Learner {
    learner_by(Algorithm::Sgd, flip, backend)
}

fn learner_by(algorithm: Algorithm, flip: bool, backend: Backend) -> Learner {
    let optimizer = OptimizerConfig { algorithm, momentum: 0.0, ..OptimizerConfig::default() };
    let model = ModelConfig { width: 6, flip, ..ModelConfig::default() };
    Learner::new(&LearnerConfig { model, optimizer, backend, ..LearnerConfig::new(14) }, 2).expect(WORKS)
}

/// Takes a step; the loss that its forward pass told.
fn step(learner: &mut Learner, images: &[f32], labels: &[f32], rate: f64) -> f32 {
    let pass = learner.forward(&LabelledImages { images: images.into(), labels, size: SIZE });
    let loss = pass.loss().expect(WORKS);
    let gradients = learner.backward(pass);
    learner.step(gradients, rate);
    loss
}

#[test]
fn each_step_is_on_record_once_in_order() {
    devices().into_iter().for_each(check_records);
}

fn check_records(backend: Backend) {
    let (mut learner, images, labels) = (learner(false, backend), images(4), labels(4));
    assert_eq!(learner.records().expect("nothing to read"), []);
    let mut expected = Vec::new();
    for part in 1..=3 {
        let before = learner.weights().expect(WORKS);
        let (images, labels) = (&images[..part * PIXELS], &labels[..part * 14]);
        let loss = step(&mut learner, images, labels, 1.0);
        let after = learner.weights().expect(WORKS);
        // Without momentum, at a learning rate of 1, a step is the gradient.
        let trained = before.tensors.iter().filter(|(name, _)| !name.contains("running"));
        let squares = trained.flat_map(|(name, before)| {
            let pairs = before.values.iter().zip(&after.tensors[name].values);
            pairs.map(|(before, after)| (f64::from(*before) - f64::from(*after)).powi(2)).collect::<Vec<_>>()
        });
        expected.push((loss, squares.sum::<f64>().sqrt()));
    }
    let found = learner.records().expect(WORKS);
    assert_eq!(found.len(), 3);
    for (found, (loss, norm)) in found.iter().zip(expected) {
        assert_eq!(found.loss, loss, "on {}", backend.name());
        let off = (f64::from(found.gradient_norm) - norm).abs();
        assert!(off < 1e-4 * norm, "{} and {norm}", found.gradient_norm);
    }
    assert_eq!(learner.records().expect("nothing to read"), []);
}

/// The last layer alone learns: the running statistics of batch norm see the images before there is a loss.
#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    devices().into_iter().for_each(|backend| check_what_is_not_finite(Algorithm::Sgd, backend));
    // By kernels of this processor, which take the parameters out of the network before they know.
    for algorithm in [Algorithm::Adam, Algorithm::AdamW] {
        check_what_is_not_finite(algorithm, Backend::Cpu);
    }
}

fn check_what_is_not_finite(algorithm: Algorithm, backend: Backend) {
    let mut learner = learner_by(algorithm, false, backend);
    learner.set_backbone_rate(0.0);
    step(&mut learner, &images(4), &labels(4), 1e-2);
    // All but the number of steps: a device that runs behind has not told yet that there is none.
    let state = |learner: &Learner| {
        let mut state = learner.state().expect(WORKS);
        state.tensors.remove("optimizer.steps").expect("steps are counted");
        state
    };
    let before = state(&learner);
    step(&mut learner, &vec![f32::NAN; 4 * PIXELS], &labels(4), 1e-2);
    assert!(state(&learner) == before, "{algorithm:?} on {}", backend.name());
    let records = learner.records().expect(WORKS);
    assert!(records[0].loss.is_finite() && records[1].loss.is_nan());
}

/// The last layer alone learns, for batch norm looks at the images of a part.
#[test]
fn gradients_of_parts_add_up_to_those_of_the_batch() {
    devices().into_iter().for_each(check_parts);
}

fn check_parts(backend: Backend) {
    const IMAGES: usize = 8;
    let (images, labels) = (images(IMAGES), labels(IMAGES));
    let known = |labels: &[f32]| labels.iter().filter(|label| !label.is_nan()).count() as f32;
    let trained = |part: usize| {
        let mut learner = learner(false, backend);
        learner.set_backbone_rate(0.0);
        let mut sum = None;
        for (images, part_labels) in images.chunks(part * PIXELS).zip(labels.chunks(part * 14)) {
            let share = known(part_labels) / known(&labels);
            let pass =
                learner.forward(&LabelledImages { images: images.into(), labels: part_labels, size: SIZE });
            let pass = pass.weighted(share);
            let found = learner.backward(pass);
            sum = Some(match sum {
                Some(sum) => learner.add(sum, found),
                None => found,
            });
        }
        learner.step(sum.expect("at least one part"), 0.5);
        let loss = learner.records().expect(WORKS)[0].loss;
        (loss, learner.weights().expect(WORKS).tensors["classifier.weight"].values.clone())
    };
    let (loss, whole) = trained(IMAGES);
    for part in [1, 3, 4] {
        let (part_loss, parts) = trained(part);
        assert!((part_loss - loss).abs() < 1e-6, "{part_loss} and {loss}");
        let largest = whole.iter().zip(&parts).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
        assert!(largest < 1e-6, "in parts of {part}: off by {largest:e}");
    }
    let fresh = learner(false, backend).weights().expect(WORKS);
    assert!(trained(IMAGES).1 != fresh.tensors["classifier.weight"].values, "it learned");
}

#[test]
fn a_flipped_score_is_the_mean_of_an_image_and_its_mirror_image() {
    devices().into_iter().for_each(check_flip);
}

fn check_flip(backend: Backend) {
    let images = images(3);
    let mirrored: Vec<f32> = images.chunks(SIZE as usize).flat_map(|row| row.iter().rev()).copied().collect();
    let plain = learner(false, backend).predictor().expect(WORKS);
    let [of_images, of_mirrored] =
        [&images, &mirrored].map(|images| plain.predict(images, SIZE).expect(WORKS));
    assert_ne!(of_images, of_mirrored);
    let flipped = learner(true, backend).predictor().expect(WORKS);
    let found = flipped.predict(&images, SIZE).expect(WORKS);
    for ((found, a), b) in found.iter().zip(&of_images).zip(&of_mirrored) {
        assert!((found - (a + b) / 2.0).abs() < 1e-6);
    }
    // The mean of a map is still the logit, and a map of the mirror image is the map mirrored.
    let maps = flipped.activation_maps(&images, SIZE).expect(WORKS);
    let places = maps.height * maps.width;
    for (map, logit) in maps.values.chunks(places).zip(&found) {
        assert!((map.iter().sum::<f32>() / places as f32 - logit).abs() < 1e-5);
    }
    let of_mirrored = flipped.activation_maps(&mirrored, SIZE).expect(WORKS);
    let back = of_mirrored.values.chunks(maps.width).flat_map(|row| row.iter().rev());
    assert!(back.zip(&maps.values).all(|(a, b)| (a - b).abs() < 1e-5));
}
