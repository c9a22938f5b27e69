//! Weights at their 36 points, made of those packed for the direct convolution: of all channels, or of those at hand.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use super::{PATCH, POINTS, transform};
use crate::arena::ArenaBuffer;
use crate::context::Context;
use crate::lanes::{Kernel, LANES, Lanes};
use crate::shared::Shared;
use crate::tasks::for_each;
use std::ops::Range;
use std::sync::OnceLock;

/// Weights at their points `[block][point][in lanes][16]`, with a vector of nothing after each point; made when they
/// are first asked for, because whether they are depends on the map.
#[derive(Debug, Default)]
pub(in super::super) struct PointWeights {
    made: OnceLock<ArenaBuffer>,
}

impl PointWeights {
    /// Of `packed` weights `[block][in block][3][3][16 in][16]`, always the same; with the kernel turned over where
    /// `flipped` says so.
    pub(in super::super) fn of(
        &self,
        context: &Context,
        packed: &[f32],
        in_blocks: usize,
        flipped: bool,
    ) -> &[f32] {
        if self.made.get().is_none() {
            // Not inside `get_or_init`: while this thread waits there for its tasks it may take up another one that
            // asks for the same weights, and would wait for itself. Two threads may make the same, and one is kept.
            _ = self.made.set(point_weights(context, packed, in_blocks, flipped));
        }
        self.made.get().expect("just made")
    }
}

/// Floats between points; the surplus vector keeps points from sharing a place in the cache.
pub(super) fn point(in_blocks: usize) -> usize {
    (in_blocks * LANES + 1) * LANES
}

/// Some channels of one block.
struct WeightTaps {
    /// The first channel's first tap, and the floats to its next.
    from: *const f32,
    channels: usize,
    /// Whether the kernel is turned over.
    flipped: bool,
    to: *mut f32,
    point: usize,
}

struct WeightTransform;

impl Kernel for WeightTransform {
    type Arguments = WeightTaps;

    #[inline(always)]
    unsafe fn run<L: Lanes>(taps: &WeightTaps) {
        // SAFETY: the caller's pointers are good for the channels' taps and points.
        unsafe {
            for channel in 0..taps.channels {
                let mut columns = [[L::zero(); PATCH]; 3];
                for (x, column) in columns.iter_mut().enumerate() {
                    let mut values = [L::zero(); 3];
                    for (y, value) in values.iter_mut().enumerate() {
                        let place = if taps.flipped { 8 - (y * 3 + x) } else { y * 3 + x };
                        *value = L::load(taps.from.add((place * LANES + channel) * LANES));
                    }
                    *column = transform::weights(values);
                }
                let [left, middle, right] = columns;
                for y in 0..PATCH {
                    let points = transform::weights([left[y], middle[y], right[y]]);
                    let to = taps.to.add(y * PATCH * taps.point + channel * LANES);
                    transform::store(points, to, taps.point);
                }
            }
        }
    }
}

/// Where a convolution finds its weights at their points.
#[derive(Clone, Copy)]
pub(in super::super) enum Weights<'a> {
    /// All of them are there.
    Kept(&'a [f32]),
    /// Whoever computes some channels makes theirs of the packed weights, so that those of all, four times as many, are in
    /// memory at no time.
    InPassing {
        /// `[block][in block][3][3][16 in][16]`.
        packed: &'a [f32],
        /// Whether the kernel is turned over.
        flipped: bool,
    },
}

/// Writes the weights of some blocks at their points, on this thread.
pub(super) fn write_points(
    context: &Context,
    packed: &[f32],
    (in_blocks, flipped): (usize, bool),
    blocks: Range<usize>,
    to: &mut [f32],
) {
    assert!(to.len() >= blocks.len() * POINTS * point(in_blocks), "room for all points");
    let to = Shared::new(to);
    for number in 0..blocks.len() * in_blocks {
        let (block, in_block) = (number / in_blocks, number % in_blocks);
        // SAFETY: this thread's alone.
        unsafe {
            write_block(context, packed, (in_blocks, flipped), [blocks.start + block, in_block], block, to)
        };
    }
}

/// Writes one block of input channels of a block of output channels, which is the `number`th there.
///
/// # Safety
/// Nobody else uses this place meanwhile.
unsafe fn write_block(
    context: &Context,
    packed: &[f32],
    (in_blocks, flipped): (usize, bool),
    [block, in_block]: [usize; 2],
    number: usize,
    to: Shared<f32>,
) {
    let (taps, point) = (9 * LANES * LANES, point(in_blocks));
    let taps = WeightTaps {
        from: packed[(block * in_blocks + in_block) * taps..][..taps].as_ptr(),
        channels: LANES,
        flipped,
        to: to.at(number * POINTS * point + in_block * LANES * LANES),
        point,
    };
    // SAFETY: the weights have the length of their blocks; the place is the caller's.
    unsafe { context.isa.form::<WeightTransform>()(&taps) };
}

/// All weights at their points, on the threads of the pool.
pub(super) fn point_weights(
    context: &Context,
    packed: &[f32],
    in_blocks: usize,
    flipped: bool,
) -> ArenaBuffer {
    let blocks = packed.len() / (in_blocks * 9 * LANES * LANES);
    let mut data = context.arena.take(blocks * POINTS * point(in_blocks));
    let (floats, to) = (data.len(), Shared::new(&mut data));
    for_each("weights at their points", floats, blocks * in_blocks, |number| {
        let (block, in_block) = (number / in_blocks, number % in_blocks);
        // SAFETY: each block's points are one task's.
        unsafe { write_block(context, packed, (in_blocks, flipped), [block, in_block], block, to) };
    });
    data
}
