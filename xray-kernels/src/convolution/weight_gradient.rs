//! The weight gradient of a batch, with sums whose order depends on shapes alone.
#![expect(unsafe_code, reason = "threads write disjoint blocks of one buffer")]

use super::backward::WeightSums;
use super::cut::Piece;
use super::pack::WeightLayout;
use super::weight_pass::{WeightPass, WeightTarget, tile_blocks};
use crate::isa::Isa;
use crate::planes::Planes;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::for_each;
use std::ops::Range;

/// Adds products into a packed gradient.
pub(super) struct WeightGradient<'a> {
    pub(super) isa: Isa,
    pub(super) planes: &'a Planes<'a>,
    pub(super) pass: WeightPass,
    pub(super) layout: WeightLayout,
    /// The shape of the output's gradient, as the caller holds it.
    pub(super) gradient: MapShape,
}

impl WeightGradient<'_> {
    /// Tiles of output blocks.
    fn tiles(&self) -> usize {
        self.gradient.blocks().div_ceil(tile_blocks(self.isa))
    }

    /// Zeroes a tile of output blocks and one block of input channels.
    ///
    /// # Safety
    /// Nobody else uses this tile of `weights`, which has the packed length, meanwhile.
    unsafe fn start_tile(&self, [tile, in_block]: [usize; 2], weights: Shared<f32>) {
        let (layout, most) = (&self.layout, tile_blocks(self.isa));
        for block in tile * most..((tile + 1) * most).min(self.gradient.blocks()) {
            let place = block * layout.out_block() + in_block * layout.in_block();
            // SAFETY: the caller's tile.
            unsafe { weights.part(place, layout.in_block()) }.fill(0.0);
        }
    }

    /// Adds the products of some pieces, whose gradients begin at `gradient[0]`, for one tile of output blocks
    /// and one block of input channels, one after the other.
    ///
    /// # Safety
    /// Nobody else uses this tile of `weights`, which has the packed length, meanwhile.
    unsafe fn add_tile(
        &self,
        pieces: &[Piece],
        gradient: &[f32],
        [tile, in_block]: [usize; 2],
        weights: Shared<f32>,
    ) {
        let first = tile * tile_blocks(self.isa);
        let blocks = tile_blocks(self.isa).min(self.gradient.blocks() - first);
        let other = blocks - 1;
        let first_input = in_block * self.planes.plane;
        let target = |block: usize| block * self.layout.out_block() + in_block * self.layout.in_block();
        for (number, Piece { image, rows, .. }) in pieces.iter().enumerate() {
            let corner = |block: usize| gradient[self.gradient.corner(number, block)..].as_ptr();
            let run = WeightTarget {
                input: self.planes.image(*image)[first_input + rows.start * self.pass.input_row..].as_ptr(),
                gradient: [corner(first), corner(first + other)],
                output: [weights.at(target(first)), weights.at(target(first + other))],
                blocks,
                rows: rows.len(),
            };
            // SAFETY: the planes have the shapes that the pass was made for; the tile is the caller's.
            unsafe { self.pass.run(&run) };
        }
    }
}

impl WeightSums for WeightGradient<'_> {
    fn len(&self) -> usize {
        self.layout.len()
    }

    fn growing(&self, _: usize) -> Option<usize> {
        None
    }

    unsafe fn start(&self, in_blocks: Range<usize>, packed: Shared<f32>) {
        for tile in 0..self.tiles() {
            for in_block in in_blocks.clone() {
                // SAFETY: the caller's blocks.
                unsafe { self.start_tile([tile, in_block], packed) };
            }
        }
    }

    unsafe fn add(&self, pieces: &[Piece], gradient: &[f32], in_blocks: Range<usize>, sums: Shared<f32>) {
        for tile in 0..self.tiles() {
            for in_block in in_blocks.clone() {
                // SAFETY: the caller's blocks.
                unsafe { self.add_tile(pieces, gradient, [tile, in_block], sums) };
            }
        }
    }

    fn write_all(&self, pieces: &[Piece], gradient: &[f32], packed: &mut [f32]) {
        let (shared, in_blocks) = (Shared::new(packed), self.planes.blocks);
        for_each("weight gradient", self.layout.len(), self.tiles() * in_blocks, |number| {
            let place = [number / in_blocks, number % in_blocks];
            // SAFETY: each tile belongs to one task.
            unsafe {
                self.start_tile(place, shared);
                self.add_tile(pieces, gradient, place, shared);
            };
        });
    }

    unsafe fn finish(&self, _: usize, _: Range<usize>, _: &[f32], _: Shared<f32>) {}
}
