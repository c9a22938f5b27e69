//! What stands before the activation: one pixel, or the largest of a 2 x 2 window. Backward computes it again, with the
//! same instructions and so the same choice, instead of storing it.

use crate::curve::Curve;
use crate::map::{Element, Sizes, load};
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

/// What the activation is given, and where in the input it came from.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct PreActivation<N: Size> {
    pub(crate) value: Vector<f32, N>,
    /// The input's values, before scale and shift.
    pub(crate) input: Vector<f32, N>,
    /// Which pixel of the window each is, row by row.
    pub(crate) place: Vector<u32, N>,
}

/// For an element of the output. Of equal values in a window the first counts, row by row, and NaN before any.
#[cube]
pub(crate) fn pre_activation<N: Size>(
    input: &[Vector<f32, N>],
    skip: &[Vector<f32, N>],
    from: &Sizes,
    skip_sizes: &Sizes,
    element: &Element,
    scale: Vector<f32, N>,
    shift: Vector<f32, N>,
    #[comptime] form: Form,
) -> PreActivation<N> {
    let mut corner = element.pixel;
    if comptime!(form.pool) {
        corner = (element.image * from.height + 2 * element.y) * from.width + 2 * element.x;
    }
    let mut given = load(input, from, corner, element.channel);
    let mut value = given * scale + shift;
    let mut place = Vector::<u32, N>::new(0u32);
    if comptime!(form.pool) {
        #[unroll]
        for q in 1..4usize {
            let pixel = corner + comptime!(q / 2) * from.width + comptime!(q % 2);
            let next = load(input, from, pixel, element.channel);
            let scaled = next * scale + shift;
            #[unroll]
            for lane in 0..scaled.vector_size() {
                let (one, best) = (scaled.extract(lane), value.extract(lane));
                if one > best || one.is_nan() && !best.is_nan() {
                    given.insert(lane, next.extract(lane));
                    value.insert(lane, one);
                    place.insert(lane, comptime!(q as u32).runtime());
                }
            }
        }
    }
    if comptime!(form.skip) {
        value += load(skip, skip_sizes, element.pixel, element.channel);
    }
    PreActivation::<N> { value, input: given, place }
}
