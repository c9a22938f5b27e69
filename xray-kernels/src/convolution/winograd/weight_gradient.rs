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
use super::part::{Group, PART_POINTS, PARTS};
use super::products::Points;
use super::source::Source;
use super::{PATCH, POINTS, TILE};
use crate::arena::ArenaBuffer;
use crate::context::Context;
use crate::isa::Form;
use crate::lanes::LANES;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::{for_each, for_each_chunk, threads};
use std::ops::Range;

/// Floats of a part of a group's points that should stay in the second cache.
const GROUP: usize = 96 * 1024;
/// The same where all threads share it, in the third cache; for many threads half of their second caches.
const SHARED_GROUP: usize = 1024 * 1024;

/// Floats that a task zeroes.
const ZEROS: usize = 16 * 1024;

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

    /// Floats of all sums.
    pub(super) fn sums(&self) -> usize {
        POINTS * self.point()
    }

    /// Floats of a point of the sums.
    fn point(&self) -> usize {
        point(self.in_blocks, self.gradient.blocks())
    }

    /// All points of some strips, or a part of them.
    pub(super) fn group(&self, strips: usize, part: Option<usize>) -> Group {
        let count = if part.is_some() { PART_POINTS } else { POINTS };
        let gradients = Points { blocks: self.gradient.blocks(), count, tiles: strips * self.columns() };
        Group { in_lanes: self.in_blocks * LANES, gradients, part }
    }

    /// Strips of a group whose points take about so many floats.
    fn strips(&self, floats: usize) -> usize {
        let lanes = (self.in_blocks + self.gradient.blocks()) * LANES;
        (floats / (PART_POINTS * lanes)).max(24).div_ceil(self.columns())
    }

    /// For some of its blocks of input channels.
    pub(super) fn of(&self, in_blocks: Range<usize>) -> Self {
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
        unsafe { group.input_form(self.context.isa)(&strip) };
    }

    /// One block of a strip's gradients to their points.
    ///
    /// # Safety
    /// As for inputs.
    unsafe fn gradients(
        &self,
        group: Group,
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
        unsafe { group.gradient_form(self.context.isa)(&strip) };
    }

    /// The points of all strips, on the threads of the pool.
    pub(super) fn points(&self, group: Group, strips: &[Strip], gradient: &[f32], to: [&mut [f32]; 2]) {
        let [inputs, gradients] = to;
        assert!(inputs.len() >= group.input_len() && gradients.len() >= group.gradients.len());
        let (inputs, gradients) = (Shared::new(inputs), Shared::new(gradients));
        let source = Source::of_map(gradient, &self.gradient);
        let blocks = self.in_blocks + self.gradient.blocks();
        let floats = group.input_len() + group.gradients.len();
        for_each("points of a weight gradient", floats, strips.len() * blocks, |place| {
            let (number, block) = (place / blocks, place % blocks);
            let (strip, mut patch) = (&strips[number], self.patch());
            // SAFETY: each strip's points of a block are one task's.
            unsafe {
                if let Some(block) = block.checked_sub(self.in_blocks) {
                    self.gradients(group, source, (strip, [number, block]), gradients, &mut patch);
                } else {
                    self.inputs(group, (strip, [number, block]), inputs, &mut patch);
                }
            }
        });
    }

    /// The products of a group at one point, for one tile of output blocks and some lanes of the input, to sums of each
    /// block that begin with the first of these lanes.
    ///
    /// # Safety
    /// Nobody else uses these sums meanwhile.
    pub(super) unsafe fn products(
        &self,
        group: Group,
        [inputs, gradients]: [&[f32]; 2],
        [number, tile]: [usize; 2],
        lanes: Range<usize>,
        (sums, accumulate): ([*mut f32; 2], bool),
    ) {
        let blocks = self.blocks_of(tile);
        let gradient =
            |block| gradients[number * group.gradients.point() + group.gradients.offset(block, 0)..].as_ptr();
        let pieces = lanes.len().div_ceil(weight_tile_limit(self.context.isa));
        for piece in 0..pieces {
            let [start, end] = [piece, piece + 1].map(|piece| lanes.len() * piece / pieces);
            let run = WeightRun {
                input: inputs[number * group.input_point() + lanes.start + start..].as_ptr(),
                input_step: group.input_tile(),
                input_row: 0,
                gradient: [blocks.start, blocks.end - 1].map(gradient),
                gradient_row: 0,
                rows: 1,
                columns: group.gradients.tiles,
                // SAFETY: sums are of all lanes.
                output: sums.map(|sums| unsafe { sums.add(start * LANES) }),
                accumulate,
            };
            let form: Form<WeightRun> = weight_form(self.context.isa, end - start, blocks.len());
            // SAFETY: points of the group and sums have these lengths; the sums are the caller's.
            unsafe { form(&run) };
        }
    }

    /// Adds the products of a group at one point, for one tile of output blocks and some pieces of the input lanes, to
    /// what all sums grow in.
    ///
    /// # Safety
    /// Nobody else uses this part of the sums meanwhile.
    unsafe fn add_products(
        &self,
        group: Group,
        points: [&[f32]; 2],
        [number, tile]: [usize; 2],
        pieces: Range<usize>,
        sums: Shared<f32>,
    ) {
        let (in_lanes, all) = (group.in_lanes, self.lane_pieces());
        let lanes = in_lanes * pieces.start / all..in_lanes * pieces.end / all;
        let blocks = self.blocks_of(tile);
        let sum =
            |block| sums.at(group.place(number) * self.point() + (block * in_lanes + lanes.start) * LANES);
        // SAFETY: the caller's sums.
        unsafe {
            let to = ([blocks.start, blocks.end - 1].map(sum), true);
            self.products(group, points, [number, tile], lanes, to);
        }
    }

    /// Blocks of output channels of a tile.
    pub(super) fn blocks_of(&self, tile: usize) -> Range<usize> {
        let most = limits(self.context.isa).1;
        tile * most..((tile + 1) * most).min(self.gradient.blocks())
    }

    /// Pieces of the input lanes, each of which a register tile takes.
    fn lane_pieces(&self) -> usize {
        (self.in_blocks * LANES).div_ceil(weight_tile_limit(self.context.isa))
    }

    pub(super) fn output_tiles(&self) -> usize {
        self.gradient.blocks().div_ceil(limits(self.context.isa).1)
    }
}

