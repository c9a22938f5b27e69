//! The weight gradient: at each point, inputs times gradients summed over tiles, in an order that depends on shapes
//! alone; then back from points to taps.
#![expect(unsafe_code, reason = "threads write disjoint parts of one buffer")]

use super::super::backward::WeightSums;
use super::super::cut::Piece;
use super::super::pack::WeightLayout;
use super::super::spec::ConvSpec;
use super::super::tile::limits;
use super::super::weight_tile::{WeightRun, weight_form, weight_tile_limit};
use super::gradient::{PointSums, WeightGradientTransform};
use super::input::InputStrip;
use super::part::{Group, PART_POINTS, PARTS, gradient_form, input_form};
use super::products::Points;
use super::source::Source;
use super::{PATCH, POINTS, TILE};
use crate::arena::ArenaBuffer;
use crate::context::Context;
use crate::isa::Form;
use crate::lanes::LANES;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::{for_each, threads};
use std::ops::Range;

/// Floats of a part of a group's points that should stay in the second cache.
const GROUP: usize = 96 * 1024;
/// The same where all threads share it, in the third cache; for many threads half of their second caches.
const SHARED_GROUP: usize = 1024 * 1024;

/// Sums products of points.
#[derive(Clone, Copy)]
pub(in super::super) struct MinimalWeightGradient<'a> {
    pub(in super::super) context: &'a Context,
    pub(in super::super) source: Source<'a>,
    pub(in super::super) padding: usize,
    pub(in super::super) layout: WeightLayout,
    /// Blocks of input channels, and which is the first.
    pub(in super::super) in_blocks: usize,
    pub(in super::super) first_in_block: usize,
    /// Of the output's gradient, as the caller holds it: of a piece.
    pub(in super::super) gradient: MapShape,
}

impl MinimalWeightGradient<'_> {
    /// Tiles of a strip.
    fn columns(&self) -> usize {
        self.gradient.width.div_ceil(TILE)
    }

    /// Floats of a point of the sums.
    fn point(&self) -> usize {
        point(self.in_blocks, self.gradient.blocks())
    }

    fn group(&self, strips: usize) -> Group {
        let gradients =
            Points { blocks: self.gradient.blocks(), count: PART_POINTS, tiles: strips * self.columns() };
        Group { in_lanes: self.in_blocks * LANES, gradients }
    }

    /// Strips of a group whose points take about so many floats.
    fn strips(&self, floats: usize) -> usize {
        let lanes = (self.in_blocks + self.gradient.blocks()) * LANES;
        (floats / (PART_POINTS * lanes)).max(24).div_ceil(self.columns())
    }

    /// For some of its blocks of input channels.
    fn of(&self, in_blocks: Range<usize>) -> Self {
        Self { in_blocks: in_blocks.len(), first_in_block: self.first_in_block + in_blocks.start, ..*self }
    }

    fn patch(&self) -> ArenaBuffer {
        self.context.arena.take(PATCH * (self.columns() * TILE + 2) * LANES)
    }

    /// One block of a strip's inputs to their points.
    ///
    /// # Safety
    /// Nobody else uses this strip's points of the block meanwhile.
    unsafe fn inputs(
        &self,
        group: Group,
        part: usize,
        (strip, [number, block]): (&Strip, [usize; 2]),
        to: Shared<f32>,
        patch: &mut [f32],
    ) {
        let columns = self.columns();
        let size = [PATCH, columns * TILE + 2];
        let strip =
            self.source.strip([strip.image, self.first_in_block + block], strip.y, self.padding, size, patch);
        let strip = InputStrip {
            from: strip.first,
            row: strip.row,
            tiles: columns,
            to: to.at(number * columns * group.input_tile() + block * LANES),
            tile: group.input_tile(),
            point: group.input_point(),
        };
        // SAFETY: the source vouches for the strip; the points are the caller's.
        unsafe { input_form(self.context.isa, part)(&strip) };
    }

    /// One block of a strip's gradients to their points.
    ///
    /// # Safety
    /// As for inputs.
    unsafe fn gradients(
        &self,
        group: Group,
        part: usize,
        source: Source,
        (strip, [number, block]): (&Strip, [usize; 2]),
        to: Shared<f32>,
        patch: &mut [f32],
    ) {
        let columns = self.columns();
        let strip = source.strip([strip.piece, block], strip.row, 0, [TILE, columns * TILE], patch);
        let strip = InputStrip {
            from: strip.first,
            row: strip.row,
            tiles: columns,
            to: to.at(group.gradients.offset(block, number * columns)),
            tile: LANES,
            point: group.gradients.point(),
        };
        // SAFETY: as above.
        unsafe { gradient_form(self.context.isa, part)(&strip) };
    }

    /// Adds the products of a group at one point, for one tile of output blocks and some pieces of the input lanes.
    ///
    /// # Safety
    /// Nobody else uses this part of the sums meanwhile.
    unsafe fn products(
        &self,
        group: Group,
        [inputs, gradients]: [&[f32]; 2],
        [part, number, tile]: [usize; 3],
        lanes: Range<usize>,
        sums: Shared<f32>,
    ) {
        let most = limits(self.context.isa).1;
        let first = tile * most;
        let blocks = most.min(self.gradient.blocks() - first);
        let in_lanes = group.in_lanes;
        let gradient =
            |block| gradients[number * group.gradients.point() + group.gradients.offset(block, 0)..].as_ptr();
        let sum = |block: usize| (part * PART_POINTS + number) * self.point() + block * in_lanes * LANES;
        let pieces = self.lane_pieces();
        for piece in lanes {
            let [start, end] = [piece, piece + 1].map(|piece| in_lanes * piece / pieces);
            let run = WeightRun {
                input: inputs[number * group.input_point() + start..].as_ptr(),
                input_step: group.input_tile(),
                input_row: 0,
                gradient: [gradient(first), gradient(first + blocks - 1)],
                gradient_row: 0,
                rows: 1,
                columns: group.gradients.tiles,
                output: [first, first + blocks - 1].map(|block| sums.at(sum(block) + start * LANES)),
            };
            let form: Form<WeightRun> = weight_form(self.context.isa, end - start, blocks);
            // SAFETY: points of the group and sums have these lengths; the sums are the caller's.
            unsafe { form(&run) };
        }
    }

    /// Pieces of the input lanes, each of which a register tile takes.
    fn lane_pieces(&self) -> usize {
        (self.in_blocks * LANES).div_ceil(weight_tile_limit(self.context.isa))
    }

    fn output_tiles(&self) -> usize {
        self.gradient.blocks().div_ceil(limits(self.context.isa).1)
    }
}

