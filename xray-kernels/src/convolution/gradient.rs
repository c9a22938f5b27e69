//! The backward pass of a convolution that stands alone.
#![expect(unsafe_code, reason = "rows of a map that threads share")]

use super::backward::{Backward, MapGradient, MapRows};
use super::pack::TransposedWeights;
use super::spec::ConvSpec;
use crate::context::Context;
use crate::lanes::LANES;
use crate::planes::ConvInput;
use crate::shape::{GradientMap, MapShape};
use std::ops::Range;

/// The gradients of a convolution, given that of its output (of any halo, which is not read).
///
/// Writes the weights' gradient in PyTorch's layout, and the input gradient where it is wanted.
///
/// # Panics
/// If a shape does not fit the convolution, or a buffer its shape.
pub fn convolve_backward(
    context: &Context,
    spec: ConvSpec,
    input: ConvInput,
    (grad_output, shape): (&[f32], MapShape),
    grad_weights: &mut [f32],
    grad_input: Option<(&TransposedWeights, GradientMap)>,
) {
    let [images, _, height, width] = input.size();
    let expected = [images, spec.out_channels, spec.output_size(height), spec.output_size(width)];
    assert_eq!(
        [shape.images, shape.channels, shape.height, shape.width],
        expected,
        "the gradient of {spec:?}"
    );
    shape.check(grad_output, "the output gradient");
    Backward { context, spec, input }.run(
        &GivenGradient { data: grad_output, shape },
        grad_weights,
        grad_input,
    );
}

/// A gradient that lies in memory.
pub(crate) struct GivenGradient<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) shape: MapShape,
}

impl MapGradient for GivenGradient<'_> {
    fn tiles(&self) -> usize {
        self.shape.blocks()
    }

    fn step(&self) -> usize {
        1
    }

    unsafe fn write(&self, [image, block]: [usize; 2], rows: Range<usize>, place: MapRows) {
        let length = self.shape.width * LANES;
        for (number, y) in rows.enumerate() {
            let from = &self.data[self.shape.offset(image, block, y, 0)..][..length];
            // SAFETY: a row of the place, which is the caller's.
            unsafe { from.as_ptr().copy_to_nonoverlapping(place.at(block, number), length) };
        }
    }
}
