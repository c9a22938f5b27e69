//! The weight gradient: at each point, inputs times gradients summed over tiles, in an order that depends on shapes
//! alone; then back from points to taps.
#![expect(unsafe_code, reason = "threads write disjoint parts of one buffer")]

use super::super::backward::WeightSums;
use super::super::pack::WeightLayout;
use super::super::tile::limits;
use super::super::weight_tile::{WeightRun, weight_form, weight_tile_limit};
use super::gradient::{PointSums, WeightGradientTransform};
use super::input::InputStrip;
use super::part::{Group, PART_POINTS, PARTS, gradient_form, input_form};
use super::products::Points;
use super::source::Source;
use super::{Grid, PATCH, POINTS, TILE};
use crate::arena::ArenaBuffer;
use crate::context::Context;
use crate::isa::Form;
use crate::lanes::LANES;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::{for_each, for_each_chunk};
use std::ops::Range;

/// Floats of a part of a group's points that should stay in the second cache.
const GROUP: usize = 96 * 1024;
/// Floats of a part of a group's points where all threads share it, in the third cache.
const SHARED_GROUP: usize = 1024 * 1024;

/// Sums products of points.
pub(in super::super) struct MinimalWeightGradient<'a> {
    pub(in super::super) context: &'a Context,
    pub(in super::super) source: Source<'a>,
    pub(in super::super) padding: usize,
    pub(in super::super) layout: WeightLayout,
    pub(in super::super) in_blocks: usize,
    /// Of the output's gradient, as the caller holds it.
    pub(in super::super) gradient: MapShape,
}

