//! Sums over pixels, taken where a convolution writes its output.
#![expect(unsafe_code, reason = "threads write disjoint parts of one buffer")]

use crate::arena::{Arena, ArenaBuffer};
use crate::lanes::LANES;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::{for_each_chunk, for_each_plane};

/// Sums that a task adds up.
const FEWEST: usize = 4 * 1024;
/// Floats of the arena in a number of double precision.
const PARTS: usize = size_of::<f64>() / size_of::<f32>();

/// Sums and sums of squares of each channel and image, or each of some bands of rows of an image,
/// `[images][bands][blocks][2][16]`.
///
/// The variance is `E[z^2] - E[z]^2`, which cancels where the mean outweighs the deviation. A row, or the few rows
/// that share a register tile, is added up in single precision, and rows in double. A row's sum has a relative
/// error near `2^-24 * sqrt(width)`, of either sign, and it averages out over rows and images: for a mean of 100
/// deviations, the variance still holds three digits, and behind a convolution the ratio is seldom above 5. The
/// rounding of `z` itself costs as much.
///
/// Whoever writes a plane begins its sums: zeros that one thread wrote before would be waited for by all others.
#[derive(Debug)]
pub struct Sums {
    values: ArenaBuffer,
    images: usize,
    bands: usize,
    channels: usize,
}

impl Sums {
    /// Room for the sums of maps of a shape, to be given to what writes one.
    pub fn new(arena: &Arena, shape: &MapShape) -> Self {
        Self::in_bands(arena, shape, 1)
    }

    /// Room for those of so many bands of an image: a function of the shape, so that totals do not depend on threads.
    pub(crate) fn in_bands(arena: &Arena, shape: &MapShape, bands: usize) -> Self {
        let values = arena.take(shape.images * bands * shape.blocks() * 2 * LANES * PARTS);
        Self { values, images: shape.images, bands, channels: shape.channels }
    }

    /// Of no meaning until they are written.
    pub(crate) fn values(&mut self) -> &mut [f64] {
        bytemuck::cast_slice_mut(&mut self.values)
    }

    /// Where the sums of a block of an image begin, or of a band that is the whole map's number so and so.
    pub(crate) fn offset(shape: &MapShape, image: usize, block: usize) -> usize {
        (image * shape.blocks() + block) * 2 * LANES
    }

    pub(crate) fn fits(&self, shape: &MapShape) -> bool {
        self.images == shape.images && self.channels == shape.channels
    }

    /// Those of each channel over all images and bands, in their order.
    pub fn totals(&self) -> Totals {
        let image = self.channels.div_ceil(LANES) * 2 * LANES;
        let mut of_channels = vec![[0.0; 2]; self.channels];
        let blocks = (FEWEST / (self.images * self.bands * 2 * LANES).max(1)).max(1);
        for_each_chunk("totals of sums", &mut of_channels, blocks * LANES, |chunk, of_channels| {
            // Band after band: channel after channel would go through memory in strides.
            let all: &[f64] = bytemuck::cast_slice(&self.values);
            for values in all.chunks_exact(image) {
                let values = values[chunk * blocks * 2 * LANES..].chunks_exact(2 * LANES);
                for (totals, block) in of_channels.chunks_mut(LANES).zip(values) {
                    let (plain, squared) = block.split_at(LANES);
                    for ((total, value), square) in totals.iter_mut().zip(plain).zip(squared) {
                        *total = [total[0] + value, total[1] + square];
                    }
                }
            }
        });
        Totals { of_channels }
    }

    /// The sums of a map that no convolution has just written, such as what comes out of a pool.
    ///
    /// # Panics
    /// If the buffer does not have the shape's length.
    pub fn of_map(arena: &Arena, (input, shape): (&[f32], MapShape)) -> Self {
        shape.check(input, "the input");
        let mut sums = Self::new(arena, &shape);
        let values = Shared::new(sums.values());
        for_each_plane("sums of a map", &shape, |image, block| {
            // SAFETY: each plane's sums are added by one call.
            let total = unsafe { values.part(Self::offset(&shape, image, block), 2 * LANES) };
            total.fill(0.0);
            for y in 0..shape.height {
                let start = shape.offset(image, block, y, 0);
                let mut row = [0.0_f32; 2 * LANES];
                let (plain, squared) = row.split_at_mut(LANES);
                for pixel in input[start..start + shape.width * LANES].chunks_exact(LANES) {
                    for ((plain, squared), value) in plain.iter_mut().zip(&mut *squared).zip(pixel) {
                        *plain += value;
                        *squared += value * value;
                    }
                }
                for (total, sum) in total.iter_mut().zip(row) {
                    *total += f64::from(sum);
                }
            }
        });
        sums
    }
}

/// Sums and sums of squares of each channel over a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    of_channels: Vec<[f64; 2]>,
}

impl Totals {
    /// Puts those of a map behind these, as its channels lie behind those of other maps in one buffer, as the features of
    /// a DenseNet do. Taken once where each was written, they serve every layer that reads them.
    ///
    /// # Panics
    /// If these end inside a block of channels.
    pub fn append(&mut self, behind: Self) {
        assert!(self.of_channels.len().is_multiple_of(LANES), "a map ends inside a block");
        self.of_channels.extend(behind.of_channels);
    }

    pub(super) fn of_channels(&self) -> &[[f64; 2]] {
        &self.of_channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_parts_are_those_of_the_whole() {
        let whole = MapShape::new(2, 40, 3, 5, 1);
        let mut map = vec![0.0; whole.len()];
        for image in 0..2 {
            for channel in 0..40 {
                for pixel in 0..15 {
                    let at = whole.offset(image, channel / 16, pixel / 5, pixel % 5) + channel % 16;
                    map[at] = (image + channel * pixel) as f32;
                }
            }
        }
        let totals = Sums::of_map(&Arena::watched(), (&map, whole)).totals();
        let of = |channels, first| {
            Sums::of_map(&Arena::watched(), (&map, MapShape::new(2, channels, 3, 5, 1).within(first, 3)))
        };
        let mut parts = of(16, 0).totals();
        parts.append(of(24, 1).totals());
        assert_eq!(parts, totals);
        let second = [105.0 + 105.0 + 15.0, 1015.0 + 1015.0 + 2.0 * 105.0 + 15.0];
        assert_eq!(totals.of_channels()[1], second);
    }

    #[test]
    fn totals_of_several_tasks_are_those_of_one_channel() {
        let shape = MapShape::new(40, 300, 1, 1, 0);
        let map: Vec<f32> = (0..shape.len()).map(|i| (i % 89) as f32).collect();
        let totals = Sums::of_map(&Arena::watched(), (&map, shape)).totals();
        assert_eq!(totals.of_channels().len(), 300);
        for (channel, total) in totals.of_channels().iter().enumerate() {
            let value = |image| f64::from(map[shape.offset(image, channel / LANES, 0, 0) + channel % LANES]);
            let sum = |of: fn(f64) -> f64| (0..40).map(|image| of(value(image))).sum::<f64>();
            assert_eq!(*total, [sum(|value| value), sum(|value| value * value)], "channel {channel}");
        }
    }
}
