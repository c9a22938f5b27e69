//! The forward pass: `z = x * w`, with what can be done to `z` before it leaves the registers.
#![expect(unsafe_code, reason = "threads write disjoint images, blocks and rows of one buffer")]

use super::pack::{PackedWeights, WeightLayout};
use super::pass::{Pass, Target};
use super::taps::forward_taps;
use super::tile::limits;
use crate::batch_norm::{Activation, ApplyRows, Sums, apply_form};
use crate::context::Context;
use crate::halo::clear_halo;
use crate::lanes::LANES;
use crate::planes::{ConvInput, Planes};
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::Split;
use std::ptr;

/// Where a convolution's output goes and what happens to it on the way.
#[derive(Debug)]
pub struct ConvOutput<'a> {
    /// The map and its shape.
    pub buffer: &'a mut [f32],
    /// Its shape; any halo.
    pub shape: MapShape,
    /// Added to each channel: `[blocks * 16]`, zero in surplus lanes.
    pub bias: Option<&'a [f32]>,
    /// Whether negative values become zero.
    pub relu: bool,
    /// Where the sums for a batch norm go.
    pub sums: Option<&'a mut Sums>,
}

/// Convolves: `output[n, o, y, x] = bias[o] + sum over i, ky, kx of
/// weights[o, i, ky, kx] * input[n, i, y * stride + ky - padding, x * stride + kx - padding]`.
///
/// # Panics
/// If a shape does not fit the convolution, or a buffer its shape.
pub fn convolve(context: &Context, input: ConvInput, weights: &PackedWeights, output: ConvOutput) {
    convolve_pooled(context, input, weights, output, false);
}

/// [`convolve`], and if `pool` says so the largest of each 2 x 2 pixels; then without sums.
pub(crate) fn convolve_pooled(
    context: &Context,
    input: ConvInput,
    weights: &PackedWeights,
    output: ConvOutput,
    pool: bool,
) {
    let spec = &weights.spec;
    let [images, channels, height, width] = input.size();
    let shape = output.shape;
    let [rows, columns] = [height, width].map(|size| spec.output_size(size));
    let pooling = Activation { relu: output.relu, pool };
    let expected = [images, spec.out_channels, pooling.output_size(rows), pooling.output_size(columns)];
    assert_eq!(channels, spec.in_channels, "the input's channels and those of {spec:?}");
    assert_eq!([shape.images, shape.channels, shape.height, shape.width], expected, "the output of {spec:?}");
    assert!(!pool || output.sums.is_none(), "sums of what is pooled");
    assert_eq!(weights.planar, matches!(input, ConvInput::Planar(..)), "packed for another kind of input");
    shape.check(output.buffer, "the output");
    assert!(output.bias.is_none_or(|bias| bias.len() == shape.blocks() * LANES), "not a bias per lane");
    assert!(output.sums.as_ref().is_none_or(|sums| sums.fits(&shape)), "sums for another shape");

    let planes = Planes::new(context, input, spec.padding);
    let target = if pool { MapShape::new(1, spec.out_channels, rows, columns, 0) } else { shape };
    let forward =
        Forward { context, planes: &planes, weights, pass: forward_pass(weights, &planes, &target) };
    if pool { forward.run_pooled(output, &target) } else { forward.run(output) }
}

