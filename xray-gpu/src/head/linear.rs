//! Dense layers, the last one of a network and those of a gate: `features W^T + b`, and their gradients. Small beside
//! the convolutions, so no tiles.
#![expect(unsafe_code, reason = "launches without bounds checks; lengths are checked before")]

use crate::buffer::Part;
use crate::gpu::Gpu;
use crate::pass::{Pass, bytes};
use crate::reduce::{REDUCE_UNITS, group_sum};
use cubecl::prelude::*;

/// A fully connected layer, as PyTorch's `Linear`: a weight `[classes][channels]` and a bias `[classes]`, which lie in
/// one buffer, anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Features of an image.
    pub channels: usize,
    /// Outputs of an image.
    pub classes: usize,
}

/// A group an image and class.
#[cube(launch_unchecked)]
fn linear_forward(
    features: &[f32],
    parameters: &[f32],
    logits: &mut [f32],
    channels: usize,
    classes: usize,
    features_at: usize,
    weight_at: usize,
    bias_at: usize,
    logits_at: usize,
    groups: usize,
) {
    let group = CUBE_POS_X as usize + CUBE_POS_Y as usize * CUBE_COUNT_X as usize;
    if group >= groups {
        terminate!();
    }
    let mut place = Shared::<[f32]>::new_slice(REDUCE_UNITS);
    let unit = UNIT_POS as usize;
    let image = group / classes;
    let class = group % classes;
    let mut sum = 0.0f32;
    let mut c = unit;
    while c < channels {
        sum += features[features_at + image * channels + c] * parameters[weight_at + class * channels + c];
        c += REDUCE_UNITS;
    }
    let sum = group_sum(&mut place, sum);
    if unit == 0 {
        logits[logits_at + group] = sum + parameters[bias_at + class];
    }
}

/// A unit a parameter.
#[cube(launch_unchecked)]
fn linear_parameters(
    features: &[f32],
    grad_logits: &[f32],
    gradients: &mut [f32],
    images: usize,
    channels: usize,
    classes: usize,
    features_at: usize,
    logits_at: usize,
    weight_at: usize,
    bias_at: usize,
) {
    let i = ABSOLUTE_POS;
    if i < classes * channels {
        let mut sum = 0.0f32;
        for image in 0..images {
            sum += grad_logits[logits_at + image * classes + i / channels]
                * features[features_at + image * channels + i % channels];
        }
        gradients[weight_at + i] = sum;
    } else if i < classes * channels + classes {
        let class = i - classes * channels;
        let mut sum = 0.0f32;
        for image in 0..images {
            sum += grad_logits[logits_at + image * classes + class];
        }
        gradients[bias_at + class] = sum;
    }
}

/// A unit a feature.
#[cube(launch_unchecked)]
fn linear_features(
    weight: &[f32],
    grad_logits: &[f32],
    grad_features: &mut [f32],
    channels: usize,
    classes: usize,
    weight_at: usize,
    logits_at: usize,
    features_at: usize,
    length: usize,
) {
    let i = ABSOLUTE_POS;
    if i < length {
        let image = i / channels;
        let mut sum = 0.0f32;
        for class in 0..classes {
            sum += grad_logits[logits_at + image * classes + class]
                * weight[weight_at + class * channels + i % channels];
        }
        grad_features[features_at + i] = sum;
    }
}

impl Linear {
    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        self.classes * (self.channels + 1)
    }

    fn images(&self, features: Part<'_>, logits: Part<'_>) -> usize {
        let images = features.len() / self.channels;
        features.expect(images * self.channels, "features");
        logits.expect(images * self.classes, "logits");
        images
    }

    /// The launch of [`Linear::forward`].
    pub fn forward_pass(&self, images: usize) -> Pass {
        Pass {
            name: "linear",
            groups: [images * self.classes, 1],
            units: REDUCE_UNITS,
            multiply_adds: (images * self.classes * self.channels) as u64,
            bytes: bytes(images * (self.channels + self.classes) + self.parameters()),
        }
    }

    /// The launches of [`Linear::backward`].
    pub fn backward_passes(&self, images: usize) -> [Pass; 2] {
        ["linear gradient", "feature gradient"]
            .map(|name| {
                let length =
                    if name == "linear gradient" { self.parameters() } else { images * self.channels };
                Pass { bytes: self.forward_pass(images).bytes, ..Pass::elements(name, length, 0) }
            })
            .map(|pass| Pass { multiply_adds: self.forward_pass(images).multiply_adds, ..pass })
    }

    fn expect_parameters(&self, weight: Part<'_>, bias: Part<'_>) {
        weight.expect(self.classes * self.channels, "the weight of a dense layer");
        bias.expect(self.classes, "the bias of a dense layer");
        weight.expect_beside(&bias, "weight and bias");
    }

    /// Writes logits, `[images][classes]`, of features, `[images][channels]`.
    ///
    /// # Panics
    /// If a length does not fit, or weight and bias lie in two buffers.
    pub fn forward(&self, gpu: &Gpu, features: Part<'_>, weight: Part<'_>, bias: Part<'_>, logits: Part<'_>) {
        let pass = self.forward_pass(self.images(features, logits));
        self.expect_parameters(weight, bias);
        // SAFETY: lengths were checked.
        unsafe {
            linear_forward::launch_unchecked(
                gpu.launch(&pass),
                gpu.grid(&pass),
                pass.dim(),
                features.argument(),
                weight.argument(),
                logits.argument(),
                self.channels,
                self.classes,
                features.start(),
                weight.start(),
                bias.start(),
                logits.start(),
                pass.groups[0],
            );
        }
    }

    /// Writes the gradients of weight and bias and of the features, given the inputs and the logits' gradient.
    ///
    /// # Panics
    /// If a length does not fit, or the gradients of weight and bias lie in two buffers.
    pub fn backward(
        &self,
        gpu: &Gpu,
        (features, weight): (Part<'_>, Part<'_>),
        grad_logits: Part<'_>,
        grad_weight: Part<'_>,
        grad_bias: Part<'_>,
        grad_features: Part<'_>,
    ) {
        let images = self.images(features, grad_logits);
        weight.expect(self.classes * self.channels, "the weight of a dense layer");
        self.expect_parameters(grad_weight, grad_bias);
        grad_features.expect(features.len(), "the features' gradient");
        let [first, second] = self.backward_passes(images);
        // SAFETY: lengths were checked.
        unsafe {
            linear_parameters::launch_unchecked(
                gpu.launch(&first),
                gpu.grid(&first),
                first.dim(),
                features.argument(),
                grad_logits.argument(),
                grad_weight.argument(),
                images,
                self.channels,
                self.classes,
                features.start(),
                grad_logits.start(),
                grad_weight.start(),
                grad_bias.start(),
            );
            linear_features::launch_unchecked(
                gpu.launch(&second),
                gpu.grid(&second),
                second.dim(),
                weight.argument(),
                grad_logits.argument(),
                grad_features.argument(),
                self.channels,
                self.classes,
                weight.start(),
                grad_logits.start(),
                grad_features.start(),
                features.len(),
            );
        }
    }
}
