//! Weights in the order in which the register tiles read them, made of PyTorch's `[out][in][kernel][kernel]`.
#![expect(unsafe_code, reason = "threads write disjoint parts of one buffer")]

use super::spec::ConvSpec;
use super::taps::parities;
use super::winograd::{self, PointWeights, Weights};
use crate::arena::{Arena, ArenaBuffer};
use crate::context::Context;
use crate::lanes::LANES;
use crate::shared::Shared;
use crate::tasks::{for_each, for_each_chunk};

/// Weights for the forward pass: `[out block][in block][kernel y][kernel x][16 in][16 out]`, surplus ones zero.
/// Those for a planar input are `[out block][in][kernel y][kernel x][16 out]`.
#[derive(Debug)]
pub struct PackedWeights {
    pub(super) spec: ConvSpec,
    pub(super) planar: bool,
    pub(super) data: ArenaBuffer,
    points: PointWeights,
}

impl PackedWeights {
    /// Packs; `planar` where the input is planar. With `scale`, `[out]`, each output channel is multiplied.
    ///
    /// # Panics
    /// If the weights or the scale have another length than the convolution says.
    pub fn new(arena: &Arena, spec: ConvSpec, planar: bool, weights: &[f32], scale: Option<&[f32]>) -> Self {
        assert_eq!(weights.len(), spec.weight_len(), "weights do not have the length of {spec:?}");
        assert!(scale.is_none_or(|scale| scale.len() == spec.out_channels), "not a scale per output channel");
        let layout = WeightLayout::new(&spec, planar);
        let surplus = spec.out_channels % LANES + if planar { 0 } else { spec.in_channels % LANES };
        let mut data = arena.take(layout.len());
        for_each_chunk("packing weights", &mut data, layout.in_block(), |number, to| {
            let (block, in_block) = (number / layout.in_blocks(), number % layout.in_blocks());
            let first = block * LANES;
            if surplus > 0 {
                to.fill(0.0);
            } else if !planar {
                // Of sixteen filters, the weights of sixteen input channels, in tiles of sixteen by sixteen.
                let start = in_block * LANES * layout.taps;
                for piece in (0..LANES * layout.taps).step_by(LANES) {
                    let row = |out: usize| &weights[(first + out) * layout.filter() + start + piece..];
                    let mut tile = transposed(row);
                    if let Some(scale) = scale {
                        for weights in &mut tile {
                            weights
                                .iter_mut()
                                .zip(&scale[first..])
                                .for_each(|(weight, scale)| *weight *= scale);
                        }
                    }
                    for (place, weights) in tile.iter().enumerate() {
                        to[layout.place(piece + place)..][..LANES].copy_from_slice(weights);
                    }
                }
                return;
            }
            for out in first..(first + LANES).min(spec.out_channels) {
                let scale = scale.map_or(1.0, |scale| scale[out]);
                let from = &weights[out * layout.filter()..][..layout.filter()];
                layout.for_each(in_block, |source, target| {
                    to[target - in_block * layout.in_block() + out % LANES] = from[source] * scale;
                });
            }
        });
        Self { spec, planar, data, points: PointWeights::default() }
    }

    /// The weights at their points, for module `winograd` and an output of this size.
    pub(super) fn points(&self, context: &Context, size: [usize; 2]) -> Weights<'_> {
        if winograd::makes_weights_in_passing(&self.spec, size) {
            return Weights::InPassing { packed: &self.data, flipped: false };
        }
        Weights::Kept(self.points.of(context, &self.data, self.spec.in_channels.div_ceil(LANES), false))
    }
}

/// Where the weights of one output channel lie.
#[derive(Clone, Copy)]
pub(super) struct WeightLayout {
    in_channels: usize,
    out_channels: usize,
    taps: usize,
    planar: bool,
}

impl WeightLayout {
    pub(super) fn new(spec: &ConvSpec, planar: bool) -> Self {
        let taps = spec.kernel * spec.kernel;
        Self { in_channels: spec.in_channels, out_channels: spec.out_channels, taps, planar }
    }

