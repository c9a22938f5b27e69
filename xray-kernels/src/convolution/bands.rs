//! A convolution's output that is never stored: bands of its rows are made in a scratch when they are needed, and
//! used while they are in the cache.
//!
//! A first layer of one channel does nine multiply-adds for each float it writes. Reading that float again from
//! memory, three times in a training step, costs more than computing it again.
#![expect(unsafe_code, reason = "pointers handed to the register tiles; threads write disjoint planes")]

use super::forward::forward_pass;
use super::pack::{PackedWeights, WeightLayout};
use super::pass::{Pass, Target};
use super::tile::limits;
use crate::arena::ArenaBuffer;
use crate::batch_norm::{Activation, ApplyRows, NormInput, Rows, Sums, apply_form};
use crate::context::Context;
use crate::halo::clear_halo;
use crate::lanes::LANES;
use crate::planes::{ConvInput, Planes};
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::{Split, for_each_of};
use std::ops::Range;
use std::ptr;

/// Floats of a band: 64 KiB, a part of the second cache.
const BAND: usize = 16 * 1024;

/// A convolution on call.
pub(crate) struct Bands<'a> {
    context: &'a Context,
    planes: Planes<'a>,
    weights: &'a PackedWeights,
    pass: Pass,
    /// Of the whole output, as if it were stored.
    shape: MapShape,
    /// Rows of a band: even, and where there are enough a multiple of the rows of all tiles.
    rows: usize,
}

impl<'a> Bands<'a> {
    /// For an input that fits the weights; the caller checks that.
    pub(crate) fn new(context: &'a Context, input: ConvInput<'a>, weights: &'a PackedWeights) -> Self {
        let spec = &weights.spec;
        let [images, _, height, width] = input.size();
        let [height, width] = [height, width].map(|size| spec.output_size(size));
        let shape = MapShape::new(images, spec.out_channels, height, width, 0);
        let planes = Planes::new(context, input, spec);
        let blocks = limits(context.isa).1.min(shape.blocks());
        let rows = match BAND / (shape.row() * blocks) {
            few @ 0..6 => (few / 2 * 2).max(2),
            many => many / 6 * 6,
        };
        let scratch = MapShape::new(1, spec.out_channels, rows, width, 0);
        let pass = forward_pass(weights, &planes, &scratch);
        Self { context, planes, weights, pass, shape, rows }
    }

    fn scratch(&self) -> ArenaBuffer {
        self.context.arena.take(limits(self.context.isa).1 * self.rows * self.shape.row())
    }

    fn blocks(&self, tile: usize) -> Range<usize> {
        let most = limits(self.context.isa).1;
        tile * most..((tile + 1) * most).min(self.shape.blocks())
    }

    fn weight_block(&self) -> usize {
        WeightLayout::new(&self.weights.spec, self.weights.planar).out_block()
    }

    /// Computes rows of a tile of blocks: `[blocks][self.rows][width][16]`.
    fn compute(
        &self,
        image: usize,
        tile: usize,
        rows: Range<usize>,
        scratch: &mut [f32],
        sums: Option<&mut [f64]>,
    ) {
        let blocks = self.blocks(tile);
        assert!(scratch.len() >= blocks.len() * self.rows * self.shape.row() && rows.len() <= self.rows);
        assert!(
            rows.end <= self.shape.height
                && sums.as_ref().is_none_or(|s| s.len() == blocks.len() * 2 * LANES)
        );
        let target = Target {
            input: self.planes.image(image)[rows.start * self.pass.input_row..].as_ptr(),
            input_first: 0,
            weights: self.weights.data[blocks.start * self.weight_block()..].as_ptr(),
            output: scratch.as_mut_ptr(),
            blocks: blocks.len(),
            rows: 0..rows.len(),
            bias: ptr::null(),
            clamp: None,
            accumulate: false,
            sums: sums.map_or(ptr::null_mut(), |sums| sums.as_mut_ptr()),
        };
        // SAFETY: the rows lie in the input, the blocks in the weights, and the scratch is as long as asserted.
        unsafe { self.pass.run(self.context.isa, &target) };
    }

