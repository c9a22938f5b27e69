//! What stands before the activation: one pixel, or the largest of a 2 x 2 window. Backward computes it again, with the
//! same instructions and so the same choice, instead of storing it.

use crate::curve::Curve;
use crate::map::Sizes;
use cubecl::prelude::*;
use xray_kernels::Activation;

/// How the passes are compiled.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) function: Curve,
    pub(crate) pool: bool,
    pub(crate) skip: bool,
}

impl Form {
    pub(crate) fn new(activation: Activation, skip: bool) -> Self {
        Self { function: activation.function.into(), pool: activation.pool, skip }
    }
}

/// An element of a map.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Element {
    /// Counted over all images.
    pub(crate) pixel: usize,
    pub(crate) image: usize,
    pub(crate) y: usize,
    pub(crate) x: usize,
    pub(crate) channel: usize,
}

/// The `i`-th element of a map, channels first.
#[cube]
pub(crate) fn element(i: usize, sizes: &Sizes) -> Element {
    let pixel = i / sizes.channels;
    element_of(pixel, i % sizes.channels, sizes)
}

#[cube]
pub(crate) fn element_of(pixel: usize, channel: usize, sizes: &Sizes) -> Element {
    let row = pixel / sizes.width;
    Element { pixel, image: row / sizes.height, y: row % sizes.height, x: pixel % sizes.width, channel }
}

/// What the activation is given, and where in the input it came from.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct PreActivation {
    pub(crate) value: f32,
    /// The input's value, before scale and shift.
    pub(crate) input: f32,
    /// The input's pixel.
    pub(crate) pixel: usize,
}

/// For an element of the output. Of equal values in a window the first counts, row by row, and NaN before any.
#[cube]
pub(crate) fn pre_activation(
    input: &[f32],
    skip: &[f32],
    from: &Sizes,
    skip_sizes: &Sizes,
    element: &Element,
    scale: f32,
    shift: f32,
    #[comptime] form: Form,
) -> PreActivation {
    let mut pixel = element.pixel;
    if comptime!(form.pool) {
        pixel = (element.image * from.height + 2 * element.y) * from.width + 2 * element.x;
    }
    let corner = pixel;
    let mut given = input[pixel * from.stride + from.first + element.channel];
    let mut value = given * scale + shift;
    if comptime!(form.pool) {
        #[unroll]
        for q in 1..4usize {
            let other = corner + comptime!(q / 2) * from.width + comptime!(q % 2);
            let next = input[other * from.stride + from.first + element.channel];
            let scaled = next * scale + shift;
            if scaled > value || scaled.is_nan() && !value.is_nan() {
                pixel = other;
                given = next;
                value = scaled;
            }
        }
    }
    if comptime!(form.skip) {
        value += skip[element.pixel * skip_sizes.stride + skip_sizes.first + element.channel];
    }
    PreActivation { value, input: given, pixel }
}
