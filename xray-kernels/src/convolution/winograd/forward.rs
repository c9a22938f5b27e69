//! Groups of tiles from planes to a map: a forward pass, or an input gradient.
#![expect(unsafe_code, reason = "threads write disjoint strips and blocks of one buffer")]

use super::super::cut::Piece;
use super::super::tile::limits;
use super::input::{InputStrip, InputTransform};
use super::output::{OutputStrip, OutputTransform};
use super::products::{Points, Products};
use super::source::Source;
use super::weights::{Weights, point, point_weights, write_points};
use super::{Grid, PATCH, POINTS, TILE};
use crate::context::Context;
use crate::halo::clear_halo;
use crate::isa::Form;
use crate::lanes::LANES;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks;
use std::ops::Range;
use std::ptr;

/// Floats of a group's points, of its input channels and of the output channels at hand: they should stay in the
/// second cache.
const GROUP: usize = 112 * 1024;
/// Fewer tiles than this would not be worth the way of the weights through the caches.
const FEWEST: usize = 32;
/// Tiles whose outputs' points should stay in the second cache, where the weights are made for each group.
const MOST: usize = 128;

/// What happens to outputs before they are written.
#[derive(Clone, Copy)]
pub(in super::super) struct Epilogue<'a> {
    /// `[blocks * 16]`.
    pub(in super::super) bias: Option<&'a [f32]>,
    pub(in super::super) clamp: Option<f32>,
    /// 2 x 2 max pooling; the map is the pooled one.
    pub(in super::super) pool: bool,
    /// Whether outputs are added to what the map holds.
    pub(in super::super) accumulate: bool,
    /// Whether the map's halo becomes zero.
    pub(in super::super) halo: bool,
    /// Sums of each strip, `[images][strips][blocks][2][16]`.
    pub(in super::super) sums: Option<Shared<'a, f32>>,
}

impl Epilogue<'_> {
    /// For recordings: only a forward pass writes the halo.
    fn name(&self) -> &'static str {
        if self.halo { "convolution" } else { "input gradient" }
    }
}

/// A strip of tiles: where its patches begin in the source, and which of the map's it is.
struct Strip {
    /// Which of the source's images, and the row of it.
    from: usize,
    y: usize,
    image: usize,
    strip: usize,
}

/// A convolution over whole images.
pub(in super::super) struct MinimalConvolution<'a> {
    context: &'a Context,
    padding: usize,
    weights: Weights<'a>,
    in_blocks: usize,
    grid: Grid,
    map: Shared<'a, f32>,
    shape: MapShape,
    epilogue: Epilogue<'a>,
    output: Form<OutputStrip>,
    /// Strips of a group.
    group: usize,
}

