//! A scaled loss from step to step. Products of any precision may have one, so every device tests it: kernels and
//! overflow are real, the overflow being that of float32, by a loss that counts 1e15 times.

use crate::{CLASSES, WORKS, on_gpu, small, values};
use xray_model::{
    Error, HostTensor, LabelledImages, Learner, LearnerConfig, OptimizerConfig, Pixels, StateDict, StepRecord,
};
use xray_random::Random;

const SIZE: u32 = 16;
const IMAGES: usize = 4;

/// Where a checkpoint keeps it.
const LOSS_SCALE: &str = "optimizer.loss_scale";

/// None where there is not even a GPU in software.
fn learner(scale_loss: bool) -> Option<Learner> {
    let optimizer = OptimizerConfig { clip_norm: 0.5, ..OptimizerConfig::default() };
    let base = LearnerConfig::new(CLASSES);
    on_gpu(LearnerConfig { model: small(), optimizer, average_decay: 0.9, scale_loss, ..base })
}

/// A step on images of its own, whose loss counts so much.
fn step(learner: &mut Learner, number: u64, weight: f32) {
    let mut random = Random::keyed(&[number]);
    let mut bytes = |count| (0..count).map(|_| random.bits() as u8).collect::<Vec<_>>();
    let (levels, labels) = (bytes(IMAGES * (SIZE * SIZE) as usize), bytes(IMAGES * CLASSES));
    let labels: Vec<_> = labels.iter().map(|byte| f32::from(byte % 2)).collect();
    let images = Pixels::Levels { levels: &levels, values: &values() };
    let pass = learner.forward(&LabelledImages { images, labels: &labels, size: SIZE });
    let gradients = learner.backward(pass.weighted(weight));
    learner.step(gradients, 1e-2);
}

fn record(learner: &mut Learner) -> StepRecord {
    let records = learner.records().expect(WORKS);
    assert_eq!(records.len(), 1);
    records[0]
}

fn bits(state: &StateDict) -> Vec<(&str, Vec<u32>)> {
    let bits = |tensor: &HostTensor| tensor.values.iter().map(|value| value.to_bits()).collect();
    state.tensors.iter().map(|(name, tensor)| (name.as_str(), bits(tensor))).collect()
}

/// What the optimizer changes.
fn learned(learner: &Learner) -> StateDict {
    let mut state = learner.state().expect(WORKS).with_prefix("network.");
    state.tensors.retain(|name, _| !name.contains(".running_"));
    state
}

fn scale_of(learner: &Learner) -> Vec<f32> {
    learner.state().expect(WORKS).tensors[LOSS_SCALE].values.clone()
}

/// The learner in a state that differs in its scale.
fn with_scale(learner: &mut Learner, scale: Option<&[f32]>) -> Result<(), Error> {
    let mut state = learner.state().expect(WORKS);
    state.tensors.remove(LOSS_SCALE);
    if let Some(values) = scale {
        let tensor = HostTensor { shape: vec![values.len()], values: values.to_vec() };
        state.tensors.insert(LOSS_SCALE.to_owned(), tensor);
    }
    learner.restore(&state, 0)
}

/// Twice too much for a scale of 65,536, and not for a quarter of it: squares of the norm end at 3.4e38.
const HUGE: f32 = 1e15;

/// A power of two that is divided out again leaves no trace.
#[test]
fn a_scale_changes_no_bit_of_what_is_learned() {
    let run = |scale_loss| -> Option<(Vec<StepRecord>, StateDict)> {
        let mut learner = learner(scale_loss)?;
        (1..=3).for_each(|number| step(&mut learner, number, 1.0));
        let mut state = learner.state().expect(WORKS);
        assert_eq!(state.tensors.remove(LOSS_SCALE).is_some(), scale_loss);
        Some((learner.records().expect(WORKS), state))
    };
    let (Some((plain, expected)), Some((scaled, found))) = (run(false), run(true)) else { return };
    assert_eq!(scaled, plain);
    assert_eq!(bits(&found), bits(&expected));
    let norms: Vec<_> = plain.iter().map(|record| record.gradient_norm).collect();
    assert!(norms.iter().all(|norm| (1e-3..1e3).contains(norm)), "{norms:?}");
}

