//! Forward with fixed statistics: the normalisation is part of the weights, and activation and pooling follow while
//! the convolution's rows are in the cache.

use super::ConvBlock;
use crate::batch_norm::Normalisation;
use crate::context::Context;
use crate::convolution::{Bands, ConvOutput, PackedWeights, convolve, convolve_pooled};
use crate::nonlinearity::Nonlinearity;
use crate::planes::ConvInput;
use crate::shape::MapShape;

/// A block whose batch norm is folded into weights and bias; made once per model.
#[derive(Debug)]
pub struct FoldedBlock {
    pub(super) block: ConvBlock,
    planar: bool,
    pub(super) weights: PackedWeights,
    pub(super) bias: Vec<f32>,
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
        Self { block, planar, weights, bias: normalisation.lanes()[1].to_vec() }
    }

    /// The shape of what comes out, with a halo of the next layer's choice.
    pub fn output_shape(&self, input: &ConvInput, halo: usize) -> MapShape {
        self.block.output_shape(input, halo)
    }

    /// Forward. Writes the output with a zero halo.
    ///
    /// # Panics
    /// If a shape does not fit the block, or a slice its shape.
    pub fn forward(&self, context: &Context, input: ConvInput, (buffer, shape): (&mut [f32], MapShape)) {
        self.block.check(&input, self.planar);
        let activation = self.block.activation;
        // What the register tiles themselves can do.
        let clamp = match activation.function {
            Nonlinearity::Identity => Some(None),
            Nonlinearity::Relu => Some(Some(f32::INFINITY)),
            Nonlinearity::Relu6 => Some(Some(6.0)),
            Nonlinearity::Silu => None,
        };
        if let Some(clamp) = clamp {
            let output =
                ConvOutput { buffer: &mut *buffer, shape, bias: Some(&self.bias), clamp, sums: None };
            if !activation.pool {
                return convolve(context, input, &self.weights, output);
            }
            if convolve_pooled(context, input, &self.weights, output) {
                return;
            }
        }
        let ones = vec![1.0; self.bias.len()];
        Bands::new(context, input, &self.weights).activate([&ones, &self.bias], activation, (buffer, shape));
    }
}
