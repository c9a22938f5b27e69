//! Losses of several labels on logits, the mean over the known ones; unknown labels are NaN.
//!
//! All are one formula. A label that is positive to the share `t` costs
//! `t a q^g (-ln p) + (1 - t) b s^h (-ln (1 - s))`, with `p` the sigmoid of the logit, `q = 1 - p` and `s` what of `p`
//! lies above a margin; weights, exponents and margin differ.
#![expect(unsafe_code, reason = "a launch without bounds checks; lengths are checked before")]

use crate::buffer::Part;
use crate::curve::sigmoid;
use crate::gpu::Gpu;
use crate::pass::{Pass, bytes};
use crate::reduce::{REDUCE_UNITS, group_sum};
use cubecl::prelude::*;

/// A loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LossKind {
    /// Binary cross-entropy.
    Bce,
    /// Binary cross-entropy whose positives have the weight of their label.
    WeightedBce,
    /// Lin et al. 2017, equation 5: easy examples fade.
    Focal {
        /// Exponent of fading.
        gamma: f32,
        /// Weight of positives; negatives have the rest of 1.
        alpha: f32,
    },
    /// Ridnik et al. 2021, equation 7.
    Asymmetric {
        /// Exponent of positives.
        gamma_positive: f32,
        /// Exponent of negatives.
        gamma_negative: f32,
        /// Negatives of a lower probability count nothing.
        margin: f32,
    },
}

/// Numbers of a [`LossKind`] and where its floats start.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct LossNumbers {
    /// Weights of positives and negatives.
    positive: f32,
    negative: f32,
    gamma_positive: f32,
    gamma_negative: f32,
    margin: f32,
    /// What of a label is left by smoothing, and what is added to it.
    kept: f32,
    added: f32,
    share: f32,
    logits_at: usize,
    labels_at: usize,
    weights_at: usize,
    loss_at: usize,
    gradients_at: usize,
    length: usize,
    classes: usize,
}

/// How the kernel is compiled.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Form {
    /// Positives of a label have a weight of their own.
    weighted: bool,
    margin: bool,
}

/// A loss, and its slope by the logit.
#[derive(CubeType, Clone, Copy)]
struct Cost {
    value: f32,
    slope: f32,
}

/// `ln((1 + w) / (1 - w))` for `w` up to a third: a series without the cancellation of a logarithm close to 1.
#[cube]
fn log_ratio(w: f32) -> f32 {
    let x = w * w;
    let series = 1.0f32 / 9.0f32 + x * (1.0f32 / 11.0f32 + x * (1.0f32 / 13.0f32));
    2.0f32 * w * (1.0f32 + x * (1.0f32 / 3.0f32 + x * (0.2f32 + x * (1.0f32 / 7.0f32 + x * series))))
}

/// `-ln sigmoid(z)`.
#[cube]
fn surprise(z: f32) -> f32 {
    let e = (-z.abs()).exp();
    let mut value = log_ratio(e / (2.0f32 + e));
    if z < 0.0f32 {
        value -= z;
    }
    value
}

/// `q^gamma (-ln p)`: what a positive costs. The power is made of the logarithm, so that it is 1 for a gamma of 0 and
/// never NaN.
#[cube]
fn faded(z: f32, gamma: f32) -> Cost {
    let p = sigmoid(z);
    let q = sigmoid(-z);
    let own = surprise(z);
    let power = (-gamma * surprise(-z)).exp();
    Cost { value: power * own, slope: -power * (gamma * p * own + q) }
}

/// `s^gamma (-ln (1 - s))` with `s = p - margin`, of which less than 0 counts nothing.
#[cube]
fn above_margin(z: f32, gamma: f32, margin: f32) -> Cost {
    let p = sigmoid(z);
    let q = sigmoid(-z);
    let s = p - margin;
    let mut value = 0.0f32;
    let mut slope = 0.0f32;
    if s > 0.0f32 {
        let rest = q + margin;
        let mut own = -rest.ln();
        if s < 0.5f32 {
            own = log_ratio(s / (2.0f32 - s));
        }
        let power = (gamma * s.ln()).exp();
        value = power * own;
        slope = power * p * q * (gamma * own / s + 1.0f32 / rest);
    }
    Cost { value, slope }
}

/// What a negative costs.
#[cube]
fn alarm(z: f32, gamma: f32, margin: f32, #[comptime] with_margin: bool) -> Cost {
    if comptime!(with_margin) {
        above_margin(z, gamma, margin)
    } else {
        let mirrored = faded(-z, gamma);
        Cost { value: mirrored.value, slope: -mirrored.slope }
    }
}