impl WeightSums for MinimalWeightGradient<'_> {
    fn len(&self) -> usize {
        self.layout.len()
    }

    fn growing(&self, in_blocks: usize) -> Option<usize> {
        Some(self.of(0..in_blocks).grown_len())
    }

    unsafe fn start(&self, _: Range<usize>, _: Shared<f32>) {}

    unsafe fn add(&self, pieces: &[Piece], gradient: &[f32], in_blocks: Range<usize>, sums: Shared<f32>) {
        // SAFETY: the caller's sums.
        unsafe { self.of(in_blocks).add_here(pieces, gradient, sums) };
    }

    fn add_all(&self, pieces: &[Piece], gradient: &[f32], sums: &mut [f32]) {
        assert_eq!(sums.len(), self.grown_len(), "the sums");
        let strips = strips(pieces);
        let step = self.strips(SHARED_GROUP.max(threads() * GROUP / 2)).min(strips.len());
        let most = self.group(step);
        let mut scratch = self.context.arena.take(most.input_len() + most.gradients.len());
        let (inputs, gradients) = scratch.split_at_mut(most.input_len());
        let source = Source::of_map(gradient, &self.gradient);
        let sums = Shared::new(sums);
        let (blocks, tiles) = (self.in_blocks + self.gradient.blocks(), self.output_tiles());
        let pieces = self.lane_pieces();
        let cuts = (2 * threads()).div_ceil(PART_POINTS * tiles).min(pieces);
        for (strips, part) in strips.chunks(step).flat_map(|some| (0..PARTS).map(move |part| (some, part))) {
            let group = self.group(strips.len());
            let (to_inputs, to_gradients) = (Shared::new(inputs), Shared::new(gradients));
            let floats = group.input_len() + group.gradients.len();
            for_each("points of a weight gradient", floats, strips.len() * blocks, |place| {
                let (number, block) = (place / blocks, place % blocks);
                let (strip, mut patch) = (&strips[number], self.patch());
                // SAFETY: each strip's points of a block are one task's.
                unsafe {
                    if let Some(block) = block.checked_sub(self.in_blocks) {
                        let place = (strip, [number, block]);
                        self.gradients(group, part, source, place, to_gradients, &mut patch);
                    } else {
                        self.inputs(group, part, (strip, [number, block]), to_inputs, &mut patch);
                    }
                }
            });
            let points = [&*inputs, &*gradients];
            for_each("weight gradient", PART_POINTS * self.point(), PART_POINTS * tiles * cuts, |place| {
                let (place, cut) = (place / cuts, place % cuts);
                let lanes = pieces * cut / cuts..pieces * (cut + 1) / cuts;
                // SAFETY: each point's tile of the sums, or some lanes of it, is one task's.
                unsafe { self.products(group, points, [part, place / tiles, place % tiles], lanes, sums) };
            });
        }
    }

    unsafe fn finish(&self, block: usize, in_blocks: Range<usize>, grown: &[f32], packed: Shared<f32>) {
        // SAFETY: the caller's place.
        unsafe { self.of(in_blocks).finish_here(block, grown, packed) };
    }
}

