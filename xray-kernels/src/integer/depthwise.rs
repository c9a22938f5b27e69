//! Depthwise convolutions of bytes: four pixels of a block at a time, four taps to a product.
#![expect(unsafe_code, reason = "vector instructions and pointers; threads write disjoint planes and rows")]

use super::lanes::{ByteKernel, Integers};
use super::lookup::{Lookup, lookup_form};
use super::map::ByteMap;
use super::quantisation::Quantisation;
use super::requantisation::{Epilogue, Requantisation};
use super::weights::{QUAD, Quantised, quantised};
use crate::context::Context;
use crate::depthwise::DepthwiseSpec;
use crate::isa::{Form, Isa};
use crate::lanes::{LANES, Lanes};
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::Split;

/// Pixels that are computed together.
const PIXELS: usize = 4;

/// Pixels of a row of a block.
struct Row {
    /// The first pixel's first tap.
    input: *const u8,
    /// Offsets of the taps, in fours; surplus ones have weights of zero.
    taps: *const u32,
    quads: usize,
    /// Bytes between the inputs of neighbours.
    step: usize,
    /// `[quads][16 channels][4 taps]`.
    weights: *const i8,
    /// `[16]` each.
    start: *const i32,
    factor: *const f32,
    summand: *const f32,
    low: f32,
    high: f32,
    output: *mut u8,
    /// Fours of pixels.
    count: usize,
}

struct Depthwise<const STRIDE: usize>;

impl<const STRIDE: usize> ByteKernel for Depthwise<STRIDE> {
    type Arguments = Row;

    #[inline(always)]
    unsafe fn run<I: Integers>(row: &Row) {
        for four in 0..row.count {
            // SAFETY: the caller's pointers are good for the pixels, and behind a map is room to read.
            unsafe {
                let input = row.input.add(four * PIXELS * row.step);
                let mut sums: [I; 4] = std::array::from_fn(|part| I::load_four(row.start.add(4 * part)));
                for quad in 0..row.quads {
                    let tap = |at| I::pixels::<STRIDE>(input.add(*row.taps.add(quad * QUAD + at) as usize));
                    let bytes = I::quads([tap(0), tap(1), tap(2), tap(3)]);
                    for (part, (sum, bytes)) in sums.iter_mut().zip(bytes).enumerate() {
                        let weights = row.weights.add((quad * 4 + part) * LANES);
                        *sum = sum.dot(bytes, I::weights_of_four(weights));
                    }
                }
                let (low, high) = (I::Floats::splat(row.low), I::Floats::splat(row.high));
                // A loop: `map` of an array is a call, into which vectors go through memory.
                for (part, sum) in sums.iter_mut().enumerate() {
                    let factor = I::floats_of_four(row.factor.add(4 * part));
                    let summand = I::floats_of_four(row.summand.add(4 * part));
                    *sum = I::rounded(sum.floats().mul(factor).add(summand).max(low).min(high));
                }
                I::store_pixels(sums, row.output.add(four * PIXELS * LANES));
            }
        }
    }
}

fn form(isa: Isa, stride: usize) -> Form<Row> {
    match stride {
        1 => isa.byte_form::<Depthwise<1>>(),
        2 => isa.byte_form::<Depthwise<2>>(),
        stride => unreachable!("a stride of {stride}"),
    }
}

/// A depthwise convolution with its bias and its nonlinearity, whose weights are bytes; made once per model.
#[derive(Debug)]
pub struct ByteDepthwise {
    spec: DepthwiseSpec,
    /// `[block][quads][16 channels][4 taps]`.
    weights: Vec<i8>,
    start: Vec<i32>,
    epilogue: Epilogue,
    input: Quantisation,
    output: Quantisation,
}

impl ByteDepthwise {
    /// Quantises weights `[channels][kernel][kernel]`.
    ///
    /// # Panics
    /// If weights or bias do not have the length that the convolution says, its kernel has more than seven rows, or its
    /// stride is neither 1 nor 2.
    pub fn new(
        spec: DepthwiseSpec,
        (weights, bias): (&[f32], &[f32]),
        input: Quantisation,
        how: &Requantisation,
    ) -> Self {
        let taps = spec.kernel * spec.kernel;
        assert_eq!(weights.len(), spec.channels * taps, "weights do not have the length of {spec:?}");
        assert_eq!(bias.len(), spec.channels, "not a bias for each channel");
        assert!(spec.kernel <= 7 && matches!(spec.stride, 1 | 2), "{spec:?} in bytes");
        let quads = taps.div_ceil(QUAD);
        let blocks = spec.channels.div_ceil(LANES);
        let mut packed = vec![0; blocks * quads * QUAD * LANES];
        let (mut scales, mut start) = (Vec::new(), Vec::new());
        for (channel, filter) in weights.chunks(taps).enumerate() {
            let Quantised { bytes, scale } = quantised(filter);
            for (tap, &byte) in bytes.iter().enumerate() {
                let quad = channel / LANES * quads + tap / QUAD;
                packed[(quad * LANES + channel % LANES) * QUAD + tap % QUAD] = byte;
            }
            scales.push(scale * input.scale);
            let sum: i32 = bytes.iter().map(|&byte| i32::from(byte)).sum();
            start.push(-i32::from(input.zero_point) * sum);
        }
        start.resize(blocks * LANES, 0);
        let epilogue = Epilogue::new(how, &scales, bias, None);
        Self { spec, weights: packed, start, epilogue, input, output: how.output }
    }

