//! The forward pass: `z = x * w`, with what can be done to `z` before it leaves the registers.
#![expect(unsafe_code, reason = "threads write disjoint images, blocks and rows of one buffer")]

use super::pack::{PackedWeights, WeightLayout};
use super::pass::{Pass, Target};
use super::taps::forward_taps;
use super::tile::limits;
use super::winograd::{self, Epilogue, MinimalConvolution, Source};
use crate::batch_norm::Sums;
use crate::context::Context;
use crate::halo::clear_halo;
use crate::lanes::LANES;
use crate::planes::{ConvInput, Planes};
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::{Split, for_each_chunk};
use std::ptr;

/// Rows of a band that has sums of its own.
const BAND: usize = 14;

/// Where a convolution's output goes and what happens to it on the way.
#[derive(Debug)]
pub struct ConvOutput<'a> {
    /// The map and its shape.
    pub buffer: &'a mut [f32],
    /// Its shape; any halo.
    pub shape: MapShape,
    /// Added to each channel: `[blocks * 16]`, zero in surplus lanes.
    pub bias: Option<&'a [f32]>,
    /// The largest value, where those below zero become zero and those above it become it: infinity for ReLU, 6 for ReLU6.
    pub clamp: Option<f32>,
    /// Where the sums for a batch norm go.
    pub sums: Option<&'a mut Sums>,
}

/// Convolves: `output[n, o, y, x] = bias[o] + sum over i, ky, kx of
/// weights[o, i, ky, kx] * input[n, i, y * stride + ky - padding, x * stride + kx - padding]`.
///
/// # Panics
/// If a shape does not fit the convolution, or a buffer its shape.
pub fn convolve(context: &Context, input: ConvInput, weights: &PackedWeights, output: ConvOutput) {
    let spec = &weights.spec;
    let [images, channels, height, width] = input.size();
    let shape = output.shape;
    let expected = [images, spec.out_channels, spec.output_size(height), spec.output_size(width)];
    assert_eq!(channels, spec.in_channels, "the input's channels and those of {spec:?}");
    assert_eq!(shape.size(), expected, "the output of {spec:?}");
    assert_eq!(weights.planar, matches!(input, ConvInput::Planar(..)), "packed for another kind of input");
    shape.check(output.buffer, "the output");
    assert!(output.bias.is_none_or(|bias| bias.len() == shape.blocks() * LANES), "not a bias per lane");
    assert!(output.sums.as_ref().is_none_or(|sums| sums.fits(&shape)), "sums for another shape");

    let planes = Planes::new(context, input, spec);
    // Whoever asks for sums trains, and there an image's result depends on its batch anyway.
    let together = if output.sums.is_some() { images } else { 1 };
    if !weights.planar && winograd::applies(context, spec, [shape.height, shape.width], together) {
        return minimal(context, &planes, weights, output, [height, width], false);
    }
    Forward { context, planes: &planes, weights, pass: forward_pass(weights, &planes, &shape) }.run(output);
}

/// As [`convolve`], with 2 x 2 max pooling behind it, where that can be done before anything is written: otherwise
/// nothing happens, and false is returned.
pub(crate) fn convolve_pooled(
    context: &Context,
    input: ConvInput,
    weights: &PackedWeights,
    output: ConvOutput,
) -> bool {
    let spec = &weights.spec;
    let [images, channels, height, width] = input.size();
    let size = [height, width].map(|size| spec.output_size(size));
    if weights.planar || !winograd::applies(context, spec, size, 1) {
        return false;
    }
    let expected = [images, spec.out_channels, size[0] / 2, size[1] / 2];
    assert_eq!(channels, spec.in_channels, "the input's channels and those of {spec:?}");
    assert_eq!(output.shape.size(), expected, "the pooled output of {spec:?}");
    assert!(matches!(input, ConvInput::Map(..)), "packed for another kind of input");
    output.shape.check(output.buffer, "the output");
    assert!(
        output.bias.is_none_or(|bias| bias.len() == output.shape.blocks() * LANES) && output.sums.is_none(),
        "a bias per lane and no sums"
    );
    let planes = Planes::new(context, input, spec);
    minimal(context, &planes, weights, output, [height, width], true);
    true
}

