//! The weight gradient of a batch, with sums whose order depends on shapes alone.
#![expect(unsafe_code, reason = "threads write disjoint blocks of one buffer")]

use super::backward::WeightSums;
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

    /// Adds the products of some images, whose gradients begin at `gradient[0]`, for one tile of output blocks
    /// and one block of input channels, image after image.
    ///
    /// # Safety
    /// Nobody else uses this tile of `weights`, which has the packed length, meanwhile.
    unsafe fn add_tile(
        &self,
        images: Range<usize>,
        gradient: &[f32],
        [tile, in_block]: [usize; 2],
        weights: Shared<f32>,
    ) {
        let first = tile * tile_blocks(self.isa);
        let blocks = tile_blocks(self.isa).min(self.gradient.blocks() - first);
        let other = blocks - 1;
        let target = |block: usize| block * self.layout.out_block() + in_block * self.layout.in_block();
        for (number, image) in images.enumerate() {
            let corner = |block: usize| gradient[self.gradient.corner(number, block)..].as_ptr();
            let run = WeightTarget {
                input: self.planes.image(image)[in_block * self.planes.plane..].as_ptr(),
                gradient: [corner(first), corner(first + other)],
                output: [weights.at(target(first)), weights.at(target(first + other))],
                blocks,
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

    fn add(&self, images: Range<usize>, gradient: &[f32], sums: &mut [f32]) {
        let sums = Shared::new(sums);
        for tile in 0..self.tiles() {
            for in_block in 0..self.planes.blocks {
                // SAFETY: the sums are this call's.
                unsafe { self.add_tile(images.clone(), gradient, [tile, in_block], sums) };
            }
        }
    }

    fn add_all(&self, images: usize, gradient: &[f32], sums: &mut [f32]) {
        let (shared, in_blocks) = (Shared::new(sums), self.planes.blocks);
        for_each("weight gradient", self.layout.len(), self.tiles() * in_blocks, |number| {
            let place = [number / in_blocks, number % in_blocks];
            // SAFETY: each tile belongs to one task.
            unsafe { self.add_tile(0..images, gradient, place, shared) };
        });
    }

    fn finish(&self, parts: &mut [f32], grad_weights: &mut [f32]) {
        self.layout.unpack_sum(parts, grad_weights);
    }
}

/// How the sum over images is cut: into this many runs of images, added up in their order afterwards. One run
/// where the weights outweigh the gradients; then threads share out the weights instead.
///
/// A function of shapes, never of threads, so that the result has the same bits on any number of them.
pub(super) fn runs_of_images(images: usize, weights: usize, gradient_image: usize) -> usize {
    const MOST: usize = 8;
    let runs = images.min(MOST);
    if images < MOST / 2 || weights * runs > gradient_image * images { 1 } else { runs }
}

/// The images of a run.
pub(super) fn run_range(images: usize, runs: usize, run: usize) -> Range<usize> {
    images * run / runs..images * (run + 1) / runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_all_images_once() {
        for images in 1..40 {
            let runs = runs_of_images(images, 1, 1000);
            let all: Vec<usize> = (0..runs).flat_map(|run| run_range(images, runs, run)).collect();
            assert_eq!(all, (0..images).collect::<Vec<_>>());
        }
    }
}
