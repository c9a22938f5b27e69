//! The last convolution of a residual block: the skip connection is added before the activation (He et al., 2016), or
//! there is no activation (Sandler et al., 2018).

use super::{BlockGradients, BlockParameters, ConvBlock, FoldedBlock, SavedBlock};
use crate::batch_norm::{Activation, Normalisation, Sums};
use crate::context::Context;
use crate::convolution::{ConvOutput, PackedWeights, convolve};
use crate::nonlinearity::Nonlinearity;
use crate::planes::ConvInput;
use crate::residual::{add, normalise_add, relu_backward_in_place};
use crate::shape::MapShape;

impl ConvBlock {
    /// Forward with the statistics of this batch: `activation(batch_norm(conv(input)) + skip)`, with a zero halo.
    ///
    /// # Panics
    /// If the block pools or its activation is another than ReLU or none, a shape does not fit the block, or a slice
    /// its shape.
    pub fn forward_training_onto(
        &self,
        context: &Context,
        input: ConvInput,
        skip: (&[f32], MapShape),
        parameters: BlockParameters,
        output: (&mut [f32], MapShape),
    ) -> SavedBlock {
        let shape = self.conv_shape(&input);
        self.check(&input, false);
        let BlockParameters { weights, gamma, beta } = parameters;
        let weights = PackedWeights::new(&context.arena, self.conv, false, weights, None);
        let mut conv_output = context.arena.take(shape.len());
        let mut sums = Sums::new(&context.arena, &shape);
        let to =
            ConvOutput { buffer: &mut conv_output, shape, bias: None, clamp: None, sums: Some(&mut sums) };
        convolve(context, input, &weights, to);
        let normalisation = Normalisation::of_batch(&sums.totals(), &shape, gamma, beta, self.epsilon);
        let relu = self.relu_after_sum();
        normalise_add(context, &normalisation, (&conv_output, shape), skip, relu, output);
        SavedBlock { conv_output: Some(conv_output), conv_shape: shape, normalisation }
    }

    /// Backward, with what forward had and gave. `grad_output` becomes the gradient of the sum, which is the gradient
    /// of the skip connection.
    ///
    /// # Panics
    /// As forward.
    #[expect(clippy::too_many_arguments, reason = "as backward, with the output")]
    pub fn backward_onto(
        &self,
        context: &Context,
        input: ConvInput,
        parameters: BlockParameters,
        saved: &SavedBlock,
        output: (&[f32], MapShape),
        (grad_output, shape): (&mut [f32], MapShape),
        gradients: BlockGradients,
    ) {
        if self.relu_after_sum() {
            relu_backward_in_place(context, output, (grad_output, shape));
        }
        let plain = Self { activation: Activation::of(Nonlinearity::Identity), ..*self };
        plain.backward(context, input, parameters, saved, (grad_output, shape), gradients);
    }

    fn relu_after_sum(&self) -> bool {
        let Activation { function, pool } = self.activation;
        let known = matches!(function, Nonlinearity::Relu | Nonlinearity::Identity);
        assert!(known && !pool, "{:?} behind a skip connection", self.activation);
        function == Nonlinearity::Relu
    }
}

impl FoldedBlock {
    /// `activation(conv(input) + bias + skip)`, with a zero halo.
    ///
    /// # Panics
    /// As [`ConvBlock::forward_training_onto`].
    pub fn forward_onto(
        &self,
        context: &Context,
        input: ConvInput,
        skip: (&[f32], MapShape),
        output: (&mut [f32], MapShape),
    ) {
        let shape = self.block.conv_shape(&input);
        let mut sum = context.arena.take(shape.len());
        let to = ConvOutput { buffer: &mut sum, shape, bias: Some(&self.bias), clamp: None, sums: None };
        convolve(context, input, &self.weights, to);
        add(context, (&sum, shape), skip, self.block.relu_after_sum(), output);
    }
}
