//! Squeeze-and-excitation (Hu et al., 2018) as one operation: `x * sigmoid(fc2(silu(fc1(means of x))))`.
//!
//! The two layers are small: what matters is how long other threads wait for them. Their products are a task of each
//! image, and the gradients of their weights a task of some rows.
#![expect(unsafe_code, reason = "threads write disjoint parts of one buffer")]

mod curves;
mod linear;

use crate::context::Context;
use crate::gate::{factors_backward, gate, gate_backward};
use crate::nonlinearity::{Sigmoid, Silu};
use crate::pooling::global_average;
use crate::shape::{GradientMap, MapShape};
use crate::shared::Shared;
use crate::tasks::for_each;
use curves::{apply, carry};
use linear::{combine, linear};

/// Rows of weights whose gradients are one task.
const ROWS: usize = 16;

/// What the two layers learn.
#[derive(Clone, Copy, Debug)]
pub struct SqueezeParameters<'a> {
    /// `[squeezed][channels]` and `[channels][squeezed]`.
    pub weights: [&'a [f32]; 2],
    /// `[squeezed]` and `[channels]`.
    pub biases: [&'a [f32]; 2],
}

/// Where the gradients go.
#[derive(Debug)]
pub struct SqueezeGradients<'a> {
    /// As the weights.
    pub weights: [&'a mut [f32]; 2],
    /// As the biases.
    pub biases: [&'a mut [f32]; 2],
    /// That of the input.
    pub input: GradientMap<'a>,
}

/// What backward needs of forward, besides the input and the parameters, which the caller has.
#[derive(Clone, Debug)]
pub struct SavedSqueeze {
    /// Of the input, `[images][channels]`.
    means: Vec<f32>,
    /// Of SiLU, `[images][squeezed]`.
    arguments: Vec<f32>,
    /// `[images][channels]`.
    factors: Vec<f32>,
}

impl SqueezeParameters<'_> {
    /// The size between the layers.
    fn squeezed(&self, shape: &MapShape) -> usize {
        let [squeezed, channels] = self.biases.map(<[f32]>::len);
        assert_eq!(channels, shape.channels, "layers of other channels than {shape:?}");
        let lengths = self.weights.map(<[f32]>::len);
        assert!(
            squeezed > 0 && lengths == [squeezed * channels; 2],
            "weights of other sizes than the biases"
        );
        squeezed
    }
}

/// Forward. Writes the output with a zero halo.
///
/// # Panics
/// If the maps differ in size, or a slice does not have its length.
pub fn squeeze_excitation(
    context: &Context,
    parameters: SqueezeParameters,
    (input, shape): (&[f32], MapShape),
    output: (&mut [f32], MapShape),
) -> SavedSqueeze {
    let (isa, channels, squeezed) = (context.isa, shape.channels, parameters.squeezed(&shape));
    let [mut means, mut factors] = [0, 1].map(|_| vec![0.0; shape.images * channels]);
    let mut arguments = vec![0.0; shape.images * squeezed];
    global_average(context, (input, shape), &mut means);
    let SqueezeParameters { weights, biases } = parameters;
    let written = (Shared::new(&mut arguments), Shared::new(&mut factors));
    for_each("layers of a gate", means.len() * 2 * squeezed, shape.images, |image| {
        // SAFETY: what belongs to an image is written by one call.
        let (arguments, factors) = unsafe {
            (written.0.part(image * squeezed, squeezed), written.1.part(image * channels, channels))
        };
        linear(isa, weights[0], biases[0], &means[image * channels..][..channels], arguments);
        let mut values = arguments.to_vec();
        apply::<Silu>(isa, &mut values);
        linear(isa, weights[1], biases[1], &values, factors);
        apply::<Sigmoid>(isa, factors);
    });
    gate(context, (input, shape), &factors, output);
    SavedSqueeze { means, arguments, factors }
}

/// Backward: the gradients of the parameters, and that of the input, whose halo is not written.
///
/// # Panics
/// If a shape is not that of forward, or a slice does not have its length.
pub fn squeeze_excitation_backward(
    context: &Context,
    parameters: SqueezeParameters,
    saved: &SavedSqueeze,
    (input, shape): (&[f32], MapShape),
    grad_output: (&[f32], MapShape),
    gradients: SqueezeGradients,
) {
    let (isa, channels, squeezed) = (context.isa, shape.channels, parameters.squeezed(&shape));
    let SavedSqueeze { means, arguments, factors } = saved;
    let SqueezeParameters { weights, .. } = parameters;
    // Of the arguments of the sigmoid and of SiLU; the values of SiLU; what each mean adds to the gradient of its pixels.
    let [mut of_factors, mut of_means] = [0, 1].map(|_| vec![0.0; means.len()]);
    let (mut of_arguments, mut values) = (vec![0.0; arguments.len()], arguments.clone());
    factors_backward(context, (input, shape), grad_output, &mut of_factors);
    let area = (shape.height * shape.width) as f32;
    let written =
        [&mut of_factors, &mut of_means, &mut of_arguments, &mut values].map(|list| Shared::new(list));
    for_each("layers of a gate, backward", means.len() * 2 * squeezed, shape.images, |image| {
        let lengths = [channels, channels, squeezed, squeezed];
        let parts: [_; 4] = std::array::from_fn(|list| {
            // SAFETY: what belongs to an image is written by one call.
            unsafe { written[list].part(image * lengths[list], lengths[list]) }
        });
        let [of_factors, of_means, of_arguments, values] = parts;
        for (gradient, factor) in of_factors.iter_mut().zip(&factors[image * channels..]) {
            *gradient *= factor * (1.0 - factor);
        }
        combine(isa, weights[1], (of_factors, 1), of_arguments);
        carry::<Silu>(isa, &arguments[image * squeezed..][..squeezed], of_arguments);
        combine(isa, weights[0], (of_arguments, 1), of_means);
        of_means.iter_mut().for_each(|gradient| *gradient /= area);
        apply::<Silu>(isa, values);
    });
    let SqueezeGradients { weights: grad_weights, biases: grad_biases, input: grad_input } = gradients;
    gate_backward(context, [factors, &of_means], grad_output, grad_input);
    let lengths = |lists: &[&mut [f32]; 2]| lists.each_ref().map(|list| list.len());
    assert_eq!(lengths(&grad_weights), weights.map(<[f32]>::len), "a gradient for each weight");
    assert_eq!(lengths(&grad_biases), parameters.biases.map(<[f32]>::len), "a gradient for each bias");
    let [grad_weights, grad_biases] = [grad_weights, grad_biases].map(|lists| lists.map(Shared::new));
    // What comes into each layer, and the gradient of what it adds up.
    let layers = [(means, &of_arguments), (&values, &of_factors)];
    let rows = squeezed + channels;
    for_each("weights of a gate, backward", means.len() * 2 * squeezed, rows.div_ceil(ROWS), |task| {
        for row in task * ROWS..((task + 1) * ROWS).min(rows) {
            let (layer, row) = if row < squeezed { (0, row) } else { (1, row - squeezed) };
            let [outputs, inputs] = if layer == 0 { [squeezed, channels] } else { [channels, squeezed] };
            let (given, gradient) = layers[layer];
            // SAFETY: a row and its bias are written by one call.
            let (grad_row, grad_bias) =
                unsafe { (grad_weights[layer].part(row * inputs, inputs), grad_biases[layer].part(row, 1)) };
            combine(isa, given, (&gradient[row..], outputs), grad_row);
            grad_bias[0] = gradient[row..].iter().step_by(outputs).sum();
        }
    });
}
