//! Depthwise convolutions: a kernel per channel, so that each lane of a block minds its own business.
#![expect(unsafe_code, reason = "threads write disjoint planes of one buffer")]

mod backward;
mod input;
mod kernel;

pub(crate) use backward::backward;
pub use backward::depthwise_backward;
pub use input::DepthwiseInput;

use crate::batch_norm::Sums;
use crate::context::Context;
use crate::convolution::{ConvSpec, Tap, forward_taps};
use crate::halo::clear_halo;
use crate::lanes::LANES;
use crate::nonlinearity::Nonlinearity;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::for_each_plane;
use input::Planes;
use kernel::{PixelRow, Shape, WeightedTap, row_form};
use std::ptr;

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

    /// Rows of input, from the first on, that an output row needs.
    fn rows_before(&self, y: usize) -> usize {
        (y * self.stride + self.kernel).saturating_sub(self.padding)
    }

    fn check(&self, input: &MapShape, output: &MapShape) {
        let [height, width] = [input.height, input.width].map(|size| self.output_size(size));
        assert_eq!(output.size(), [input.images, self.channels, height, width], "the output of {self:?}");
        assert_eq!(input.channels, self.channels, "the input's channels and those of {self:?}");
    }

    /// `[block][tap][16]`, zero in surplus lanes.
    pub(crate) fn pack(&self, weights: &[f32]) -> Vec<f32> {
        assert_eq!(weights.len(), self.weight_len(), "weights do not have the length of {self:?}");
        let taps = self.kernel * self.kernel;
        let mut packed = vec![0.0; self.channels.div_ceil(LANES) * taps * LANES];
        let blocks = weights.chunks(LANES * taps).zip(packed.chunks_exact_mut(LANES * taps));
        for (weights, packed) in blocks {
            for (lane, weights) in weights.chunks_exact(taps).enumerate() {
                for (vector, weight) in packed.chunks_exact_mut(LANES).zip(weights) {
                    vector[lane] = *weight;
                }
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

/// Convolves each channel with its own kernel, writing a zero halo, and the sums of what is written where they are
/// wanted. The input's halo is at least as wide as the padding.
///
/// # Panics
/// If a shape does not fit the convolution, or a buffer its shape.
pub fn depthwise(
    context: &Context,
    spec: &DepthwiseSpec,
    input: (&[f32], MapShape),
    weights: &[f32],
    output: (&mut [f32], MapShape),
    sums: Option<&mut Sums>,
) {
    Rows { context, spec, weights: &spec.pack(weights), start: None, function: Nonlinearity::Identity }.run(
        DepthwiseInput::map(input.0, input.1),
        output,
        sums,
    );
}

/// A depthwise convolution with packed weights.
pub(crate) struct Rows<'a> {
    pub(crate) context: &'a Context,
    pub(crate) spec: &'a DepthwiseSpec,
    /// As [`DepthwiseSpec::pack`] gives them.
    pub(crate) weights: &'a [f32],
    /// What is added to each channel, `[blocks * 16]`.
    pub(crate) start: Option<&'a [f32]>,
    /// Of what comes out.
    pub(crate) function: Nonlinearity,
}

impl Rows<'_> {
    pub(crate) fn run(
        &self,
        input: DepthwiseInput,
        (output, output_shape): (&mut [f32], MapShape),
        mut sums: Option<&mut Sums>,
    ) {
        let Self { context, spec, weights, start, function } = *self;
        output_shape.check(output, "the output");
        spec.check(&input.shape(), &output_shape);
        assert!(sums.as_ref().is_none_or(|sums| sums.fits(&output_shape)), "sums for another shape");
        assert!(start.is_none_or(|start| start.len() == output_shape.blocks() * LANES), "a start per lane");
        let planes = Planes::new(context.isa, input, spec.padding);
        let shape = planes.shape;
        let taps = forward_taps(&spec.single(), shape.halo, shape.row(), LANES);
        let kernel_shape = Shape::of(spec.kernel, spec.stride, false);
        let first = if kernel_shape == Shape::Taps { 0 } else { taps[0].offset };
        let taps = spec.weighted(taps);
        let block_weights = spec.kernel * spec.kernel * LANES;
        let (form, output) = (row_form(context.isa, kernel_shape, function), Shared::new(output));
        let sums = sums.as_mut().map(|sums| Shared::new(sums.values()));
        for_each_plane("depthwise convolution", &output_shape, |image, block| {
            // SAFETY: lengths were checked against shapes; each plane is written by one call, and so are its sums.
            unsafe {
                clear_halo(output, &output_shape, image, block..block + 1);
                let mut plane = planes.plane(&context.arena, [image, block]);
                let mut total =
                    sums.map(|sums| sums.part(Sums::offset(&output_shape, image, block), 2 * LANES));
                if let Some(total) = &mut total {
                    total.fill(0.0);
                }
                for y in 0..output_shape.height {
                    let mut of_row = [0.0_f32; 2 * LANES];
                    let input = plane.up_to(spec.rows_before(y));
                    form(&PixelRow {
                        input: input[y * spec.stride * shape.row() + first..].as_ptr(),
                        input_step: spec.stride * LANES,
                        kernel_row: shape.row() as isize,
                        taps: taps.as_ptr(),
                        tap_count: taps.len(),
                        weights: weights[block * block_weights..].as_ptr(),
                        output: output.at(output_shape.offset(image, block, y, 0)),
                        output_step: LANES,
                        columns: output_shape.width,
                        accumulate: false,
                        start: start.map_or(ptr::null(), |start| start[block * LANES..].as_ptr()),
                        sums: if total.is_some() { of_row.as_mut_ptr() } else { ptr::null_mut() },
                    });
                    // In single precision along a row and in double across rows: see `Sums`.
                    for (total, sum) in total.iter_mut().flat_map(|total| total.iter_mut()).zip(of_row) {
                        *total += f64::from(sum);
                    }
                }
            }
        });
    }
}
