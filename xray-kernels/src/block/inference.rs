//! Forward with fixed statistics: the normalisation is part of the weights, and pooling follows while the
//! convolution's rows are in the cache.

use super::ConvBlock;
use crate::batch_norm::Normalisation;
use crate::context::Context;
use crate::convolution::{ConvOutput, PackedWeights, convolve_pooled};
use crate::planes::ConvInput;
use crate::shape::MapShape;

/// A block whose batch norm is folded into weights and bias; made once per model.
#[derive(Debug)]
pub struct FoldedBlock {
    block: ConvBlock,
    weights: PackedWeights,
    bias: Vec<f32>,
}

impl FoldedBlock {
    /// Folds: `weights * scale` and `shift` as the bias. `planar` says which input it will be given.
    ///
    /// # Panics
    /// If the weights or the normalisation do not have the block's channels.
    pub fn new(
        context: &Context,
        block: ConvBlock,
        planar: bool,
        weights: &[f32],
        normalisation: &Normalisation,
    ) -> Self {
        let (scale, _) = normalisation.affine();
        let weights = PackedWeights::new(&context.arena, block.conv, planar, weights, Some(scale));
        Self { block, weights, bias: normalisation.lane_shift().to_vec() }
    }

    /// Forward. Writes the output with a zero halo.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn forward(&self, context: &Context, input: ConvInput, (buffer, shape): (&mut [f32], MapShape)) {
        let relu = self.block.activation.relu;
        let output = ConvOutput { buffer, shape, bias: Some(&self.bias), relu, sums: None };
        convolve_pooled(context, input, &self.weights, output, self.block.activation.pool);
    }
}
