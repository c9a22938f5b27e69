//! What a GPU is asked for: how much a step launches, and when the host waits.

mod precision;
mod scaled_loss;

use xray_artifacts::ChannelRange;
use xray_model::{
    Architecture, Backend, DeviceWork, Error, LabelledImages, Learner, LearnerConfig, ModelConfig, Pixels,
    Predictor,
};

const WORKS: &str = "a device that works";
const CLASSES: usize = 14;

/// On a GPU; none where there is not even one in software.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn on_gpu(config: LearnerConfig) -> Option<Learner> {
    match Learner::new(&LearnerConfig { backend: Backend::Wgpu, ..config }, 5) {
        Ok(learner) => Some(learner),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn learner(model: ModelConfig) -> Option<Learner> {
    on_gpu(LearnerConfig { model, ..LearnerConfig::new(CLASSES) })
}

fn small() -> ModelConfig {
    ModelConfig { width: 5, ..ModelConfig::default() }
}

fn step(learner: &mut Learner, images: usize, size: u32) {
    let levels = levels(images, size);
    let labels: Vec<_> = (0..images * CLASSES).map(|i| f32::from(u8::from(i % 3 == 0))).collect();
    let images = Pixels::Levels { levels: &levels, values: &values() };
    let pass = learner.forward(&LabelledImages { images, labels: &labels, size });
    let gradients = learner.backward(pass);
    learner.step(gradients, 1e-3);
}

fn levels(images: usize, size: u32) -> Vec<u8> {
    (0..images * (size * size) as usize).map(|i| (i * i % 251) as u8).collect()
}

fn values() -> [f32; 256] {
    std::array::from_fn(|level| (level as f32 / 255.0 - 0.49) / 0.23)
}

/// Mirror images and several channels too.
#[test]
fn levels_of_gray_give_the_bits_of_their_values() {
    for channels in [1, 3] {
        let Some(learner) = learner(ModelConfig { flip: true, channels, ..small() }) else { return };
        let predictor = learner.predictor().expect(WORKS);
        let (levels, values) = (levels(3, 34), values());
        let pixels = Pixels::Levels { levels: &levels, values: &values };
        let by_levels = predictor.predict(pixels, 34).expect(WORKS);
        let by_floats = predictor.predict(&*pixels.normalised(), 34).expect(WORKS);
        assert!(by_levels.iter().all(|logit| logit.is_finite()));
        assert_eq!(by_levels, by_floats);
    }
}

/// Of levels and of floats.
#[test]
fn channels_of_their_own_ranges_are_those_of_the_cpu() {
    let model = ModelConfig { channels: 3, ..small() };
    let Some(learner) = learner(model.clone()) else { return };
    let weights = learner.weights().expect(WORKS);
    let ranges = [(0.5, 0.2), (0.4, 0.3), (0.3, 0.25)].map(|(mean, std)| ChannelRange { mean, std });
    let on = |backend| {
        let predictor = Predictor::new(&model, CLASSES, &weights, backend).expect(WORKS);
        predictor.with_ranges(Some(ranges)).expect("three channels")
    };
    let (gpu, cpu) = (on(Backend::Wgpu), on(Backend::Cpu));
    let (levels, values) = (levels(3, 34), values());
    let pixels = Pixels::Levels { levels: &levels, values: &values };
    let by_levels = gpu.predict(pixels, 34).expect(WORKS);
    assert_eq!(by_levels, gpu.predict(&*pixels.normalised(), 34).expect(WORKS));
    for (found, expected) in by_levels.iter().zip(cpu.predict(pixels, 34).expect(WORKS)) {
        assert!((found - expected).abs() < 1e-3 * (1.0 + expected.abs()), "{found} is not {expected}");
    }
}

/// In the sizes of the papers, in batches that every device has the buffers for, with as many multiplications as the network has: each convolution is multiplied three
/// times, but for the gradient of the image.
#[test]
#[expect(clippy::print_stderr, reason = "how few, for whoever asks")]
fn a_step_takes_few_launches() {
    for (architecture, size, images, most) in [
        (Architecture::SmallCnn, 128, 64, 60),
        (Architecture::ResNet18, 224, 32, 250),
        (Architecture::DenseNet121, 224, 16, 1000),
        (Architecture::DenseNet121, 224, 32, 1000),
    ] {
        let model = ModelConfig::of(architecture);
        let Some(learner) = learner(model.clone()) else { return };
        let work = learner.count_step(images, size).expect("buffers of that size").expect("a GPU counts");
        eprintln!("{architecture:?}, {images} images of {size} px: {work}");
        let DeviceWork { launches, multiply_adds, reads, .. } = work;
        assert!((20..=most).contains(&launches), "{architecture:?}: {launches} launches");
        assert_eq!(reads, 0, "{architecture:?} reads from the device");
        let expected = (3 * images) as f64 * model.multiply_adds(CLASSES, size) as f64;
        let share = multiply_adds as f64 / expected;
        assert!((0.9..=1.01).contains(&share), "{architecture:?}: {share} of the multiplications");
    }
}

#[test]
fn what_is_counted_is_what_is_done() {
    for architecture in Architecture::ALL {
        let width = if architecture == Architecture::DenseNet121 { 4 } else { 8 };
        let Some(mut learner) = learner(ModelConfig { width, ..ModelConfig::of(architecture) }) else {
            return;
        };
        let counted = learner.count_step(3, 48).expect("small").expect("a GPU counts");
        let before = learner.work().expect("a GPU counts");
        step(&mut learner, 3, 48);
        let after = learner.work().expect("a GPU counts");
        assert_eq!(counted, after.since(before), "{architecture:?}");
    }
}

#[test]
fn nothing_is_read_until_someone_asks() {
    let Some(mut learner) = learner(ModelConfig { flip: true, ..small() }) else { return };
    let reads = |learner: &Learner| learner.work().expect("a GPU counts").reads;
    let before = reads(&learner);
    for _ in 0..5 {
        step(&mut learner, 3, 32);
    }
    assert_eq!(reads(&learner), before, "a step waits for the device");
    assert_eq!(learner.records().expect(WORKS).len(), 5);
    assert_eq!(reads(&learner), before + 1, "one read for all steps");
    let predictor = learner.predictor().expect(WORKS);
    let before = reads(&learner);
    let begun = [1, 2].map(|images| predictor.begin(&vec![0.5; images * 32 * 32], 32).expect(WORKS));
    assert_eq!(reads(&learner), before, "a prediction that is begun waits for the device");
    let logits = begun.map(|begun| begun.logits().expect(WORKS).len());
    assert_eq!(logits, [CLASSES, 2 * CLASSES]);
    assert_eq!(reads(&learner), before + 4, "one read for each image and its mirror image");
}

/// More steps than the device keeps are read in time, and none is lost.
#[test]
fn every_step_is_on_record_however_late_it_is_asked_for() {
    let Some(mut learner) = learner(small()) else { return };
    let steps = Learner::MAX_UNREAD + 3;
    for _ in 0..steps {
        step(&mut learner, 1, 16);
    }
    let records = learner.records().expect(WORKS);
    assert_eq!(records.len(), steps);
    assert!(records.iter().all(|record| record.loss.is_finite()));
    let falls = records.windows(2).filter(|pair| pair[1].loss < pair[0].loss).count();
    assert!(
        falls * 10 > 9 * steps,
        "the same image is learned, in the order of the steps: {falls} of {steps}"
    );
}

/// A batch that no device makes a buffer for is refused before anything is computed, with one that would do.
#[test]
fn a_batch_that_no_buffer_holds_is_refused_with_one_that_fits() {
    let Some(learner) = learner(ModelConfig::default()) else { return };
    let error = learner.count_step(1 << 20, 512).expect_err("terabytes");
    let Error::DeviceMemory { fits: Some(fits), .. } = error else { panic!("{error}") };
    assert!(fits > 0 && learner.count_step(fits, 512).is_ok(), "{fits} images do not fit");
    assert!(learner.count_step(fits + 1, 512).is_err(), "{fits} images are not the most");
}