    /// Weights of an output channel in PyTorch's order.
    pub(super) fn filter(&self) -> usize {
        self.in_channels * self.taps
    }

    /// Floats per block of input channels; a planar input is one block.
    pub(super) fn in_block(&self) -> usize {
        self.taps * LANES * if self.planar { self.in_channels } else { LANES }
    }

    fn in_blocks(&self) -> usize {
        if self.planar { 1 } else { self.in_channels.div_ceil(LANES) }
    }

    /// Input channels of a block of them.
    fn in_channels(&self) -> usize {
        if self.planar { self.in_channels } else { LANES }
    }

    /// Floats per block of output channels.
    pub(super) fn out_block(&self) -> usize {
        self.in_block() * self.in_blocks()
    }

    pub(super) fn len(&self) -> usize {
        self.out_block() * self.out_channels.div_ceil(LANES)
    }

    /// Calls, for the input channels of a block, with each weight's place in PyTorch's order and where its vector
    /// begins in the block of output channels. Block by block, so that what is written stays in the first cache
    /// for all lanes of the vectors.
    #[inline]
    fn for_each(&self, in_block: usize, mut call: impl FnMut(usize, usize)) {
        let channels = self.in_channels();
        let (first, start) = (in_block * channels, in_block * self.in_block());
        for channel in first..(first + channels).min(self.in_channels) {
            let (start, step) = if self.planar {
                (start + channel * self.taps * LANES, LANES)
            } else {
                (start + (channel - first) * LANES, LANES * LANES)
            };
            for tap in 0..self.taps {
                call(channel * self.taps + tap, start + tap * step);
            }
        }
    }

    /// Adds up packed gradients, in their order and in the place of the first, and writes them in PyTorch's.
    pub(super) fn unpack_sum(&self, parts: &mut [f32], weights: &mut [f32]) {
        const CHUNK: usize = 512;
        let (sum, others) = parts.split_at_mut(self.len());
        if !others.is_empty() {
            for_each_chunk("sum of weight gradients", sum, CHUNK, |number, sum| {
                for part in others.chunks_exact(self.len()) {
                    for (sum, value) in sum.iter_mut().zip(&part[number * CHUNK..]) {
                        *sum += value;
                    }
                }
            });
        }
        let blocks = self.out_channels.div_ceil(LANES);
        let (floats, channels) = (self.out_channels * self.filter(), self.in_channels());
        assert_eq!(weights.len(), floats, "a gradient for each weight");
        let is_full = !self.planar && (self.in_channels | self.out_channels).is_multiple_of(LANES);
        let to = Shared::new(weights);
        for_each("unpacking weights", floats, blocks * self.in_blocks(), |number| {
            let (block, in_block) = (number / self.in_blocks(), number % self.in_blocks());
            let from = &sum[block * self.out_block()..];
            let first = in_block * channels * self.taps;
            let length = (channels * self.taps).min(self.filter() - first);
            // SAFETY: each output channel's weights of a block of input channels are one task's.
            let row = |out: usize| unsafe { to.part((block * LANES + out) * self.filter() + first, length) };
            if is_full {
                let from = &from[in_block * self.in_block()..];
                for piece in (0..length).step_by(LANES) {
                    let tile = transposed(|place| &from[self.place(piece + place)..]);
                    for (out, gradients) in tile.iter().enumerate() {
                        row(out)[piece..piece + LANES].copy_from_slice(gradients);
                    }
                }
                return;
            }
            for out in 0..LANES.min(self.out_channels - block * LANES) {
                let to = row(out);
                self.for_each(in_block, |source, target| to[source - first] = from[target + out]);
            }
        });
    }

    /// Where the vector of a block's weight begins, which in PyTorch's order has this number among those of the block's
    /// sixteen input channels.
    fn place(&self, number: usize) -> usize {
        let (channel, tap) = (number / self.taps, number % self.taps);
        (tap * LANES + channel) * LANES
    }
}