impl<'a> MinimalConvolution<'a> {
    /// From `in_blocks` blocks to a map of the given shape.
    pub(in super::super) fn new(
        context: &'a Context,
        padding: usize,
        (weights, in_blocks): (Weights<'a>, usize),
        (map, shape): (Shared<'a, f32>, MapShape),
        [height, width]: [usize; 2],
        epilogue: Epilogue<'a>,
    ) -> Self {
        let isa = context.isa;
        let grid = Grid::new(height, width);
        let output = if epilogue.pool {
            isa.form::<OutputTransform<true>>()
        } else {
            isa.form::<OutputTransform<false>>()
        };
        let lanes = (in_blocks + limits(isa).1) * LANES;
        let group = (GROUP / (POINTS * lanes)).max(FEWEST).div_ceil(grid.columns);
        Self { context, padding, weights, in_blocks, grid, map, shape, epilogue, output, group }
    }

    fn tiles_of_blocks(&self) -> usize {
        self.shape.blocks().div_ceil(limits(self.context.isa).1)
    }

    /// All images, on the threads of the pool.
    pub(in super::super) fn run_all(&self, source: Source, images: usize) {
        let strips = images * self.grid.strips;
        let all: Vec<_> = (0..strips)
            .map(|number| {
                let (image, strip) = (number / self.grid.strips, number % self.grid.strips);
                Strip { from: image, y: strip * TILE, image, strip }
            })
            .collect();
        let (threads, columns) = (tasks::threads(), self.tiles_of_blocks());
        let floats = self.shape.pixels() * self.shape.blocks() * LANES;
        if let Weights::InPassing { packed, flipped } = self.weights {
            if threads > columns {
                // As many groups as these threads need would make all weights again and again.
                let made = point_weights(self.context, packed, self.in_blocks, flipped);
                return MinimalConvolution { weights: Weights::Kept(&made), ..*self }.run_all(source, images);
            }
            let tiles = strips * self.grid.columns;
            let most = tiles.div_ceil((2 * threads).div_ceil(columns)).clamp(FEWEST / 2, MOST);
            let groups: Vec<_> = all.chunks(most.div_ceil(self.grid.columns)).collect();
            return self.in_parts(source, &groups, columns, floats);
        }
        let wanted = if threads == 1 { 1 } else { 4 * threads };
        // Smaller groups take the weights through the caches more often, so what threads are missing is made up by
        // parts of the output channels, as far as there are any.
        let tiles = [FEWEST, FEWEST / 2, FEWEST / 4];
        let sizes =
            tiles.map(|tiles| self.group.min(strips.div_ceil(wanted).max(tiles.div_ceil(self.grid.columns))));
        let is_enough = |&group: &usize| strips.div_ceil(group) * columns >= 2 * threads;
        let group = sizes.into_iter().find(is_enough).unwrap_or(sizes[2]);
        let groups: Vec<_> = all.chunks(group).collect();
        let parts = wanted.div_ceil(2 * groups.len()).min(columns);
        if parts == 1 {
            return tasks::for_each(self.epilogue.name(), floats, groups.len(), |number| {
                self.part(source, groups[number], 0..columns);
            });
        }
        self.in_parts(source, &groups, parts, floats);
    }

    /// Groups whose output channels are shared out: all inputs are transformed first, because all parts read them.
    fn in_parts(&self, source: Source, groups: &[&[Strip]], parts: usize, floats: usize) {
        let (in_blocks, columns) = (self.in_blocks, self.tiles_of_blocks());
        let points = |strips: &[Strip]| self.points(in_blocks, strips);
        let most = points(groups[0]).len();
        let mut inputs = self.context.arena.take(groups.len() * most);
        let shared = Shared::new(&mut inputs);
        tasks::for_each("inputs at their points", floats, groups.len() * in_blocks, |number| {
            let (group, block) = (number / in_blocks, number % in_blocks);
            let points = points(groups[group]);
            let (start, len) = (group * most + points.offset(block, 0), Points { blocks: 1, ..points }.len());
            let mut patch = self.context.arena.take(self.patch());
            // SAFETY: a block of a group is one task's.
            let to = unsafe { shared.part(start, len) };
            self.transform_block(source, groups[group], block, (to, points), &mut patch);
        });
        tasks::for_each(self.epilogue.name(), floats, groups.len() * parts, |number| {
            // Neighbours take the same weights, which are more than the inputs.
            let (group, part) = (number % groups.len(), number / groups.len());
            let columns = columns * part / parts..columns * (part + 1) / parts;
            let outputs = self.points(self.most_blocks(), groups[group]);
            let mut to = self.context.arena.take(outputs.len());
            let from = (&inputs[group * most..], points(groups[group]));
            self.outputs(groups[group], columns, from, (&mut to, outputs));
        });
    }

    /// Pieces whose rows begin at the first row of the source's planes, one for each, on this thread. An image's last
    /// piece goes on to the end of the map.
    pub(in super::super) fn run_pieces(&self, source: Source, pieces: &[Piece], columns: Range<usize>) {
        let strips = pieces.iter().enumerate().flat_map(|(number, Piece { image, rows, is_last })| {
            let end = if *is_last { self.grid.strips } else { rows.end / TILE };
            (rows.start / TILE..end).map(move |strip| Strip {
                from: number,
                y: strip * TILE - rows.start,
                image: *image,
                strip,
            })
        });
        self.part(source, &strips.collect::<Vec<_>>(), columns);
    }

    /// Points of so many blocks of some strips.
    fn points(&self, blocks: usize, strips: &[Strip]) -> Points {
        Points { blocks, count: POINTS, tiles: strips.len() * self.grid.columns }
    }

    /// Blocks of the output at a time.
    fn most_blocks(&self) -> usize {
        limits(self.context.isa).1.min(self.shape.blocks())
    }

    /// Floats of a strip of patches.
    fn patch(&self) -> usize {
        PATCH * (self.grid.columns * TILE + 2) * LANES
    }

    fn part(&self, source: Source, strips: &[Strip], columns: Range<usize>) {
        let first = &strips[..self.group.min(strips.len())];
        let inputs = self.points(self.in_blocks, first);
        let outputs = self.points(self.most_blocks(), first);
        let mut scratch = self.context.arena.take(inputs.len() + outputs.len() + self.patch());
        let (from, rest) = scratch.split_at_mut(inputs.len());
        let (to, patch) = rest.split_at_mut(outputs.len());
        for strips in strips.chunks(first.len()) {
            let inputs = self.points(inputs.blocks, strips);
            let block = Points { blocks: 1, ..inputs }.len();
            for (number, to) in from[..inputs.len()].chunks_mut(block).enumerate() {
                self.transform_block(source, strips, number, (to, inputs), patch);
            }
            let outputs = self.points(outputs.blocks, strips);
            self.outputs(strips, columns.clone(), (from, inputs), (to, outputs));
        }
    }

    /// The products of some strips' inputs, at their points, with the weights of some columns, to the map.
    fn outputs(
        &self,
        strips: &[Strip],
        columns: Range<usize>,
        from: (&[f32], Points),
        (to, points): (&mut [f32], Points),
    ) {
        let (most, in_blocks, isa) = (self.most_blocks(), self.in_blocks, self.context.isa);
        let mut made = None;
        for column in columns {
            let first = column * most;
            let outputs = Points { blocks: most.min(self.shape.blocks() - first), ..points };
            let weights = match self.weights {
                Weights::Kept(weights) => &weights[first * POINTS * point(in_blocks)..],
                Weights::InPassing { packed, flipped } => {
                    let room = || self.context.arena.take(most * POINTS * point(in_blocks));
                    let made = made.get_or_insert_with(room);
                    let blocks = first..first + outputs.blocks;
                    write_points(self.context, packed, (in_blocks, flipped), blocks, made);
                    &made[..]
                }
            };
            Products { isa, weights, in_blocks }.run(from, (to, outputs));
            self.write(strips, first, (to, outputs));
        }
    }

    /// Inputs of some strips to their points, in one block of channels.
    fn transform_block(
        &self,
        source: Source,
        strips: &[Strip],
        block: usize,
        (to, points): (&mut [f32], Points),
        patch: &mut [f32],
    ) {
        assert!(to.len() >= Points { blocks: 1, ..points }.len(), "room for all points");
        let form = self.context.isa.form::<InputTransform<PATCH, 0>>();
        let size = [PATCH, self.grid.columns * TILE + 2];
        for (number, strip) in strips.iter().enumerate() {
            let strip = source.strip([strip.from, block], strip.y, self.padding, size, patch);
            let strip = InputStrip {
                from: strip.first,
                row: strip.row,
                tiles: self.grid.columns,
                to: to[points.offset(0, number * self.grid.columns)..].as_mut_ptr(),
                tile: LANES,
                point: points.point(),
            };
            // SAFETY: the source vouches for the strip; the points have room for all tiles of the block.
            unsafe { form(&strip) };
        }
    }

    /// Points of some blocks of the output to the map.
    fn write(&self, strips: &[Strip], first: usize, from: (&[f32], Points)) {
        let (from, points) = from;
        assert!(from.len() >= points.len(), "all points are there");
        let Epilogue { bias, clamp, pool, accumulate, halo, sums } = self.epilogue;
        let size = if pool { TILE / 2 } else { TILE };
        for (number, &Strip { image, strip, .. }) in strips.iter().enumerate() {
            if halo && strip == 0 {
                // SAFETY: the halo of an image's blocks belongs to whoever writes its first strip.
                unsafe { clear_halo(self.map, &self.shape, image, first..first + points.blocks) };
            }
            let y = (strip * size).min(self.shape.height);
            for block in 0..points.blocks {
                let place = (image * self.grid.strips + strip) * self.shape.blocks() + first + block;
                let strip = OutputStrip {
                    from: from[points.offset(block, number * self.grid.columns)..].as_ptr(),
                    point: points.point(),
                    tiles: self.grid.columns,
                    to: self.map.at(self.shape.offset(image, first + block, y, 0)),
                    row: self.shape.row(),
                    rows: size.min(self.shape.height - y),
                    columns: self.shape.width,
                    bias: bias.map_or(ptr::null(), |bias| bias[(first + block) * LANES..].as_ptr()),
                    clamp,
                    accumulate,
                    sums: sums.map_or(ptr::null_mut(), |sums| sums.at(place * 2 * LANES)),
                };
                // SAFETY: strips and blocks of the map belong to one part each, and so do their sums.
                unsafe { (self.output)(&strip) };
            }
        }
    }
}
