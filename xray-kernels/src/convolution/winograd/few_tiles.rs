//! The weight gradient of few tiles for many channels, whose sums at points would be as large as the points.
//!
//! So all tiles go to their points first. A task then sums the products of some input channels with some output channels
//! over all tiles, at every point, and goes back to taps while its sums are in the second cache. With 512 channels at 7 x 7
//! pixels the sums of all channels are 38 MB, which would be zeroed, added to and read once more.
#![expect(unsafe_code, reason = "threads write disjoint blocks of one buffer")]

use super::POINTS;
use super::weight_gradient::{MinimalWeightGradient, Strip, point};
use crate::lanes::LANES;
use crate::shared::Shared;
use crate::tasks::for_each;

/// Points of so many floats for each of all sums are held at a time.
const MOST: usize = 3;
/// Floats of a task's sums, which should stay in the second cache.
const TASK: usize = 160 * 1024;

impl MinimalWeightGradient<'_> {
    /// Whether these strips are few for the channels: a function of shapes alone.
    pub(super) fn are_few(&self, strips: &[Strip]) -> bool {
        let group = self.group(strips.len(), None);
        group.input_len() + group.gradients.len() <= MOST * self.sums()
    }

    /// Writes the gradient of the weights, on the threads of the pool.
    pub(super) fn write_few(&self, strips: &[Strip], gradient: &[f32], packed: &mut [f32]) {
        let group = self.group(strips.len(), None);
        let mut scratch = self.context.arena.take(group.input_len() + group.gradients.len());
        let (inputs, gradients) = scratch.split_at_mut(group.input_len());
        self.points(group, strips, gradient, [inputs, gradients]);
        let (points, packed) = ([&*inputs, &*gradients], Shared::new(packed));
        let most = self.blocks_of(0).len();
        let in_blocks = (TASK / (POINTS * most * LANES * LANES)).max(1);
        let columns = self.in_blocks.div_ceil(in_blocks);
        for_each("weight gradient", self.sums(), self.output_tiles() * columns, |number| {
            let (tile, column) = (number / columns, number % columns);
            let part = self.of(self.in_blocks * column / columns..self.in_blocks * (column + 1) / columns);
            let (first, lanes) =
                ((part.first_in_block - self.first_in_block) * LANES, part.in_blocks * LANES);
            let blocks = self.blocks_of(tile);
            let point = point(part.in_blocks, blocks.len());
            let mut sums = self.context.arena.take(POINTS * point);
            let to = Shared::new(&mut sums);
            for number in 0..POINTS {
                let sum = |block| to.at(group.place(number) * point + block * lanes * LANES);
                let to = ([0, blocks.len() - 1].map(sum), false);
                // SAFETY: the sums are this task's.
                unsafe { self.products(group, points, [number, tile], first..first + lanes, to) };
            }
            for (number, block) in blocks.enumerate() {
                // SAFETY: these blocks of channels are one task's.
                unsafe { part.taps(block, (&sums[number * lanes * LANES..], point), packed) };
            }
        });
    }
}
