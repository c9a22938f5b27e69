//! The backward pass of a convolution that stands alone.

use super::backward::{Backward, MapGradient};
use super::pack::TransposedWeights;
use super::spec::ConvSpec;
use crate::context::Context;
use crate::lanes::LANES;
use crate::planes::ConvInput;
use crate::shape::{GradientMap, MapShape};

/// The gradients of a convolution, given that of its output (of any halo, which is not read).
///
/// `grad_weights` is overwritten, in PyTorch's layout; the input gradient is written where it is wanted.
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
    Backward { context, spec, input }.run(&Given { data: grad_output, shape }, grad_weights, grad_input);
}

struct Given<'a> {
    data: &'a [f32],
    shape: MapShape,
}

impl MapGradient for Given<'_> {
    fn write(&self, image: usize, shape: &MapShape, to: &mut [f32]) {
        if shape.halo > 0 {
            to.fill(0.0);
        }
        for block in 0..shape.blocks() {
            for y in 0..shape.height {
                let (from, start) = (self.shape.offset(image, block, y, 0), shape.offset(0, block, y, 0));
                let length = shape.width * LANES;
                to[start..start + length].copy_from_slice(&self.data[from..from + length]);
            }
        }
    }
}
