//! Every loss against its formula in float64, the slopes by differences of it, and against PyTorch's values.

use crate::reference::{assert_close, assert_same_bits, buffer, gpu, random, read, unwritten};
use safetensors::SafeTensors;
use std::path::Path;
use xray_gpu::{LossKind, loss};

const FOCAL: LossKind = LossKind::Focal { gamma: 2.0, alpha: 0.25 };
const ASYMMETRIC: LossKind = LossKind::Asymmetric { gamma_positive: 0.0, gamma_negative: 4.0, margin: 0.05 };

/// What one label costs that is positive to the share `t`.
fn cost(kind: LossKind, z: f64, t: f64, weight: f64) -> f64 {
    let [p, q] = [z, -z].map(|z| 1.0 / (1.0 + (-z).exp()));
    // -ln of a sigmoid.
    let surprise = |z: f64| (-z).max(0.0) + (-z.abs()).exp().ln_1p();
    let [miss, alarm] = [surprise(z), surprise(-z)];
    match kind {
        LossKind::Bce => t * miss + (1.0 - t) * alarm,
        LossKind::WeightedBce => t * weight * miss + (1.0 - t) * alarm,
        LossKind::Focal { gamma, alpha } => {
            let [gamma, alpha] = [gamma, alpha].map(f64::from);
            t * alpha * q.powf(gamma) * miss + (1.0 - t) * (1.0 - alpha) * p.powf(gamma) * alarm
        }
        LossKind::Asymmetric { gamma_positive, gamma_negative, margin } => {
            let [gamma_positive, gamma_negative] = [gamma_positive, gamma_negative].map(f64::from);
            // As close to the margin as float32 knows it.
            let margin = f64::from(margin);
            let alarm = if margin == 0.0 { alarm } else { -(1.0 - (p - margin).max(0.0)).ln() };
            let shifted = (p - margin).max(0.0).powf(gamma_negative);
            t * q.powf(gamma_positive) * miss + (1.0 - t) * shifted * alarm
        }
    }
}

/// Loss, and gradients of the logits.
fn found(
    kind: LossKind,
    logits: &[f32],
    labels: &[f32],
    weights: &[f32],
    [smoothing, share]: [f32; 2],
) -> (Vec<f32>, Vec<f32>) {
    let [value, grad] = [1, logits.len()].map(unwritten);
    let [logits, labels, weights] = [logits, labels, weights].map(buffer);
    let (logits, labels, weights) = (logits.whole(), labels.whole(), weights.whole());
    loss(gpu(), &kind, logits, labels, weights, smoothing, share, value.whole(), grad.whole());
    (read(&value), read(&grad))
}

fn check(kind: LossKind, logits: &[f32], labels: &[f32], classes: usize, numbers: [f32; 2]) {
    let what = format!("{kind:?} of {} logits, {classes} classes, {numbers:?}", logits.len());
    let weights: Vec<f32> = (0..classes).map(|class| 1.5 * (class + 1) as f32).collect();
    let [smoothing, share] = numbers.map(f64::from);
    let known = labels.iter().filter(|label| !label.is_nan()).count().max(1) as f64;
    let (mut value, mut gradient) = (0.0, Vec::new());
    for (i, (&z, &label)) in logits.iter().zip(labels).enumerate() {
        let t = f64::from(label) * (1.0 - smoothing) + smoothing / 2.0;
        let weight = f64::from(weights[i % classes]);
        let at = |z: f64| if label.is_nan() { 0.0 } else { cost(kind, z, t, weight) * share / known };
        let (z, step) = (f64::from(z), 1e-3);
        let difference = |steps: f64| at(z + steps * step) - at(z - steps * step);
        value += at(z);
        gradient.push((8.0 * difference(1.0) - difference(2.0)) / (12.0 * step));
    }
    let (loss, grad) = found(kind, logits, labels, &weights, numbers);
    assert_close(&format!("{what}: loss"), &loss, &[value], 2e-6);
    assert_close(&format!("{what}: gradient"), &grad, &gradient, 4e-6);
    let again = found(kind, logits, labels, &weights, numbers);
    assert_same_bits(&what, &loss, &again.0);
    assert_same_bits(&what, &grad, &again.1);
}