/// A convolution at the points of module `winograd`.
fn minimal(
    context: &Context,
    planes: &Planes,
    weights: &PackedWeights,
    output: ConvOutput,
    input_size: [usize; 2],
    pool: bool,
) {
    let ConvOutput { buffer, shape, bias, clamp, sums } = output;
    let spec = &weights.spec;
    let size = input_size.map(|size| spec.output_size(size));
    let strips = winograd::strips(size[0]);
    let strip_sums = shape.blocks() * 2 * LANES;
    let mut partial = sums.as_ref().map(|_| context.arena.take(shape.images * strips * strip_sums));
    let epilogue = Epilogue {
        bias,
        clamp,
        pool,
        accumulate: false,
        halo: true,
        sums: partial.as_mut().map(|partial| Shared::new(partial)),
    };
    let points = (weights.points(context, size), planes.blocks);
    let map = (Shared::new(buffer), shape);
    let convolution = MinimalConvolution::new(context, spec.padding, points, map, size, epilogue);
    convolution.run_all(Source::of_planes(planes, input_size), shape.images);
    if let (Some(sums), Some(partial)) = (sums, partial) {
        for_each_chunk("sums of strips", sums.values(), strip_sums, |image, total| {
            total.fill(0.0);
            for strip in partial[image * strips * strip_sums..][..strips * strip_sums].chunks(strip_sums) {
                total.iter_mut().zip(strip).for_each(|(total, &sum)| *total += f64::from(sum));
            }
        });
    }
}

/// The inner loops of a forward pass that writes maps of the given shape.
pub(super) fn forward_pass(weights: &PackedWeights, planes: &Planes, shape: &MapShape) -> Pass {
    let spec = &weights.spec;
    let taps = forward_taps(spec, planes.halo, planes.row, planes.step);
    let channels = 0..planes.planar_channels;
    Pass {
        taps: channels.flat_map(|c| taps.iter().map(move |tap| c * planes.plane + tap.offset)).collect(),
        in_blocks: planes.blocks,
        in_plane: planes.plane,
        depth: planes.step,
        input_step: planes.stride * planes.step,
        input_row: planes.stride * planes.row,
        height: shape.height,
        width: shape.width,
        output_first: shape.offset(0, 0, 0, 0) - shape.corner(0, 0),
        output_step: LANES,
        output_row: shape.row(),
        output_plane: shape.plane(),
    }
}

struct Forward<'a> {
    context: &'a Context,
    planes: &'a Planes<'a>,
    weights: &'a PackedWeights,
    pass: Pass,
}

impl Forward<'_> {
    fn run(&self, output: ConvOutput) {
        let ConvOutput { buffer, shape, bias, clamp, mut sums } = output;
        let (_, tile_blocks) = limits(self.context.isa);
        // Sums are added row by row, so rows are shared out in bands that depend on the shape alone.
        let bands = if sums.is_some() { (shape.height / BAND).max(1) } else { 1 };
        if let Some(sums) = &mut sums {
            **sums = Sums::in_bands(&self.context.arena, &shape, bands);
        }
        let rows = if sums.is_some() { 1 } else { shape.height };
        let out_block = WeightLayout::new(&self.weights.spec, self.weights.planar).out_block();
        let (image, tiles) = (self.planes.image / bands, shape.blocks().div_ceil(tile_blocks));
        let split = Split::new(shape.images * bands, image, out_block * tile_blocks, tiles, rows);
        let buffer = Shared::new(buffer);
        let sums = sums.as_mut().map(|sums| Shared::new(sums.values()));
        split.for_each("convolution", |part| {
            for tile in part.columns.clone() {
                let first = tile * tile_blocks;
                let blocks = tile_blocks.min(shape.blocks() - first);
                for number in part.images.clone() {
                    let (image, band) = (number / bands, number % bands);
                    let rows = match sums {
                        Some(_) => shape.height * band / bands..shape.height * (band + 1) / bands,
                        None => part.rows.clone(),
                    };
                    // SAFETY: the lengths of all buffers were checked against the shapes, and each image, block
                    // and row belongs to one part, as do the sums of a band.
                    unsafe {
                        let mut of_band = ptr::null_mut();
                        if let Some(sums) = sums {
                            let sums = sums.part(Sums::offset(&shape, number, first), blocks * 2 * LANES);
                            sums.fill(0.0);
                            of_band = sums.as_mut_ptr();
                        }
                        if rows.start == 0 {
                            clear_halo(buffer, &shape, image, first..first + blocks);
                        }
                        let target = Target {
                            input: self.planes.image(image).as_ptr(),
                            input_first: 0,
                            weights: self.weights.data[first * out_block..].as_ptr(),
                            output: buffer.at(shape.corner(image, first)),
                            blocks,
                            rows,
                            bias: bias.map_or(ptr::null(), |bias| bias[first * LANES..].as_ptr()),
                            clamp,
                            accumulate: false,
                            sums: of_band,
                        };
                        self.pass.run(self.context.isa, &target);
                    }
                }
            }
        });
    }
}