impl WeightSums for MinimalWeightGradient<'_> {
    fn len(&self) -> usize {
        self.layout.len()
    }

    fn growing(&self, in_blocks: usize) -> Option<usize> {
        Some(self.of(0..in_blocks).sums())
    }

    unsafe fn start(&self, _: Range<usize>, _: Shared<f32>) {}

    unsafe fn add(&self, pieces: &[Piece], gradient: &[f32], in_blocks: Range<usize>, sums: Shared<f32>) {
        // SAFETY: the caller's sums.
        unsafe { self.of(in_blocks).add_here(pieces, gradient, sums) };
    }

    fn write_all(&self, pieces: &[Piece], gradient: &[f32], packed: &mut [f32]) {
        let strips = strips(pieces);
        if self.are_few(&strips) {
            return self.write_few(&strips, gradient, packed);
        }
        let mut grown = self.context.arena.take(self.sums());
        for_each_chunk("zeros of a sum", &mut grown, ZEROS, |_, sums| sums.fill(0.0));
        self.add_all(&strips, gradient, &mut grown);
        let (floats, to) = (grown.len(), Shared::new(packed));
        let count = self.gradient.blocks() * self.in_blocks;
        for_each("weight gradient from points", floats, count, |number| {
            let (block, in_block) = (number / self.in_blocks, number % self.in_blocks);
            let from = &grown[number * LANES * LANES..];
            // SAFETY: each pair of blocks is one task's.
            unsafe { self.of(in_block..in_block + 1).taps(block, (from, self.point()), to) };
        });
    }

    unsafe fn finish(&self, block: usize, in_blocks: Range<usize>, grown: &[f32], packed: Shared<f32>) {
        let some = self.of(in_blocks);
        assert_eq!(grown.len(), some.sums(), "the sums");
        let from = (&grown[block * some.in_blocks * LANES * LANES..], some.point());
        // SAFETY: the caller's place.
        unsafe { some.taps(block, from, packed) };
    }
}

