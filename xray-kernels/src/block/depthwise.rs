//! A depthwise convolution, batch norm and activation.

use super::{BlockGradients, BlockParameters};
use crate::arena::ArenaBuffer;
use crate::batch_norm::{Activation, NormBackward, Normalisation, Propagated, Stored, Sums, normalise};
use crate::context::Context;
use crate::depthwise::{DepthwiseInput, DepthwiseSpec, Rows, backward};
use crate::nonlinearity::Nonlinearity;
use crate::shape::MapShape;

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
        input: DepthwiseInput,
        parameters: BlockParameters,
        output: (&mut [f32], MapShape),
    ) -> SavedDepthwise {
        let BlockParameters { weights, gamma, beta } = parameters;
        let shape = self.output_shape(&input.shape(), 0);
        let mut conv_output = context.arena.take(shape.len());
        let mut sums = Sums::new(&context.arena, &shape);
        let (spec, weights) = (&self.conv, &self.conv.pack(weights)[..]);
        Rows { context, spec, weights, start: None, function: Nonlinearity::Identity }.run(
            input,
            (&mut conv_output, shape),
            Some(&mut sums),
        );
        let normalisation = Normalisation::of_batch(&sums.totals(), &shape, gamma, beta, self.epsilon);
        normalise(context, &normalisation, self.activation(), (&conv_output, shape), output);
        SavedDepthwise { conv_output, normalisation }
    }

    /// Backward: the gradients of the parameters, and that of the input where it is wanted.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn backward(
        &self,
        context: &Context,
        input: DepthwiseInput,
        weights: &[f32],
        saved: &SavedDepthwise,
        grad_output: (&[f32], MapShape),
        gradients: BlockGradients,
    ) {
        let conv_output = Stored::new(&saved.conv_output, self.output_shape(&input.shape(), 0));
        let normalisation = &saved.normalisation;
        let norm =
            NormBackward::new(context.isa, &conv_output, normalisation, self.activation(), grad_output);
        let reduced = norm.reduce(&context.arena);
        let output = Propagated { backward: &norm, reduced: &reduced };
        backward(context, &self.conv, input, weights, &output, gradients.weights, gradients.input);
        gradients.gamma.copy_from_slice(&reduced.grad_gamma);
        gradients.beta.copy_from_slice(&reduced.grad_beta);
    }

    fn activation(&self) -> Activation {
        Activation::of(self.function)
    }
}

/// A block whose batch norm is folded into weights and bias; made once per model.
#[derive(Clone, Debug)]
pub struct FoldedDepthwise {
    block: DepthwiseBlock,
    /// Packed.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl FoldedDepthwise {
    /// Folds: `weights * scale` and `shift` as the bias.
    ///
    /// # Panics
    /// If the weights or the normalisation do not have the block's channels.
    pub fn new(block: DepthwiseBlock, weights: &[f32], normalisation: &Normalisation) -> Self {
        let (scale, _) = normalisation.affine();
        assert_eq!(
            scale.len(),
            block.conv.channels,
            "a normalisation of other channels than {:?}",
            block.conv
        );
        let taps = block.conv.kernel * block.conv.kernel;
        let filters = weights.chunks(taps).zip(scale);
        let scaled: Vec<f32> =
            filters.flat_map(|(filter, scale)| filter.iter().map(move |weight| weight * scale)).collect();
        Self { block, weights: block.conv.pack(&scaled), bias: normalisation.lanes()[1].to_vec() }
    }

    /// The shape of what comes out, with a halo of the next layer's choice.
    pub fn output_shape(&self, input: &MapShape, halo: usize) -> MapShape {
        self.block.output_shape(input, halo)
    }

    /// Forward. Writes the output with a zero halo.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn forward(&self, context: &Context, input: (&[f32], MapShape), output: (&mut [f32], MapShape)) {
        let Self { block: DepthwiseBlock { conv, function, .. }, weights, bias } = self;
        let input = DepthwiseInput::map(input.0, input.1);
        Rows { context, spec: conv, weights, start: Some(bias), function: *function }
            .run(input, output, None);
    }
}