#[test]
fn steps_that_overflow_are_skipped_and_the_next_is_taken() {
    let Some(mut learner) = learner(true) else { return };
    assert_eq!(scale_of(&learner), [65_536.0, 0.0, 0.0]);
    let before = learned(&learner);
    let mut skipped = Vec::new();
    for number in 1.. {
        step(&mut learner, number, HUGE);
        let record = record(&mut learner);
        let Some(scale) = record.skipped_at else {
            assert!(record.gradient_norm.is_finite() && record.gradient_norm > 1e10, "{record:?}");
            break;
        };
        assert!(record.loss.is_finite() && !record.gradient_norm.is_finite(), "{record:?}");
        assert_eq!(bits(&learned(&learner)), bits(&before), "step {number}");
        skipped.push(scale);
    }
    assert!(skipped.len() >= 2, "{skipped:?}");
    assert_eq!(skipped[..2], [65_536.0, 32_768.0]);
    assert_eq!(scale_of(&learner), [skipped[skipped.len() - 1] / 2.0, 1.0, skipped.len() as f32]);
    assert_ne!(bits(&learned(&learner)), bits(&before));
}

/// With a scale of 1 there is nothing to halve: that step, and any after it, changes nothing.
#[test]
fn an_overflow_at_the_smallest_scale_ends_the_steps() {
    let Some(mut learner) = learner(true) else { return };
    with_scale(&mut learner, Some(&[4.0, 0.0, 0.0])).expect("a scale");
    let before = learned(&learner);
    (1..=3).for_each(|number| step(&mut learner, number, 1e25));
    step(&mut learner, 4, 1.0);
    let records = learner.records().expect(WORKS);
    let skipped: Vec<_> = records.iter().map(|record| record.skipped_at).collect();
    assert_eq!(skipped, [Some(4.0), Some(2.0), None, None]);
    assert!(records[2].loss.is_finite() && !records[2].gradient_norm.is_finite(), "{records:?}");
    assert_eq!(bits(&learned(&learner)), bits(&before));
}

/// Resumed after each step, over a scale that is doubled, halved and kept.
#[test]
fn a_run_in_parts_has_the_same_scale_and_the_same_bits() {
    let (Some(mut whole), Some(mut parts)) = (learner(true), learner(true)) else { return };
    // Of 2,000 steady steps one is missing.
    with_scale(&mut whole, Some(&[32_768.0, 1999.0, 0.0])).expect("a scale");
    parts.restore(&whole.state().expect(WORKS), 0).expect("its own");
    let mut factors = Vec::new();
    for (number, weight) in (1..).zip([1.0, HUGE, 1.0, HUGE, HUGE, 1.0, 1.0]) {
        step(&mut whole, number, weight);
        step(&mut parts, number, weight);
        assert_eq!(record(&mut parts), record(&mut whole), "step {number}");
        let (state, expected) = (parts.state().expect(WORKS), whole.state().expect(WORKS));
        assert_eq!(bits(&state), bits(&expected), "after step {number}");
        parts = learner(true).expect("as before");
        parts.restore(&state, number).expect("its own");
        factors.push(scale_of(&whole)[0]);
    }
    assert_eq!(factors[..2], [65_536.0, 32_768.0], "doubled, and halved");
}

#[test]
fn a_scale_that_is_none_is_refused() {
    let Some(mut learner) = learner(true) else { return };
    for values in [None, Some(&[][..]), Some(&[4.0, 0.0])] {
        assert!(matches!(with_scale(&mut learner, values), Err(Error::MissingTensor { .. })), "{values:?}");
    }
    for values in [[3.0, 0.0, 0.0], [0.0; 3], [f32::NAN, 0.0, 0.0], [4.0, 2000.0, 0.0], [4.0, 0.0, -1.0]] {
        assert!(
            matches!(with_scale(&mut learner, Some(&values)), Err(Error::LossScale { .. })),
            "{values:?}"
        );
    }
    with_scale(&mut learner, Some(&[4.0, 1999.0, 7.0])).expect("a scale");
    assert_eq!(scale_of(&learner), [4.0, 1999.0, 7.0]);
}

/// With one launch more than without a scale.
#[test]
fn a_scaled_step_is_counted_as_it_is_done() {
    let launches = |scale_loss| {
        let mut learner = learner(scale_loss)?;
        let counted = learner.count_step(IMAGES, SIZE).expect("small").expect("a GPU counts");
        let before = learner.work().expect("a GPU counts");
        step(&mut learner, 1, 1.0);
        assert_eq!(learner.work().expect("a GPU counts").since(before), counted);
        Some(counted.launches)
    };
    let (Some(scaled), Some(plain)) = (launches(true), launches(false)) else { return };
    assert_eq!(scaled, plain + 1);
}
