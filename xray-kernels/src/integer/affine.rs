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

/// `relu(scale * x + shift)` of each channel of maps that stand beside each other, perhaps with the mean of 2 x 2 pixels
/// behind it; made once per model.
#[derive(Debug)]
pub struct ByteAffine {
    factor: Vec<f32>,
    summand: Vec<f32>,
    /// Channels of each map, and what its bytes stand for.
    inputs: Vec<(usize, Quantisation)>,
    output: Quantisation,
    /// Whether the mean of 2 x 2 pixels is taken.
    pool: bool,
}

impl ByteAffine {
    /// Of maps of so many channels, whose bytes stand for different things. Each map's channels begin a block of the
    /// output, whose lanes in between hold zeros.
    ///
    /// # Panics
    /// If there is not a scale and a shift for each channel.
    pub fn new(
        [scale, shift]: [&[f32]; 2],
        inputs: &[(usize, Quantisation)],
        output: Quantisation,
        pool: bool,
    ) -> Self {
        let channels: usize = inputs.iter().map(|(channels, _)| channels).sum();
        assert!(scale.len() == channels && shift.len() == channels, "not a factor for each channel");
        let zero = f32::from(output.zero_point);
        let (mut factor, mut summand, mut first) = (Vec::new(), Vec::new(), 0);
        for (channels, input) in inputs {
            for channel in first..first + channels {
                let of_channel = scale[channel] * input.scale / output.scale;
                factor.push(of_channel);
                summand.push(shift[channel] / output.scale + zero - f32::from(input.zero_point) * of_channel);
            }
            first += channels;
            let lanes = factor.len().next_multiple_of(LANES);
            factor.resize(lanes, 0.0);
            summand.resize(lanes, zero);
        }
        Self { factor, summand, inputs: inputs.to_vec(), output, pool }
    }

    /// Forward, with a halo of the next layer's choice.
    ///
    /// # Panics
    /// If these are not the maps that it was made for, or they differ in size.
    pub fn forward(&self, context: &Context, inputs: &[&ByteMap], halo: usize) -> ByteMap {
        let given = inputs.iter().map(|map| (map.shape().channels, map.quantisation()));
        assert!(given.eq(self.inputs.iter().copied()), "other maps than it was made for");
        let sizes = |map: &&ByteMap| (map.shape().images, map.shape().height, map.shape().width);
        let (images, height, width) = sizes(&inputs[0]);
        assert!(inputs.iter().all(|map| sizes(map) == (images, height, width)), "maps of different sizes");
        let divisor = if self.pool { 2 } else { 1 };
        let shape = MapShape::new(images, self.factor.len(), height / divisor, width / divisor, halo);
        let mut output = ByteMap::new(context, shape, self.output);
        let low = f32::from(self.output.zero_point);
        let lanes = |_: usize, block: usize| {
            let lanes = block * LANES..(block + 1) * LANES;
            [&self.factor[lanes.clone()], &self.summand[lanes]]
        };
        run(context, inputs, &mut output, self.pool, low, lanes);
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
    run(context, &[input], &mut gated, false, 0.0, of_block);
    gated
}

/// Factors and summands come for each image and block of the output.
fn run<'a>(
    context: &Context,
    inputs: &[&ByteMap],
    output: &mut ByteMap,
    pool: bool,
    low: f32,
    lanes: impl Fn(usize, usize) -> [&'a [f32]; 2] + Sync,
) {
    let shape = output.shape();
    let isa = context.isa;
    let form = if pool { isa.byte_form::<Affine<true>>() } else { isa.byte_form::<Affine<false>>() };
    let step = if pool { 2 } else { 1 };
    let sources = inputs.iter().flat_map(|map| (0..map.shape().blocks()).map(move |block| (*map, block)));
    let sources: Vec<_> = sources.collect();
    let to = Shared::new(output.buffer.bytes_mut());
    for_each_plane("scaled bytes", &shape, |image, block| {
        let [factor, summand] = lanes(image, block);
        let (input, input_block) = sources[block];
        let from = input.shape();
        for y in 0..shape.height {
            // SAFETY: each plane is written by one call.
            let row = unsafe { to.part(shape.offset(image, block, y, 0), shape.width * LANES) };
            let row = Row {
                input: input.bytes()[from.offset(image, input_block, y * step, 0)..].as_ptr(),
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