impl MinimalWeightGradient<'_> {
    fn grown_len(&self) -> usize {
        POINTS * self.point()
    }

    /// # Safety
    /// Nobody else uses the sums meanwhile.
    unsafe fn add_here(&self, pieces: &[Piece], gradient: &[f32], sums: Shared<f32>) {
        let strips = strips(pieces);
        let step = self.strips(GROUP).min(strips.len());
        let most = self.group(step);
        let mut scratch = self.context.arena.take(most.input_len() + most.gradients.len());
        let (inputs, gradients) = scratch.split_at_mut(most.input_len());
        let mut patch = self.patch();
        let source = Source::of_map(gradient, &self.gradient);
        for (strips, part) in strips.chunks(step).flat_map(|some| (0..PARTS).map(move |part| (some, part))) {
            let group = self.group(strips.len());
            let (to_inputs, to_gradients) = (Shared::new(inputs), Shared::new(gradients));
            for (number, strip) in strips.iter().enumerate() {
                for block in 0..self.in_blocks {
                    // SAFETY: this task's alone.
                    unsafe { self.inputs(group, part, (strip, [number, block]), to_inputs, &mut patch) };
                }
                for block in 0..self.gradient.blocks() {
                    let place = (strip, [number, block]);
                    // SAFETY: as above.
                    unsafe { self.gradients(group, part, source, place, to_gradients, &mut patch) };
                }
            }
            for number in 0..PART_POINTS {
                for tile in 0..self.output_tiles() {
                    // SAFETY: as above.
                    unsafe {
                        let points = [&*inputs, &*gradients];
                        self.products(group, points, [part, number, tile], 0..self.lane_pieces(), sums);
                    };
                }
            }
        }
    }

    /// # Safety
    /// Nobody else uses this block's place meanwhile.
    unsafe fn finish_here(&self, block: usize, grown: &[f32], packed: Shared<f32>) {
        assert_eq!(grown.len(), self.grown_len(), "the sums");
        let in_lanes = self.in_blocks * LANES;
        for in_block in 0..self.in_blocks {
            let place =
                block * self.layout.out_block() + (self.first_in_block + in_block) * self.layout.in_block();
            // SAFETY: the caller's place.
            let to = unsafe { packed.part(place, self.layout.in_block()) };
            let sums = PointSums {
                from: grown[(block * in_lanes + in_block * LANES) * LANES..].as_ptr(),
                point: self.point(),
                channels: LANES,
                to: to.as_mut_ptr(),
                tap: LANES * LANES,
            };
            // SAFETY: sums and packed gradient have these lengths.
            unsafe { self.context.isa.form::<WeightGradientTransform>()(&sums) };
        }
    }
}

/// Floats of a sum at its points.
pub(in super::super) fn sum_len(spec: &ConvSpec) -> usize {
    POINTS * point(spec.in_channels.div_ceil(LANES), spec.out_channels.div_ceil(LANES))
}

/// Floats of one of them, `[block][in lanes][16]`.
fn point(in_blocks: usize, blocks: usize) -> usize {
    (blocks * in_blocks * LANES + 1) * LANES
}

/// A strip of tiles of a piece.
struct Strip {
    image: usize,
    /// Its first row in the image.
    y: usize,
    /// Which piece, and its first row there.
    piece: usize,
    row: usize,
}

fn strips(pieces: &[Piece]) -> Vec<Strip> {
    let of_piece = |(piece, &Piece { image, ref rows, .. }): (usize, &Piece)| {
        let start = rows.start;
        (0..rows.len()).step_by(TILE).map(move |row| Strip { image, y: start + row, piece, row })
    };
    pieces.iter().enumerate().flat_map(of_piece).collect()
}