/// One group: labels are few, and their number must be known before any gradient is.
#[cube(launch_unchecked)]
fn losses(
    logits: &[f32],
    labels: &[f32],
    weights: &[f32],
    loss: &mut [f32],
    gradients: &mut [f32],
    numbers: LossNumbers,
    #[comptime] form: Form,
) {
    let mut place = Shared::<[f32]>::new_slice(REDUCE_UNITS);
    let unit = UNIT_POS as usize;
    let mut count = 0.0f32;
    let mut i = unit;
    while i < numbers.length {
        if !labels[numbers.labels_at + i].is_nan() {
            count += 1.0f32;
        }
        i += REDUCE_UNITS;
    }
    let factor = numbers.share / group_sum(&mut place, count).max(1.0f32);
    let mut sum = 0.0f32;
    let mut i = unit;
    while i < numbers.length {
        let label = labels[numbers.labels_at + i];
        let mut gradient = 0.0f32;
        if !label.is_nan() {
            let z = logits[numbers.logits_at + i];
            let positive = label * numbers.kept + numbers.added;
            let negative = 1.0f32 - positive;
            let mut weight = numbers.positive;
            if comptime!(form.weighted) {
                weight = weights[numbers.weights_at + i % numbers.classes];
            }
            let miss = faded(z, numbers.gamma_positive);
            let alarm = alarm(z, numbers.gamma_negative, numbers.margin, comptime!(form.margin));
            sum += positive * weight * miss.value + negative * numbers.negative * alarm.value;
            gradient = positive * weight * miss.slope + negative * numbers.negative * alarm.slope;
        }
        gradients[numbers.gradients_at + i] = gradient * factor;
        i += REDUCE_UNITS;
    }
    let sum = group_sum(&mut place, sum);
    if unit == 0 {
        loss[numbers.loss_at] = sum * factor;
    }
}

/// The launch of [`loss`] on so many logits of so many classes.
pub fn loss_pass(length: usize, classes: usize) -> Pass {
    let bytes = bytes(3 * length + classes + 1);
    Pass { name: "loss", groups: [1, 1], units: REDUCE_UNITS, multiply_adds: 0, bytes }
}

/// Writes the loss, one float, and the gradient of the logits, `[images][classes]`: the mean over the known labels
/// times `share`, the part that these images have of a batch. Without known labels both are zero.
///
/// With `smoothing` a label counts as `label (1 - smoothing) + smoothing / 2` (Szegedy et al. 2016). `positive_weights`
/// has a float for each class, which only [`LossKind::WeightedBce`] looks at.
///
/// # Panics
/// If a length does not fit.
#[expect(clippy::too_many_arguments, reason = "what a loss is made of, once a step")]
pub fn loss(
    gpu: &Gpu,
    kind: &LossKind,
    logits: Part<'_>,
    labels: Part<'_>,
    positive_weights: Part<'_>,
    smoothing: f32,
    share: f32,
    loss: Part<'_>,
    grad_logits: Part<'_>,
) {
    let (length, classes) = (logits.len(), positive_weights.len());
    labels.expect(length, "labels");
    grad_logits.expect(length, "the logits' gradient");
    loss.expect(1, "the loss");
    assert!(classes > 0 && length.is_multiple_of(classes), "{length} logits of {classes} classes");
    let (positive, negative, gamma_positive, gamma_negative, margin) = match *kind {
        LossKind::Bce | LossKind::WeightedBce => (1.0, 1.0, 0.0, 0.0, 0.0),
        LossKind::Focal { gamma, alpha } => (alpha, 1.0 - alpha, gamma, gamma, 0.0),
        LossKind::Asymmetric { gamma_positive, gamma_negative, margin } => {
            (1.0, 1.0, gamma_positive, gamma_negative, margin)
        }
    };
    let numbers = LossNumbersLaunch::new(
        positive,
        negative,
        gamma_positive,
        gamma_negative,
        margin,
        1.0 - smoothing,
        smoothing / 2.0,
        share,
        logits.start(),
        labels.start(),
        positive_weights.start(),
        loss.start(),
        grad_logits.start(),
        length,
        classes,
    );
    let form = Form { weighted: *kind == LossKind::WeightedBce, margin: margin > 0.0 };
    let pass = loss_pass(length, classes);
    // SAFETY: lengths were checked.
    unsafe {
        losses::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            logits.argument(),
            labels.argument(),
            positive_weights.argument(),
            loss.argument(),
            grad_logits.argument(),
            numbers,
            form,
        );
    }
}