    fn bands(&self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let (step, end) = (self.rows, rows.end);
        rows.step_by(step).map(move |start| start..(start + step).min(end))
    }

    /// The sums over the output.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::new(&self.context.arena, &self.shape);
        let shared = Shared::new(sums.values());
        for_each_of("sums of a first layer", &self.shape, self.tiles(), |image, tile| {
            let blocks = self.blocks(tile);
            let offset = Sums::offset(&self.shape, image, blocks.start);
            // SAFETY: the sums of an image's blocks are added by one call.
            let sums = unsafe { shared.part(offset, blocks.len() * 2 * LANES) };
            sums.fill(0.0);
            let mut scratch = self.scratch();
            for rows in self.bands(0..self.shape.height) {
                self.compute(image, tile, rows, &mut scratch, Some(sums));
            }
        });
        sums
    }

    /// Writes `activation(scale * z + shift)`, with a zero halo. Scale and shift are `[blocks * 16]`.
    ///
    /// # Panics
    /// If the output is not what the activation leaves, or its buffer or the factors do not have their lengths.
    pub(crate) fn activate(
        &self,
        [scale, shift]: [&[f32]; 2],
        activation: Activation,
        (buffer, shape): (&mut [f32], MapShape),
    ) {
        shape.check(buffer, "the output");
        crate::batch_norm::check_sizes(&self.shape, activation, &shape);
        let lanes = self.shape.blocks() * LANES;
        assert!(scale.len() == lanes && shift.len() == lanes, "not a factor and a summand for each lane");
        let weights = self.weight_block() * limits(self.context.isa).1;
        let split = Split::new(shape.images, self.planes.image, weights, self.tiles(), shape.height);
        let (buffer, form) = (Shared::new(buffer), apply_form(self.context.isa, activation));
        let step = if activation.pool { 2 } else { 1 };
        split.for_each("first layer", |part| {
            let mut scratch = self.scratch();
            for (tile, image) in
                part.columns.flat_map(|tile| part.images.clone().map(move |image| (tile, image)))
            {
                if part.rows.start == 0 {
                    // SAFETY: the halo belongs to the part with the first row.
                    unsafe { clear_halo(buffer, &shape, image, self.blocks(tile)) };
                }
                for rows in self.bands(part.rows.start * step..part.rows.end * step) {
                    self.compute(image, tile, rows.clone(), &mut scratch, None);
                    for (number, block) in self.blocks(tile).enumerate() {
                        let rows = ApplyRows {
                            input: scratch[number * self.rows * self.shape.row()..].as_ptr(),
                            input_row: self.shape.row(),
                            output: buffer.at(shape.offset(image, block, rows.start / step, 0)),
                            output_row: shape.row(),
                            rows: rows.len() / step,
                            columns: shape.width,
                            scale: scale[block * LANES..].as_ptr(),
                            shift: shift[block * LANES..].as_ptr(),
                        };
                        // SAFETY: each image, block and row of the output belongs to one part.
                        unsafe { form(&rows) };
                    }
                }
            }
        });
    }
}

impl NormInput for Bands<'_> {
    fn shape(&self) -> MapShape {
        self.shape
    }

    fn tiles(&self) -> usize {
        self.shape.blocks().div_ceil(limits(self.context.isa).1)
    }

    fn visit(&self, image: usize, tile: usize, rows: Range<usize>, mut call: impl FnMut(Rows)) {
        let mut scratch = self.scratch();
        let row = self.shape.row();
        for rows in self.bands(rows) {
            self.compute(image, tile, rows.clone(), &mut scratch, None);
            for (number, block) in self.blocks(tile).enumerate() {
                let pixels = &scratch[number * self.rows * row..][..rows.len() * row];
                call(Rows { block, rows: rows.clone(), pixels, row });
            }
        }
    }
}
