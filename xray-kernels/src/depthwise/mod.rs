//! Depthwise convolutions: a kernel per channel, so that each lane of a block minds its own business.
#![expect(unsafe_code, reason = "threads write disjoint planes of one buffer")]

mod backward;
mod kernel;

pub use backward::depthwise_backward;

use crate::context::Context;
use crate::convolution::{ConvSpec, Tap, forward_taps};
use crate::halo::clear_halo;
use crate::lanes::LANES;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::for_each_plane;
use kernel::{PixelRow, WeightedTap, row_form};

/// A depthwise convolution, as PyTorch's `Conv2d` with as many groups as channels: weights
/// `[channels][kernel][kernel]`, zero padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseSpec {
    /// Channels of input and output.
    pub channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Pixels between two outputs.
    pub stride: usize,
    /// Rings of zeros around the input.
    pub padding: usize,
}

impl DepthwiseSpec {
    /// Weights.
    pub fn weight_len(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// The convolution of a single channel.
    fn single(&self) -> ConvSpec {
        let Self { kernel, stride, padding, .. } = *self;
        ConvSpec { in_channels: 1, out_channels: 1, kernel, stride, padding }
    }

    /// Rows of output for rows of input, or columns for columns.
    ///
    /// # Panics
    /// If the kernel does not fit into the padded input.
    pub fn output_size(&self, size: usize) -> usize {
        self.single().output_size(size)
    }

    fn check(&self, input: &MapShape, output: &MapShape) {
        let [height, width] = [input.height, input.width].map(|size| self.output_size(size));
        assert_eq!(output.size(), [input.images, self.channels, height, width], "the output of {self:?}");
        assert_eq!(input.channels, self.channels, "the input's channels and those of {self:?}");
    }

    /// `[block][tap][16]`, zero in surplus lanes.
    fn pack(&self, weights: &[f32]) -> Vec<f32> {
        assert_eq!(weights.len(), self.weight_len(), "weights do not have the length of {self:?}");
        let taps = self.kernel * self.kernel;
        let mut packed = vec![0.0; self.channels.div_ceil(LANES) * taps * LANES];
        for (channel, weights) in weights.chunks(taps).enumerate() {
            for (tap, weight) in weights.iter().enumerate() {
                packed[(channel / LANES * taps + tap) * LANES + channel % LANES] = *weight;
            }
        }
        packed
    }

    fn weighted(&self, taps: impl IntoIterator<Item = Tap>) -> Vec<WeightedTap> {
        let weighted = |tap: Tap| WeightedTap {
            offset: tap.offset,
            weight: (tap.kernel.0 * self.kernel + tap.kernel.1) * LANES,
        };
        taps.into_iter().map(weighted).collect()
    }
}

/// Convolves each channel with its own kernel, writing a zero halo. The input's halo is at least as wide as the
/// padding.
///
/// # Panics
/// If a shape does not fit the convolution, or a buffer its shape.
pub fn depthwise(
    context: &Context,
    spec: &DepthwiseSpec,
    (input, shape): (&[f32], MapShape),
    weights: &[f32],
    (output, output_shape): (&mut [f32], MapShape),
) {
    shape.check(input, "the input");
    output_shape.check(output, "the output");
    spec.check(&shape, &output_shape);
    let packed = spec.pack(weights);
    let taps = spec.weighted(forward_taps(&spec.single(), shape.halo, shape.row(), LANES));
    let block_weights = spec.kernel * spec.kernel * LANES;
    let (form, output) = (row_form(context.isa), Shared::new(output));
    for_each_plane("depthwise convolution", &output_shape, |image, block| {
        // SAFETY: lengths were checked against shapes; each plane is written by one call.
        unsafe {
            clear_halo(output, &output_shape, image, block..block + 1);
            for y in 0..output_shape.height {
                form(&PixelRow {
                    input: input[shape.corner(image, block) + y * spec.stride * shape.row()..].as_ptr(),
                    input_step: spec.stride * LANES,
                    taps: taps.as_ptr(),
                    tap_count: taps.len(),
                    weights: packed[block * block_weights..].as_ptr(),
                    output: output.at(output_shape.offset(image, block, y, 0)),
                    output_step: LANES,
                    columns: output_shape.width,
                    accumulate: false,
                });
            }
        }
    });
}
