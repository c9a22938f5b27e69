//! Forward with the batch's own statistics, and backward.

use super::ConvBlock;
use crate::arena::ArenaBuffer;
use crate::batch_norm::{NormBackward, NormInput, Normalisation, Propagated, Stored, Sums, normalise};
use crate::context::Context;
use crate::convolution::{Backward, Bands, ConvOutput, PackedWeights, TransposedWeights, convolve};
use crate::planes::ConvInput;
use crate::shape::{GradientMap, MapShape};

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
    /// None where it is computed again.
    pub(super) conv_output: Option<ArenaBuffer>,
    pub(super) conv_shape: MapShape,
    /// The batch's mean and biased variance, for the caller's running statistics.
    pub normalisation: Normalisation,
}

impl SavedBlock {
    /// What the convolution gave, before batch norm.
    ///
    /// # Panics
    /// If it is computed again in backward.
    pub fn conv_output(&self) -> (&[f32], MapShape) {
        (self.conv_output.as_ref().expect("a block that keeps its convolution's output"), self.conv_shape)
    }
}

/// Where gradients go; those of what a block learns in the layouts of [`BlockParameters`].
#[derive(Debug)]
pub struct BlockGradients<'a> {
    /// Overwritten.
    pub weights: &'a mut [f32],
    /// Overwritten.
    pub gamma: &'a mut [f32],
    /// Overwritten.
    pub beta: &'a mut [f32],
    /// The input's, where it is wanted: a first layer's is not.
    pub input: Option<GradientMap<'a>>,
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
        if self.is_recomputed(&input) {
            self.check(&input, true);
            let shape = self.conv_shape(&input);
            let BlockParameters { weights, gamma, beta } = parameters;
            let weights = PackedWeights::new(&context.arena, self.conv, true, weights, None);
            let bands = Bands::new(context, input, &weights);
            let normalisation =
                Normalisation::of_batch(&bands.sums().totals(), &shape, gamma, beta, self.epsilon);
            bands.activate(normalisation.lanes(), self.activation, output);
            return SavedBlock { conv_output: None, conv_shape: shape, normalisation };
        }
        let saved = self.forward_unwritten(context, input, parameters);
        normalise(context, &saved.normalisation, self.activation, saved.conv_output(), output);
        saved
    }

    /// The same, but that the output is not written: its reader normalises the convolution's output.
    ///
    /// # Panics
    /// If a shape does not fit the block, a slice its shape, or the convolution is computed again in backward.
    pub fn forward_unwritten(
        &self,
        context: &Context,
        input: ConvInput,
        parameters: BlockParameters,
    ) -> SavedBlock {
        assert!(!self.is_recomputed(&input), "a block that keeps its convolution's output");
        let shape = self.conv_shape(&input);
        let planar = matches!(input, ConvInput::Planar(..));
        self.check(&input, planar);
        let BlockParameters { weights, gamma, beta } = parameters;
        let weights = PackedWeights::new(&context.arena, self.conv, planar, weights, None);
        let mut conv_output = context.arena.take(shape.len());
        let mut sums = Sums::new(&context.arena, &shape);
        let to =
            ConvOutput { buffer: &mut conv_output, shape, bias: None, clamp: None, sums: Some(&mut sums) };
        convolve(context, input, &weights, to);
        let normalisation = Normalisation::of_batch(&sums.totals(), &shape, gamma, beta, self.epsilon);
        SavedBlock { conv_output: Some(conv_output), conv_shape: shape, normalisation }
    }

    /// Whether the convolution is computed again rather than kept: a function of the block alone.
    fn is_recomputed(&self, input: &ConvInput) -> bool {
        const FEW_PRODUCTS: usize = 16;
        let products = self.conv.in_channels * self.conv.kernel * self.conv.kernel;
        matches!(input, ConvInput::Planar(..)) && products <= FEW_PRODUCTS
    }

    /// Backward, with the input and the parameters that forward had: the gradients of the parameters, and that of the
    /// input where it is wanted.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn backward(
        &self,
        context: &Context,
        input: ConvInput,
        parameters: BlockParameters,
        saved: &SavedBlock,
        grad_output: (&[f32], MapShape),
        gradients: BlockGradients,
    ) {
        let planar = matches!(input, ConvInput::Planar(..));
        self.check(&input, planar);
        assert_eq!(self.conv_shape(&input), saved.conv_shape, "saved for another input");
        let backward = BlockBackward { block: self, context, input, parameters };
        if let Some(conv_output) = &saved.conv_output {
            let stored = Stored::new(conv_output, saved.conv_shape);
            backward.run(&stored, &saved.normalisation, grad_output, gradients);
        } else {
            let weights = PackedWeights::new(&context.arena, self.conv, planar, parameters.weights, None);
            let bands = Bands::new(context, input, &weights);
            backward.run(&bands, &saved.normalisation, grad_output, gradients);
        }
    }
}

struct BlockBackward<'a> {
    block: &'a ConvBlock,
    context: &'a Context,
    input: ConvInput<'a>,
    parameters: BlockParameters<'a>,
}

impl BlockBackward<'_> {
    fn run(
        &self,
        conv_output: &impl NormInput,
        normalisation: &Normalisation,
        grad_output: (&[f32], MapShape),
        gradients: BlockGradients,
    ) {
        let Self { block, context, input, parameters } = *self;
        let backward =
            NormBackward::new(context.isa, conv_output, normalisation, block.activation, grad_output);
        let reduced = backward.reduce(&context.arena);
        let transposed = gradients
            .input
            .as_ref()
            .map(|_| TransposedWeights::new(&context.arena, block.conv, parameters.weights));
        let target = transposed.as_ref().zip(gradients.input);
        let output = Propagated { backward: &backward, reduced: &reduced };
        Backward { context, spec: block.conv, input }.run(&output, gradients.weights, target);
        gradients.gamma.copy_from_slice(&reduced.grad_gamma);
        gradients.beta.copy_from_slice(&reduced.grad_beta);
    }
}