fn forward_pass(weights: &PackedWeights, planes: &Planes, shape: &MapShape) -> Pass {
    let spec = &weights.spec;
    let taps = forward_taps(spec, planes.halo, planes.row, planes.step);
    let channels = 0..planes.planar_channels;
    Pass {
        taps: channels.flat_map(|c| taps.iter().map(move |tap| c * planes.plane + tap.offset)).collect(),
        in_blocks: planes.blocks,
        in_plane: planes.plane,
        depth: planes.step,
        input_step: spec.stride * planes.step,
        input_row: spec.stride * planes.row,
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
        let ConvOutput { buffer, shape, bias, relu, mut sums } = output;
        let (_, tile_blocks) = limits(self.context.isa);
        // Sums are added row by row, so that they must not depend on how rows are shared out.
        let rows = if sums.is_some() { 1 } else { shape.height };
        let out_block = WeightLayout::new(&self.weights.spec, self.weights.planar).out_block();
        let (image, tiles) = (self.planes.image, shape.blocks().div_ceil(tile_blocks));
        let split = Split::new(shape.images, image, out_block * tile_blocks, tiles, rows);
        let buffer = Shared::new(buffer);
        let sums = sums.as_mut().map(|sums| Shared::new(sums.start()));
        split.for_each(|part| {
            let rows = if rows == 1 { 0..shape.height } else { part.rows.clone() };
            for tile in part.columns.clone() {
                let first = tile * tile_blocks;
                let blocks = tile_blocks.min(shape.blocks() - first);
                for image in part.images.clone() {
                    // SAFETY: the lengths of all buffers were checked against the shapes, and each image, block
                    // and row belongs to one part.
                    unsafe {
                        if rows.start == 0 {
                            clear_halo(buffer, &shape, image, first..first + blocks);
                        }
                        let target = Target {
                            input: self.planes.image(image).as_ptr(),
                            weights: self.weights.data[first * out_block..].as_ptr(),
                            output: buffer.at(shape.corner(image, first)),
                            blocks,
                            rows: rows.clone(),
                            bias: bias.map_or(ptr::null(), |bias| bias[first * LANES..].as_ptr()),
                            relu,
                            accumulate: false,
                            sums: sums.map_or(ptr::null_mut(), |s| s.at(Sums::offset(&shape, image, first))),
                        };
                        self.pass.run(self.context.isa, &target);
                    }
                }
            }
        });
    }

    /// Rows go to a scratch of the task, and from there, pooled, to the output.
    fn run_pooled(&self, output: ConvOutput, unpooled: &MapShape) {
        let ConvOutput { buffer, shape, bias, relu, .. } = output;
        let isa = self.context.isa;
        let (_, tile_blocks) = limits(isa);
        let out_block = WeightLayout::new(&self.weights.spec, self.weights.planar).out_block();
        let (image, tiles) = (self.planes.image, shape.blocks().div_ceil(tile_blocks));
        let split = Split::new(shape.images, image, out_block * tile_blocks, tiles, shape.height);
        let buffer = Shared::new(buffer);
        let form = apply_form(isa, Activation { relu, pool: true });
        split.for_each(|part| {
            let mut scratch = self.context.arena.take(tile_blocks * unpooled.plane());
            let scratch = Shared::new(&mut scratch);
            for tile in part.columns.clone() {
                let first = tile * tile_blocks;
                let blocks = tile_blocks.min(shape.blocks() - first);
                for image in part.images.clone() {
                    if part.rows.start == 0 {
                        // SAFETY: the halo belongs to the part with the first row.
                        unsafe { clear_halo(buffer, &shape, image, first..first + blocks) };
                    }
                    let target = Target {
                        input: self.planes.image(image).as_ptr(),
                        weights: self.weights.data[first * out_block..].as_ptr(),
                        output: scratch.at(0),
                        blocks,
                        rows: 2 * part.rows.start..2 * part.rows.end,
                        bias: ptr::null(),
                        relu: false,
                        accumulate: false,
                        sums: ptr::null_mut(),
                    };
                    // SAFETY: lengths were checked against shapes; the scratch is this task's.
                    unsafe { self.pass.run(isa, &target) };
                    for block in 0..blocks {
                        let lanes = (first + block) * LANES;
                        let rows = ApplyRows {
                            input: scratch.at(unpooled.offset(0, block, 2 * part.rows.start, 0)),
                            input_row: unpooled.row(),
                            output: buffer.at(shape.offset(image, first + block, part.rows.start, 0)),
                            output_row: shape.row(),
                            rows: part.rows.len(),
                            columns: shape.width,
                            scale: ONES.as_ptr(),
                            shift: bias.map_or(ZEROS.as_ptr(), |bias| bias[lanes..].as_ptr()),
                        };
                        // SAFETY: each image, block and row of the output belongs to one part.
                        unsafe { form(&rows) };
                    }
                }
            }
        });
    }
}

static ONES: [f32; LANES] = [1.0; LANES];
static ZEROS: [f32; LANES] = [0.0; LANES];
