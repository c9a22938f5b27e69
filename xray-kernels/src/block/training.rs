//! Forward with the batch's own statistics, and backward.

use super::ConvBlock;
use crate::arena::ArenaBuffer;
use crate::batch_norm::{NormGradient, Normalisation, Propagated, Sums, normalise};
use crate::context::Context;
use crate::convolution::{Backward, ConvOutput, GradientTarget, PackedWeights, TransposedWeights, convolve};
use crate::planes::ConvInput;
use crate::shape::MapShape;

/// What a block learns.
#[derive(Clone, Copy, Debug)]
pub struct BlockParameters<'a> {
    /// `[out][in][kernel][kernel]`.
    pub weights: &'a [f32],
    /// `[out]`.
    pub gamma: &'a [f32],
    /// `[out]`.
    pub beta: &'a [f32],
}

/// What backward needs of forward, besides the input and the weights, which the caller has.
#[derive(Debug)]
pub struct SavedBlock {
    conv_output: ArenaBuffer,
    conv_shape: MapShape,
    /// The batch's mean and biased variance, for the caller's running statistics.
    pub normalisation: Normalisation,
}

/// The gradients of what a block learns, in the layouts of [`BlockParameters`].
#[derive(Debug)]
pub struct BlockGradients<'a> {
    /// Overwritten.
    pub weights: &'a mut [f32],
    /// Overwritten.
    pub gamma: &'a mut [f32],
    /// Overwritten.
    pub beta: &'a mut [f32],
}

impl ConvBlock {
    /// Forward with the statistics of this batch. Writes the output with a zero halo.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn forward_training(
        &self,
        context: &Context,
        input: ConvInput,
        parameters: BlockParameters,
        output: (&mut [f32], MapShape),
    ) -> SavedBlock {
        let shape = self.conv_shape(&input);
        let planar = matches!(input, ConvInput::Planar(..));
        let weights = PackedWeights::new(&context.arena, self.conv, planar, parameters.weights, None);
        let mut conv_output = context.arena.take(shape.len());
        let mut sums = Sums::new(&shape);
        let to =
            ConvOutput { buffer: &mut conv_output, shape, bias: None, relu: false, sums: Some(&mut sums) };
        convolve(context, input, &weights, to);
        let BlockParameters { gamma, beta, .. } = parameters;
        let normalisation = Normalisation::of_batch(&sums, &shape, gamma, beta, self.epsilon);
        normalise(context, &normalisation, self.activation, (&conv_output, shape), output);
        SavedBlock { conv_output, conv_shape: shape, normalisation }
    }

    /// Backward: the gradients of the parameters, and that of the input where it is wanted (a first layer's is
    /// not): its map, of any halo, which is not written, and whether to add to what it holds.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn backward(
        &self,
        context: &Context,
        input: ConvInput,
        parameters: BlockParameters,
        saved: &SavedBlock,
        (grad_output, grad_shape): (&[f32], MapShape),
        gradients: BlockGradients,
        grad_input: Option<(&mut [f32], MapShape, bool)>,
    ) {
        let gradient = NormGradient {
            input: &saved.conv_output,
            shape: saved.conv_shape,
            normalisation: &saved.normalisation,
            activation: self.activation,
            grad_output,
            grad_shape,
        };
        let reduced = gradient.reduce(context.isa);
        let transposed = grad_input
            .as_ref()
            .map(|_| TransposedWeights::new(&context.arena, self.conv, parameters.weights));
        let target = grad_input.zip(transposed.as_ref()).map(|((buffer, shape, accumulate), weights)| {
            GradientTarget { weights, buffer, shape, accumulate }
        });
        let output = Propagated { isa: context.isa, gradient, reduced: &reduced };
        Backward { context, spec: self.conv, input }.run(&output, gradients.weights, target);
        gradients.gamma.copy_from_slice(&reduced.grad_gamma);
        gradients.beta.copy_from_slice(&reduced.grad_beta);
    }
}