impl MinimalWeightGradient<'_> {
    /// Adds the products of all strips, on the threads of the pool.
    fn add_all(&self, strips: &[Strip], gradient: &[f32], grown: &mut [f32]) {
        let step = self.strips(SHARED_GROUP.max(threads() * GROUP / 2)).min(strips.len());
        let most = self.group(step, Some(0));
        let mut scratch = self.context.arena.take(most.input_len() + most.gradients.len());
        let (inputs, gradients) = scratch.split_at_mut(most.input_len());
        let sums = Shared::new(grown);
        let (tiles, pieces) = (self.output_tiles(), self.lane_pieces());
        let cuts = (2 * threads()).div_ceil(PART_POINTS * tiles).min(pieces);
        for (strips, part) in strips.chunks(step).flat_map(|some| (0..PARTS).map(move |part| (some, part))) {
            let group = self.group(strips.len(), Some(part));
            self.points(group, strips, gradient, [inputs, gradients]);
            let points = [&*inputs, &*gradients];
            for_each("weight gradient", PART_POINTS * self.point(), PART_POINTS * tiles * cuts, |place| {
                let (place, cut) = (place / cuts, place % cuts);
                let pieces = pieces * cut / cuts..pieces * (cut + 1) / cuts;
                // SAFETY: each point's tile of the sums, or some lanes of it, is one task's.
                unsafe { self.add_products(group, points, [place / tiles, place % tiles], pieces, sums) };
            });
        }
    }

    /// # Safety
    /// Nobody else uses the sums meanwhile.
    unsafe fn add_here(&self, pieces: &[Piece], gradient: &[f32], sums: Shared<f32>) {
        let strips = strips(pieces);
        let step = self.strips(GROUP).min(strips.len());
        let most = self.group(step, Some(0));
        let mut scratch = self.context.arena.take(most.input_len() + most.gradients.len());
        let (inputs, gradients) = scratch.split_at_mut(most.input_len());
        let mut patch = self.patch();
        let source = Source::of_map(gradient, &self.gradient);
        for (strips, part) in strips.chunks(step).flat_map(|some| (0..PARTS).map(move |part| (some, part))) {
            let group = self.group(strips.len(), Some(part));
            let (to_inputs, to_gradients) = (Shared::new(inputs), Shared::new(gradients));
            for (number, strip) in strips.iter().enumerate() {
                for block in 0..self.in_blocks {
                    // SAFETY: this task's alone.
                    unsafe { self.inputs(group, (strip, [number, block]), to_inputs, &mut patch) };
                }
                for block in 0..self.gradient.blocks() {
                    let place = (strip, [number, block]);
                    // SAFETY: as above.
                    unsafe { self.gradients(group, source, place, to_gradients, &mut patch) };
                }
            }
            for number in 0..PART_POINTS {
                for tile in 0..self.output_tiles() {
                    // SAFETY: as above.
                    unsafe {
                        let points = [&*inputs, &*gradients];
                        self.add_products(group, points, [number, tile], 0..self.lane_pieces(), sums);
                    };
                }
            }
        }
    }

    /// Sums at points that are so many floats apart, of one block of output channels, to their place.
    ///
    /// # Safety
    /// Nobody else uses this block's place meanwhile.
    pub(super) unsafe fn taps(&self, block: usize, (from, point): (&[f32], usize), packed: Shared<f32>) {
        let sums = self.in_blocks * LANES * LANES;
        assert!(from.len() >= (POINTS - 1) * point + sums, "sums of all points");
        let layout = &self.layout;
        for in_block in 0..self.in_blocks {
            let place = block * layout.out_block() + (self.first_in_block + in_block) * layout.in_block();
            // SAFETY: the caller's place.
            let to = unsafe { packed.part(place, layout.in_block()) };
            let sums = PointSums {
                from: from[in_block * LANES * LANES..].as_ptr(),
                point,
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

/// Floats of one of them, `[block][in lanes][16]`, with a vector of nothing behind.
pub(super) fn point(in_blocks: usize, blocks: usize) -> usize {
    (blocks * in_blocks * LANES + 1) * LANES
}

/// A strip of tiles of a piece.
pub(super) struct Strip {
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