/// Sixteen rows of which the first sixteen floats count, as columns.
#[inline(always)]
fn transposed<'a>(row: impl Fn(usize) -> &'a [f32]) -> [[f32; LANES]; LANES] {
    let mut columns = [[0.0; LANES]; LANES];
    for number in 0..LANES {
        let row: &[f32; LANES] = row(number)[..LANES].try_into().expect("as long as was just said");
        for (column, value) in columns.iter_mut().zip(row) {
            column[number] = *value;
        }
    }
    columns
}

/// Weights for the input gradient: for each pair of parities of input pixels (module `taps`)
/// `[in block][out block][tap][16 out][16 in]`, surplus ones zero.
#[derive(Debug)]
pub struct TransposedWeights {
    pub(super) spec: ConvSpec,
    pub(super) data: ArenaBuffer,
    points: PointWeights,
}

impl TransposedWeights {
    /// Packs.
    ///
    /// # Panics
    /// If the weights have another length than the convolution says.
    pub fn new(arena: &Arena, spec: ConvSpec, weights: &[f32]) -> Self {
        assert_eq!(weights.len(), spec.weight_len(), "weights do not have the length of {spec:?}");
        let taps = spec.kernel * spec.kernel;
        let (in_blocks, out_blocks) = (spec.in_channels.div_ceil(LANES), spec.out_channels.div_ceil(LANES));
        let surplus = spec.out_channels % LANES + spec.in_channels % LANES;
        let mut data = arena.take(in_blocks * out_blocks * taps * LANES * LANES);
        let mut rest = &mut data[..];
        for places in parity_places(&spec) {
            let block = places.len() * LANES * LANES;
            let (part, others) = rest.split_at_mut(in_blocks * out_blocks * block);
            rest = others;
            if block == 0 {
                continue;
            }
            for_each_chunk("packing weights", part, block, |number, to| {
                let (in_block, out_block) = (number / out_blocks, number % out_blocks);
                if surplus > 0 {
                    to.fill(0.0);
                } else if taps == 1 {
                    // Rows as they are: sixteen input channels of each output channel.
                    for (out, to) in to.chunks_exact_mut(LANES).enumerate() {
                        let from = (out_block * LANES + out) * spec.in_channels + in_block * LANES;
                        to.copy_from_slice(&weights[from..from + LANES]);
                    }
                    return;
                }
                for out in (out_block * LANES..spec.out_channels).take(LANES) {
                    let start = out % LANES * LANES;
                    let channels = (spec.in_channels - in_block * LANES).min(LANES);
                    let from =
                        &weights[(out * spec.in_channels + in_block * LANES) * taps..][..channels * taps];
                    for (tap, &place) in places.iter().enumerate() {
                        let to = &mut to[start + tap * LANES * LANES..][..channels];
                        for (to, from) in to.iter_mut().zip(from.chunks_exact(taps)) {
                            *to = from[place];
                        }
                    }
                }
            });
        }
        Self { spec, data, points: PointWeights::default() }
    }

    /// The weights at their points, for module `winograd`: a stride of 1 has one pair of parities, and its taps run
    /// from the bottom right.
    pub(super) fn points(&self, context: &Context, size: [usize; 2]) -> Weights<'_> {
        if winograd::makes_weights_in_passing(&self.spec, size) {
            return Weights::InPassing { packed: &self.data, flipped: true };
        }
        Weights::Kept(self.points.of(context, &self.data, self.spec.out_channels.div_ceil(LANES), true))
    }
}

/// The places in the kernel of each pair of parities, row by row. All pairs, even those that a small image lacks.
pub(super) fn parity_places(spec: &ConvSpec) -> Vec<Vec<usize>> {
    // Parities do not depend on the size, as long as each has a pixel.
    let axis = parities(spec, spec.stride + spec.kernel);
    let pair = |y: &[(usize, isize)], x: &[(usize, isize)]| {
        y.iter().flat_map(|&(y, _)| x.iter().map(move |&(x, _)| y * spec.kernel + x)).collect()
    };
    axis.iter().flat_map(|y| axis.iter().map(|x| pair(&y.places, &x.places))).collect()
}
