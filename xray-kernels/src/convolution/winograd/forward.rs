//! Groups of tiles from planes to a map: a forward pass, or an input gradient.
#![expect(unsafe_code, reason = "threads write disjoint strips and blocks of one buffer")]

use super::super::cut::Piece;
use super::super::tile::limits;
use super::input::{InputStrip, InputTransform};
use super::output::{OutputStrip, OutputTransform};
use super::products::{Points, Products};
use super::source::Source;
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

/// What happens to outputs before they are written.
#[derive(Clone, Copy)]
pub(in super::super) struct Epilogue<'a> {
    /// `[blocks * 16]`.
    pub(in super::super) bias: Option<&'a [f32]>,
    pub(in super::super) relu: bool,
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
    products: Products<'a>,
    grid: Grid,
    map: Shared<'a, f32>,
    shape: MapShape,
    epilogue: Epilogue<'a>,
    output: Form<OutputStrip>,
    /// Strips of a group.
    group: usize,
}

impl<'a> MinimalConvolution<'a> {
    /// With `weights` at their points, from `in_blocks` blocks to a map of the given shape.
    pub(in super::super) fn new(
        context: &'a Context,
        padding: usize,
        (weights, in_blocks): (&'a [f32], usize),
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
        let products = Products { isa, weights, in_blocks };
        Self { context, padding, products, grid, map, shape, epilogue, output, group }
    }

    fn tiles_of_blocks(&self) -> usize {
        self.shape.blocks().div_ceil(limits(self.context.isa).1)
    }

    /// All images, on the threads of the pool.
    pub(in super::super) fn run_all(&self, source: Source, images: usize) {
        let (strips, columns) = (images * self.grid.strips, self.tiles_of_blocks());
        let threads = tasks::threads();
        let wanted = if threads == 1 { 1 } else { 4 * threads };
        let group = self.group.min(strips.div_ceil(wanted).max(FEWEST.div_ceil(2 * self.grid.columns)));
        let groups = strips.div_ceil(group);
        // Each part of the output channels transforms the inputs again, so no more of them than it takes.
        let parts = wanted.div_ceil(2 * groups).min(columns);
        let floats = self.shape.pixels() * self.shape.blocks() * LANES;
        tasks::for_each(self.epilogue.name(), floats, groups * parts, |number| {
            let (first, part) = (number / parts * group, number % parts);
            let columns = columns * part / parts..columns * (part + 1) / parts;
            let strips = (first..(first + group).min(strips)).map(|number| {
                let (image, strip) = (number / self.grid.strips, number % self.grid.strips);
                Strip { from: image, y: strip * TILE, image, strip }
            });
            self.part(source, &strips.collect::<Vec<_>>(), columns);
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

    fn part(&self, source: Source, strips: &[Strip], columns: Range<usize>) {
        let most = limits(self.context.isa).1;
        let group = self.group.min(strips.len());
        let tiles = group * self.grid.columns;
        let inputs = Points { blocks: self.products.in_blocks, count: POINTS, tiles };
        let outputs = Points { blocks: most.min(self.shape.blocks()), count: POINTS, tiles };
        let patch = PATCH * (self.grid.columns * TILE + 2) * LANES;
        let mut scratch = self.context.arena.take(inputs.len() + outputs.len() + patch);
        let (from, rest) = scratch.split_at_mut(inputs.len());
        let (to, patch) = rest.split_at_mut(outputs.len());
        for strips in strips.chunks(group) {
            let tiles = strips.len() * self.grid.columns;
            let inputs = Points { tiles, ..inputs };
            self.transform(source, strips, (from, inputs), patch);
            for column in columns.clone() {
                let first = column * most;
                let blocks = most.min(self.shape.blocks() - first);
                let outputs = Points { blocks, tiles, ..outputs };
                self.products.run(first, (from, inputs), (to, outputs));
                self.write(strips, first, (to, outputs));
            }
        }
    }

    /// Inputs of some strips to their points.
    fn transform(&self, source: Source, strips: &[Strip], to: (&mut [f32], Points), patch: &mut [f32]) {
        let (to, points) = to;
        assert!(to.len() >= points.len(), "room for all points");
        let form = self.context.isa.form::<InputTransform<PATCH, 0>>();
        let size = [PATCH, self.grid.columns * TILE + 2];
        for block in 0..points.blocks {
            for (number, strip) in strips.iter().enumerate() {
                let strip = source.strip([strip.from, block], strip.y, self.padding, size, patch);
                let strip = InputStrip {
                    from: strip.first,
                    row: strip.row,
                    tiles: self.grid.columns,
                    to: to[points.offset(block, number * self.grid.columns)..].as_mut_ptr(),
                    tile: LANES,
                    point: points.point(),
                };
                // SAFETY: the source vouches for the strip; the points have room for all tiles of all blocks.
                unsafe { form(&strip) };
            }
        }
    }

    /// Points of some blocks of the output to the map.
    fn write(&self, strips: &[Strip], first: usize, from: (&[f32], Points)) {
        let (from, points) = from;
        assert!(from.len() >= points.len(), "all points are there");
        let Epilogue { bias, relu, pool, accumulate, halo, sums } = self.epilogue;
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
                    relu,
                    accumulate,
                    sums: sums.map_or(ptr::null_mut(), |sums| sums.at(place * 2 * LANES)),
                };
                // SAFETY: strips and blocks of the map belong to one part each, and so do their sums.
                unsafe { (self.output)(&strip) };
            }
        }
    }
}