    /// Forward, with a halo of the next layer's choice.
    ///
    /// # Panics
    /// If the input or what its bytes stand for are not those the convolution was made for.
    pub fn forward(&self, context: &Context, input: &ByteMap, halo: usize) -> ByteMap {
        let spec = &self.spec;
        let from = input.shape();
        assert_eq!(from.channels, spec.channels, "the input's channels and those of {spec:?}");
        assert_eq!(input.quantisation(), self.input, "what the input's bytes stand for");
        assert!(from.halo >= spec.padding, "the halo and the padding of {spec:?}");
        let [height, width] = [from.height, from.width].map(|size| spec.output_size(size));
        let shape = MapShape::new(from.images, spec.channels, height, width, halo);
        let mut output = ByteMap::new(context, shape, self.output);
        let to = Shared::new(output.buffer.bytes_mut());
        // Taps beyond the last have weights of zero, and read what the first reads.
        let taps = (0..spec.kernel * spec.kernel)
            .map(|tap| tap / spec.kernel * from.row() + tap % spec.kernel * LANES);
        let mut taps: Vec<u32> = taps.map(|offset| offset as u32).collect();
        taps.resize(taps.len().next_multiple_of(QUAD), 0);
        let pass = Pass { context, conv: self, input, taps, shape };
        let split = Split::new(shape.images, from.image() / 4, 0, shape.blocks(), height);
        split.for_each("depthwise convolution of bytes", |part| {
            for image in part.images {
                for block in part.columns.clone() {
                    for y in part.rows.clone() {
                        // SAFETY: each row is one part's.
                        unsafe { pass.row([image, block, y], to) };
                    }
                }
            }
        });
        output
    }
}

struct Pass<'a> {
    context: &'a Context,
    conv: &'a ByteDepthwise,
    input: &'a ByteMap,
    taps: Vec<u32>,
    shape: MapShape,
}

impl Pass<'_> {
    /// # Safety
    /// Nobody else uses this row of the output meanwhile.
    unsafe fn row(&self, [image, block, y]: [usize; 3], output: Shared<u8>) {
        let Self { context, conv, shape, .. } = self;
        let (spec, epilogue, from) = (&conv.spec, &conv.epilogue, self.input.shape());
        let margin = from.halo - spec.padding;
        let start = from.corner(image, block) + (y * spec.stride + margin) * from.row() + margin * LANES;
        let to = output.at(shape.offset(image, block, y, 0));
        let step = spec.stride * LANES;
        let quads = self.taps.len() / QUAD;
        let mut narrow = [0u8; PIXELS * LANES];
        let is_narrow = shape.width < PIXELS;
        // The last four pixels may meet those before, which are then written twice.
        let rest =
            if shape.width.is_multiple_of(PIXELS) || is_narrow { None } else { Some(shape.width - PIXELS) };
        let fours = [(0, (shape.width / PIXELS).max(1))].into_iter().chain(rest.map(|x| (x, 1)));
        for (x, count) in fours {
            let row = Row {
                input: self.input.bytes()[start + x * step..].as_ptr(),
                taps: self.taps.as_ptr(),
                quads,
                step,
                weights: conv.weights[block * quads * QUAD * LANES..].as_ptr(),
                start: conv.start[block * LANES..].as_ptr(),
                factor: epilogue.factor[block * LANES..].as_ptr(),
                summand: epilogue.summand[block * LANES..].as_ptr(),
                low: epilogue.low,
                high: epilogue.high,
                // SAFETY: the pixels from x on are the caller's.
                output: if is_narrow { narrow.as_mut_ptr() } else { unsafe { to.add(x * LANES) } },
                count,
            };
            // SAFETY: rows and columns of the kernel lie in the halo; more is read only behind the last pixel, where
            // buffers have room.
            unsafe { form(context.isa, spec.stride)(&row) };
        }
        let length = shape.width * LANES;
        // SAFETY: the row is the caller's.
        let row = unsafe { output.part(shape.offset(image, block, y, 0), length) };
        if is_narrow {
            row.copy_from_slice(&narrow[..length]);
        }
        if let Some(table) = &epilogue.table {
            let places: Vec<u32> = (0..shape.width).map(|x| (x * LANES) as u32).collect();
            let lookup = Lookup {
                table: table.as_ptr(),
                bytes: row.as_mut_ptr(),
                places: places.as_ptr(),
                count: shape.width,
            };
            // SAFETY: the places are the row's pixels.
            unsafe { lookup_form(context.isa)(&lookup) };
        }
    }
}
