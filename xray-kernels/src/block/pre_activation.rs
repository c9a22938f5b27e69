//! Batch norm, ReLU, convolution: the order of DenseNet and of pre-activation ResNets.

use super::{BlockGradients, BlockParameters};
use crate::arena::ArenaBuffer;
use crate::batch_norm::{
    Activation, NormGradient, Normalisation, Sums, Totals, normalise, normalise_backward,
};
use crate::context::Context;
use crate::convolution::{
    ConvOutput, ConvSpec, PackedWeights, TransposedWeights, convolve, convolve_backward,
};
use crate::nonlinearity::Nonlinearity;
use crate::planes::ConvInput;
use crate::shape::{GradientMap, MapShape};

/// `conv(relu(batch_norm(x)))`. Gamma and beta belong to the channels of the input.
///
/// The input may be the first blocks of a wider buffer, and the features of the next convolution go behind them
/// ([`MapShape::within`]), so that the concatenations of a DenseNet are never copied. What the convolution reads is
/// computed again in backward, not kept: the memory of a dense block then grows with its features, not with their
/// square (Pleiss et al., 2017).
#[derive(Clone, Copy, Debug)]
pub struct PreActivation {
    /// The convolution, without bias.
    pub conv: ConvSpec,
    /// Added to the variance.
    pub epsilon: f32,
}

const RELU: Activation = Activation::of(Nonlinearity::Relu);

impl PreActivation {
    /// Forward with the statistics of this batch, from the totals of the input. Writes the output with a zero
    /// halo, and its sums where they are wanted. The batch's mean and biased variance are in what is returned,
    /// which backward needs.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn forward_training(
        &self,
        context: &Context,
        input: (&[f32], MapShape),
        input_totals: &Totals,
        parameters: BlockParameters,
        output: (&mut [f32], MapShape),
        output_sums: Option<&mut Sums>,
    ) -> Normalisation {
        let BlockParameters { weights, gamma, beta } = parameters;
        let normalisation = Normalisation::of_batch(input_totals, &input.1, gamma, beta, self.epsilon);
        self.forward(context, input, &normalisation, weights, output, output_sums);
        normalisation
    }

    /// Forward with given statistics, as in evaluation.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn forward(
        &self,
        context: &Context,
        input: (&[f32], MapShape),
        normalisation: &Normalisation,
        weights: &[f32],
        (buffer, shape): (&mut [f32], MapShape),
        sums: Option<&mut Sums>,
    ) {
        let (activated, activated_shape) = self.activated(context, input, normalisation);
        let packed = PackedWeights::new(&context.arena, self.conv, false, weights, None);
        let output = ConvOutput { buffer, shape, bias: None, clamp: None, sums };
        convolve(context, ConvInput::Map(&activated, activated_shape), &packed, output);
    }

    /// Backward: the gradients of the parameters and of the input.
    ///
    /// # Panics
    /// If a shape does not fit the block, a slice its shape, or the input's gradient has no map.
    pub fn backward(
        &self,
        context: &Context,
        input: (&[f32], MapShape),
        weights: &[f32],
        normalisation: &Normalisation,
        grad_output: (&[f32], MapShape),
        gradients: BlockGradients,
    ) {
        let (activated, activated_shape) = self.activated(context, input, normalisation);
        let transposed = TransposedWeights::new(&context.arena, self.conv, weights);
        let inner_shape = input.1.with_halo(0);
        let mut inner = context.arena.take(inner_shape.len());
        let target = (&transposed, GradientMap::new(&mut inner, inner_shape));
        let given = ConvInput::Map(&activated, activated_shape);
        convolve_backward(context, self.conv, given, grad_output, gradients.weights, Some(target));
        drop(activated);
        let gradient = NormGradient {
            input: input.0,
            shape: input.1,
            normalisation,
            activation: RELU,
            grad_output: &inner,
            grad_shape: inner_shape,
        };
        let map = gradients.input.expect("a layer inside a network passes a gradient on");
        let (gamma, beta) = normalise_backward(context, &gradient, map);
        gradients.gamma.copy_from_slice(&gamma);
        gradients.beta.copy_from_slice(&beta);
    }

    fn activated(
        &self,
        context: &Context,
        input: (&[f32], MapShape),
        normalisation: &Normalisation,
    ) -> (ArenaBuffer, MapShape) {
        let shape = input.1.with_halo(self.conv.padding);
        let mut buffer = context.arena.take(shape.len());
        normalise(context, normalisation, RELU, input, (&mut buffer, shape));
        (buffer, shape)
    }
}