fn kinds() -> Vec<LossKind> {
    let mut all = vec![LossKind::Bce, LossKind::WeightedBce, FOCAL, ASYMMETRIC];
    all.extend([0.0, 0.5, 1.0].map(|gamma| LossKind::Focal { gamma, alpha: 0.6 }));
    for [gamma_positive, gamma_negative, margin] in
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.2], [0.0, 2.0, 0.0], [2.0, 1.0, 0.05]]
    {
        all.push(LossKind::Asymmetric { gamma_positive, gamma_negative, margin });
    }
    all
}

/// Labels in turn positive, negative and, now and then, unknown.
fn labels(length: usize) -> Vec<f32> {
    (0..length).map(|i| if i % 7 == 3 { f32::NAN } else { f32::from(u8::from(i % 3 == 0)) }).collect()
}

#[test]
fn every_loss_and_its_gradient() {
    for kind in kinds() {
        for (images, classes, size, numbers) in
            [(64, 14, 3.0, [0.0, 1.0]), (5, 6, 8.0, [0.1, 0.25]), (1, 1, 1.0, [0.0, 1.0])]
        {
            let logits: Vec<f32> = random(images * classes, 4).iter().map(|z| size * z).collect();
            check(kind, &logits, &labels(logits.len()), classes, numbers);
        }
    }
}

/// Certain and right, certain and wrong: no infinity, no NaN, and a slope where one is due.
#[test]
fn logits_far_from_zero() {
    for kind in kinds() {
        for (z, smoothing) in
            [(-100.0, 0.0), (-60.0, 0.2), (-17.0, 0.0), (17.0, 0.0), (60.0, 0.2), (100.0, 0.0)]
        {
            // Each by itself: beside a large loss a small one would not show.
            for label in [0.0, 1.0] {
                check(kind, &[z], &[label], 1, [smoothing, 1.0]);
            }
        }
    }
}

#[test]
fn a_batch_without_known_labels_costs_nothing_and_moves_nothing() {
    for kind in kinds() {
        let found = found(kind, &[50.0, -50.0], &[f32::NAN; 2], &[1.0, 1.0], [0.1, 1.0]);
        assert_eq!(found, (vec![0.0], vec![0.0, 0.0]), "{kind:?}");
    }
}

/// A logit that is not a number shows, whatever its label.
#[test]
fn what_is_not_a_number_stays_so() {
    for kind in kinds() {
        for label in [0.0, 1.0] {
            let (loss, _) = found(kind, &[f32::NAN, 1.0], &[label, 1.0], &[1.0], [0.0, 1.0]);
            assert!(loss[0].is_nan(), "{kind:?}, label {label}: {loss:?}");
        }
    }
}

#[test]
fn losses_and_gradients_are_pytorchs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xray-model/tests/golden/losses.safetensors");
    let bytes = std::fs::read(&path).expect("a committed file");
    let golden = SafeTensors::deserialize(&bytes).expect("a file of tensors");
    let of = |name: &str| -> Vec<f32> {
        let bytes = golden.tensor(name).expect("a tensor of the file").data().chunks_exact(4);
        bytes.map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect()
    };
    let (logits, labels) = (of("logits"), of("labels"));
    let weights: Vec<f32> = of("prevalence").iter().map(|p| ((1.0 - p) / p).min(100.0)).collect();
    for (name, kind) in [
        ("bce", LossKind::Bce),
        ("weighted-bce", LossKind::WeightedBce),
        ("focal", FOCAL),
        ("asymmetric", ASYMMETRIC),
    ] {
        let expected =
            [of(name), of(&format!("{name}.gradient"))].map(|values| crate::reference::wide(&values));
        let (loss, grad) = found(kind, &logits, &labels, &weights, [0.0, 1.0]);
        assert_close(name, &loss, &expected[0], 2e-6);
        assert_close(name, &grad, &expected[1], 2e-6);
    }
}
