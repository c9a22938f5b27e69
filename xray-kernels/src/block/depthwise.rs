//! A depthwise convolution, batch norm and activation.

use super::{BlockGradients, BlockParameters};
use crate::arena::ArenaBuffer;
use crate::batch_norm::{Activation, NormGradient, Normalisation, Sums, normalise, normalise_backward};
use crate::context::Context;
use crate::depthwise::{DepthwiseSpec, depthwise, depthwise_backward};
use crate::nonlinearity::Nonlinearity;
use crate::shape::{GradientMap, MapShape};

/// `function(batch_norm(depthwise(x)))`; weights `[channels][kernel][kernel]`, gamma and beta `[channels]`.
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseBlock {
    /// The convolution.
    pub conv: DepthwiseSpec,
    /// What follows the normalisation.
    pub function: Nonlinearity,
    /// Added to the variance.
    pub epsilon: f32,
}

/// What backward needs of forward, besides the input and the weights, which the caller has.
#[derive(Debug)]
pub struct SavedDepthwise {
    conv_output: ArenaBuffer,
    /// The batch's mean and biased variance, for the caller's running statistics.
    pub normalisation: Normalisation,
}

impl DepthwiseBlock {
    /// The shape of what comes out, with a halo of the next layer's choice.
    pub fn output_shape(&self, input: &MapShape, halo: usize) -> MapShape {
        let [height, width] = [input.height, input.width].map(|size| self.conv.output_size(size));
        MapShape::new(input.images, self.conv.channels, height, width, halo)
    }

    /// Forward with the statistics of this batch. Writes the output with a zero halo.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn forward_training(
        &self,
        context: &Context,
        input: (&[f32], MapShape),
        parameters: BlockParameters,
        output: (&mut [f32], MapShape),
    ) -> SavedDepthwise {
        let BlockParameters { weights, gamma, beta } = parameters;
        let shape = self.output_shape(&input.1, 0);
        let mut conv_output = context.arena.take(shape.len());
        depthwise(context, &self.conv, input, weights, (&mut conv_output, shape));
        let sums = Sums::of_map((&conv_output, shape));
        let normalisation = Normalisation::of_batch(&sums, &shape, gamma, beta, self.epsilon);
        normalise(context, &normalisation, self.activation(), (&conv_output, shape), output);
        SavedDepthwise { conv_output, normalisation }
    }

    /// Forward with given statistics, as in evaluation.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn forward(
        &self,
        context: &Context,
        input: (&[f32], MapShape),
        weights: &[f32],
        normalisation: &Normalisation,
        output: (&mut [f32], MapShape),
    ) {
        let shape = self.output_shape(&input.1, 0);
        let mut conv_output = context.arena.take(shape.len());
        depthwise(context, &self.conv, input, weights, (&mut conv_output, shape));
        normalise(context, normalisation, self.activation(), (&conv_output, shape), output);
    }

    /// Backward: the gradients of the parameters, and that of the input where it is wanted.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn backward(
        &self,
        context: &Context,
        input: (&[f32], MapShape),
        weights: &[f32],
        saved: &SavedDepthwise,
        (grad_output, grad_shape): (&[f32], MapShape),
        gradients: BlockGradients,
    ) {
        let shape = self.output_shape(&input.1, 0);
        let mut grad_conv = context.arena.take(shape.len());
        let gradient = NormGradient {
            input: &saved.conv_output,
            shape,
            normalisation: &saved.normalisation,
            activation: self.activation(),
            grad_output,
            grad_shape,
        };
        let (gamma, beta) = normalise_backward(context, &gradient, GradientMap::new(&mut grad_conv, shape));
        gradients.gamma.copy_from_slice(&gamma);
        gradients.beta.copy_from_slice(&beta);
        let given = (&grad_conv[..], shape);
        depthwise_backward(context, &self.conv, input, weights, given, gradients.weights, gradients.input);
    }

    fn activation(&self) -> Activation {
        Activation::of(self.function)
    }
}