impl MinimalWeightGradient<'_> {
    fn grid(&self) -> Grid {
        Grid::new(self.gradient.height, self.gradient.width)
    }

    /// Floats of a point of the sums, `[block][in lanes][16]`.
    fn point(&self) -> usize {
        (self.gradient.blocks() * self.in_blocks * LANES + 1) * LANES
    }

    fn group(&self, strips: usize) -> Group {
        let gradients = Points {
            blocks: self.gradient.blocks(),
            count: PART_POINTS,
            tiles: strips * self.grid().columns,
        };
        Group { in_lanes: self.in_blocks * LANES, gradients }
    }

    /// Strips of a group whose points take about so many floats.
    fn strips(&self, floats: usize) -> usize {
        let lanes = (self.in_blocks + self.gradient.blocks()) * LANES;
        (floats / (PART_POINTS * lanes)).max(24).div_ceil(self.grid().columns)
    }

    fn patch(&self) -> ArenaBuffer {
        self.context.arena.take(PATCH * (self.grid().columns * TILE + 2) * LANES)
    }

    /// One block of a strip's inputs to their points.
    ///
    /// # Safety
    /// Nobody else uses this strip's points of the block meanwhile.
    unsafe fn inputs(
        &self,
        group: Group,
        part: usize,
        [image, y, number, block]: [usize; 4],
        to: Shared<f32>,
        patch: &mut [f32],
    ) {
        let columns = self.grid().columns;
        let size = [PATCH, columns * TILE + 2];
        let strip = self.source.strip([image, block], y * TILE, self.padding, size, patch);
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
        [image, y, number, block]: [usize; 4],
        to: Shared<f32>,
        patch: &mut [f32],
    ) {
        let columns = self.grid().columns;
        let strip = source.strip([image, block], y * TILE, 0, [TILE, columns * TILE], patch);
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

    /// Adds the products of a group at one point, for one tile of output blocks.
    ///
    /// # Safety
    /// Nobody else uses this part of the sums meanwhile.
    unsafe fn products(
        &self,
        group: Group,
        [inputs, gradients]: [&[f32]; 2],
        [part, number, tile]: [usize; 3],
        sums: Shared<f32>,
    ) {
        let most = limits(self.context.isa).1;
        let first = tile * most;
        let blocks = most.min(self.gradient.blocks() - first);
        let in_lanes = group.in_lanes;
        let gradient =
            |block| gradients[number * group.gradients.point() + group.gradients.offset(block, 0)..].as_ptr();
        let sum = |block: usize| (part * PART_POINTS + number) * self.point() + block * in_lanes * LANES;
        let pieces = in_lanes.div_ceil(weight_tile_limit(self.context.isa));
        for piece in 0..pieces {
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

    fn output_tiles(&self) -> usize {
        self.gradient.blocks().div_ceil(limits(self.context.isa).1)
    }
}

impl WeightSums for MinimalWeightGradient<'_> {
    fn len(&self) -> usize {
        POINTS * self.point()
    }

    fn add(&self, images: Range<usize>, gradient: &[f32], sums: &mut [f32]) {
        assert_eq!(sums.len(), self.len(), "a part of the sums");
        let grid = self.grid();
        let strips = images.len() * grid.strips;
        let step = self.strips(GROUP).min(strips);
        let most = self.group(step);
        let mut scratch = self.context.arena.take(most.input_len() + most.gradients.len());
        let (inputs, gradients) = scratch.split_at_mut(most.input_len());
        let mut patch = self.patch();
        let source = Source::of_map(gradient, &self.gradient);
        let sums = Shared::new(sums);
        for (start, part) in
            (0..strips).step_by(step).flat_map(|start| (0..PARTS).map(move |part| (start, part)))
        {
            let strips = start..(start + step).min(strips);
            let group = self.group(strips.len());
            let (to_inputs, to_gradients) = (Shared::new(inputs), Shared::new(gradients));
            for (number, strip) in strips.enumerate() {
                let (image, y) = (strip / grid.strips, strip % grid.strips);
                for block in 0..self.in_blocks {
                    let place = [images.start + image, y, number, block];
                    // SAFETY: this task's alone.
                    unsafe { self.inputs(group, part, place, to_inputs, &mut patch) };
                }
                for block in 0..self.gradient.blocks() {
                    let place = [image, y, number, block];
                    // SAFETY: as above.
                    unsafe { self.gradients(group, part, source, place, to_gradients, &mut patch) };
                }
            }
            for number in 0..PART_POINTS {
                for tile in 0..self.output_tiles() {
                    // SAFETY: as above.
                    unsafe { self.products(group, [inputs, gradients], [part, number, tile], sums) };
                }
            }
        }
    }

    fn add_all(&self, images: usize, gradient: &[f32], sums: &mut [f32]) {
        assert_eq!(sums.len(), self.len(), "the sums");
        let grid = self.grid();
        let strips = images * grid.strips;
        let step = self.strips(SHARED_GROUP).min(strips);
        let most = self.group(step);
        let mut scratch = self.context.arena.take(most.input_len() + most.gradients.len());
        let (inputs, gradients) = scratch.split_at_mut(most.input_len());
        let source = Source::of_map(gradient, &self.gradient);
        let sums = Shared::new(sums);
        let (blocks, tiles) = (self.in_blocks + self.gradient.blocks(), self.output_tiles());
        for (start, part) in
            (0..strips).step_by(step).flat_map(|start| (0..PARTS).map(move |part| (start, part)))
        {
            let strips = start..(start + step).min(strips);
            let group = self.group(strips.len());
            let (to_inputs, to_gradients) = (Shared::new(inputs), Shared::new(gradients));
            let count = strips.len() * blocks;
            for_each("points of a weight gradient", most.input_len(), count, |place| {
                let mut patch = self.patch();
                let patch = &mut patch;
                let (number, block) = (place / blocks, place % blocks);
                let (image, y) = ((start + number) / grid.strips, (start + number) % grid.strips);
                // SAFETY: each strip's points of a block are one task's.
                unsafe {
                    if let Some(block) = block.checked_sub(self.in_blocks) {
                        self.gradients(group, part, source, [image, y, number, block], to_gradients, patch);
                    } else {
                        self.inputs(group, part, [image, y, number, block], to_inputs, patch);
                    }
                }
            });
            let points = [&*inputs, &*gradients];
            for_each("weight gradient", self.len(), PART_POINTS * tiles, |place| {
                // SAFETY: each point's tile of the sums is one task's.
                unsafe { self.products(group, points, [part, place / tiles, place % tiles], sums) };
            });
        }
    }

    fn finish(&self, parts: &mut [f32], grad_weights: &mut [f32]) {
        let mut packed = self.context.arena.take(self.layout.len());
        let in_lanes = self.in_blocks * LANES;
        for_each_chunk("sum of weight gradients", &mut packed, self.layout.out_block(), |block, to| {
            for in_block in 0..self.in_blocks {
                let sums = PointSums {
                    from: parts[(block * in_lanes + in_block * LANES) * LANES..].as_ptr(),
                    point: self.point(),
                    part: self.len(),
                    parts: parts.len() / self.len(),
                    channels: LANES,
                    to: to[in_block * self.layout.in_block()..].as_mut_ptr(),
                    tap: LANES * LANES,
                };
                // SAFETY: parts and packed gradient have these lengths; the chunk is this task's.
                unsafe { self.context.isa.form::<WeightGradientTransform>()(&sums) };
            }
        });
        self.layout.unpack_sum(&mut packed, grad_weights);
    }
}
