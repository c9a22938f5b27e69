//! Maps whose channels are scaled and shifted: batch norm with ReLU before a convolution, as in DenseNet, and gates.
#![expect(unsafe_code, reason = "vector instructions and pointers; threads write disjoint planes")]

use super::lanes::{ByteKernel, Integers};
use super::map::ByteMap;
use super::quantisation::Quantisation;
use crate::context::Context;
use crate::lanes::{LANES, Lanes};
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::for_each_plane;

/// A row of a block.
struct Row {
    input: *const u8,
    /// Bytes to the row below, for windows.
    below: usize,
    output: *mut u8,
    /// `[16]` each.
    factor: *const f32,
    summand: *const f32,
    /// The least value, before the mean of a window is taken and after.
    low: f32,
    pixels: usize,
}

/// With `POOL` the mean of 2 x 2 pixels.
struct Affine<const POOL: bool>;

impl<const POOL: bool> ByteKernel for Affine<POOL> {
    type Arguments = Row;

    #[inline(always)]
    unsafe fn run<I: Integers>(row: &Row) {
        // SAFETY: the caller's pointers are good for the pixels.
        unsafe {
            let factor = I::Floats::load(row.factor);
            let summand = I::Floats::load(row.summand);
            let (low, high) = (I::Floats::splat(row.low), I::Floats::splat(255.0));
            let value = |from| I::widen(from).floats().mul(factor).add(summand).max(low);
            for pixel in 0..row.pixels {
                let found = if POOL {
                    let from = row.input.add(2 * pixel * LANES);
                    let right = from.add(LANES);
                    let above = value(from).add(value(right));
                    let below = value(from.add(row.below)).add(value(right.add(row.below)));
                    above.add(below).mul(I::Floats::splat(0.25))
                } else {
                    value(row.input.add(pixel * LANES))
                };
                I::rounded(found.min(high)).store(row.output.add(pixel * LANES));
            }
        }
    }
}

/// `relu(scale * x + shift)` of each channel, perhaps with the mean of 2 x 2 pixels behind it; made once per model.
#[derive(Debug)]
pub struct ByteAffine {
    factor: Vec<f32>,
    summand: Vec<f32>,
    output: Quantisation,
    /// Whether the mean of 2 x 2 pixels is taken.
    pool: bool,
}

impl ByteAffine {
    /// Of lanes whose bytes stand for what `inputs` says, as maps beside each other differ in that.
    ///
    /// # Panics
    /// If the lists differ in length.
    pub fn new(
        [scale, shift]: [&[f32]; 2],
        inputs: &[Quantisation],
        output: Quantisation,
        pool: bool,
    ) -> Self {
        assert!(scale.len() == shift.len() && scale.len() == inputs.len(), "not a factor for each lane");
        let lanes = scale.len().next_multiple_of(LANES);
        let zero = f32::from(output.zero_point);
        let (mut factor, mut summand) = (vec![0.0; lanes], vec![zero; lanes]);
        for (lane, input) in inputs.iter().enumerate() {
            factor[lane] = scale[lane] * input.scale / output.scale;
            summand[lane] =
                shift[lane] / output.scale + zero - f32::from(input.zero_point) * factor[lane];
        }
        Self { factor, summand, output, pool }
    }

    /// Forward, of the first blocks of a map that may hold more, with a halo of the next layer's choice.
    ///
    /// # Panics
    /// If the map has fewer blocks.
    pub fn forward(&self, context: &Context, input: &ByteMap, halo: usize) -> ByteMap {
        let from = input.shape();
        let (divisor, channels) = (if self.pool { 2 } else { 1 }, self.factor.len());
        assert!(channels <= from.blocks() * LANES, "a map of fewer blocks");
        let shape = MapShape::new(from.images, channels, from.height / divisor, from.width / divisor, halo);
        let mut output = ByteMap::new(context, shape, self.output);
        let low = f32::from(self.output.zero_point);
        let lanes = |_: usize, block: usize| {
            let lanes = block * LANES..(block + 1) * LANES;
            [&self.factor[lanes.clone()], &self.summand[lanes]]
        };
        run(context, input, &mut output, self.pool, low, lanes);
        output
    }
}

/// Each channel of each image times its factor, `[images][channels]`.
///
/// # Panics
/// If there is not a factor for each.
pub fn byte_gate(
    context: &Context,
    input: &ByteMap,
    factors: &[f32],
    output: Quantisation,
    halo: usize,
) -> ByteMap {
    let (shape, from) = (input.shape().with_halo(halo), input.quantisation());
    assert_eq!(factors.len(), shape.images * shape.channels, "not a factor for each channel of each image");
    let lanes = shape.blocks() * LANES;
    let zero = f32::from(output.zero_point);
    let (mut factor, mut summand) = (vec![0.0; shape.images * lanes], vec![zero; shape.images * lanes]);
    for (at, gate) in factors.iter().enumerate() {
        let lane = at / shape.channels * lanes + at % shape.channels;
        factor[lane] = gate * (from.scale / output.scale);
        summand[lane] = zero - f32::from(from.zero_point) * factor[lane];
    }
    let mut gated = ByteMap::new(context, shape, output);
    let of_block = |image: usize, block: usize| {
        let start = image * lanes + block * LANES;
        [&factor[start..start + LANES], &summand[start..start + LANES]]
    };
    run(context, input, &mut gated, false, 0.0, of_block);
    gated
}

/// Factors and summands come for each image and block.
fn run<'a>(
    context: &Context,
    input: &ByteMap,
    output: &mut ByteMap,
    pool: bool,
    low: f32,
    lanes: impl Fn(usize, usize) -> [&'a [f32]; 2] + Sync,
) {
    let (from, shape) = (input.shape(), output.shape());
    let form = if pool { context.isa.byte_form::<Affine<true>>() } else { context.isa.byte_form::<Affine<false>>() };
    let step = if pool { 2 } else { 1 };
    let to = Shared::new(output.buffer.bytes_mut());
    for_each_plane("scaled bytes", &shape, |image, block| {
        let [factor, summand] = lanes(image, block);
        for y in 0..shape.height {
            // SAFETY: each plane is written by one call.
            let row = unsafe { to.part(shape.offset(image, block, y, 0), shape.width * LANES) };
            let row = Row {
                input: input.bytes()[from.offset(image, block, y * step, 0)..].as_ptr(),
                below: from.row(),
                output: row.as_mut_ptr(),
                factor: factor.as_ptr(),
                summand: summand.as_ptr(),
                low,
                pixels: shape.width,
            };
            // SAFETY: the rows lie in both maps.
            unsafe { form(&row) };
        }
    });
}
