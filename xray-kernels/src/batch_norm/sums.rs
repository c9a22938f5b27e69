//! Sums over pixels, taken where a convolution writes its output.
#![expect(unsafe_code, reason = "threads write disjoint parts of one buffer")]

use crate::lanes::LANES;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::for_each_plane;

/// Sums and sums of squares of each channel and image, `[images][blocks][2][16]`.
///
/// The variance is `E[z^2] - E[z]^2`, which cancels where the mean outweighs the deviation. A row, or the few rows
/// that share a register tile, is added up in single precision, and rows in double. A row's sum has a relative
/// error near `2^-24 * sqrt(width)`, of either sign, and it averages out over rows and images: for a mean of 100
/// deviations, the variance still holds three digits, and behind a convolution the ratio is seldom above 5. The
/// rounding of `z` itself costs as much.
#[derive(Clone, Debug)]
pub struct Sums {
    values: Vec<f64>,
    images: usize,
    channels: usize,
}

impl Sums {
    /// Room for the sums of maps of a shape.
    pub fn new(shape: &MapShape) -> Self {
        let values = vec![0.0; shape.images * shape.blocks() * 2 * LANES];
        Self { values, images: shape.images, channels: shape.channels }
    }

    /// All zero, to be added to.
    pub(crate) fn start(&mut self) -> &mut [f64] {
        self.values.fill(0.0);
        &mut self.values
    }

    /// Where the sums of a block of an image begin.
    pub(crate) fn offset(shape: &MapShape, image: usize, block: usize) -> usize {
        (image * shape.blocks() + block) * 2 * LANES
    }

    pub(crate) fn fits(&self, shape: &MapShape) -> bool {
        self.images == shape.images && self.channels == shape.channels
    }

    /// Both sums of each channel over all images, in their order.
    pub(crate) fn totals(&self) -> Vec<[f64; 2]> {
        let image = self.channels.div_ceil(LANES) * 2 * LANES;
        // Image after image over all channels: channel after channel would go through memory in strides.
        let mut totals = vec![0.0; image];
        for values in self.values.chunks_exact(image) {
            totals.iter_mut().zip(values).for_each(|(total, value)| *total += value);
        }
        let of = |channel: usize| channel / LANES * 2 * LANES + channel % LANES;
        (0..self.channels).map(|channel| [totals[of(channel)], totals[of(channel) + LANES]]).collect()
    }

    /// The sums of a map that no convolution has just written, such as what comes out of a pool.
    ///
    /// # Panics
    /// If the buffer does not have the shape's length.
    pub fn of_map((input, shape): (&[f32], MapShape)) -> Self {
        shape.check(input, "the input");
        let mut sums = Self::new(&shape);
        let values = Shared::new(&mut sums.values);
        for_each_plane("sums of a map", &shape, |image, block| {
            // SAFETY: each plane's sums are added by one call.
            let total = unsafe { values.part(Self::offset(&shape, image, block), 2 * LANES) };
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

    /// The sums of maps that lie one behind the other in one buffer, as the features of a DenseNet do: taken once
    /// where each was written, used by every layer that reads them.
    ///
    /// # Panics
    /// If the maps have different numbers of images, or one before the last ends inside a block.
    pub fn concatenated(parts: &[&Self]) -> Self {
        let images = parts.first().map_or(0, |part| part.images);
        let inner = parts.split_last().map_or(&[][..], |(_, inner)| inner);
        assert!(inner.iter().all(|part| part.channels % LANES == 0), "a map ends inside a block");
        assert!(parts.iter().all(|part| part.images == images), "maps of different batches");
        let mut values = Vec::new();
        for image in 0..images {
            for part in parts {
                let length = part.values.len() / images;
                values.extend_from_slice(&part.values[image * length..][..length]);
            }
        }
        Self { values, images, channels: parts.iter().map(|part| part.channels).sum() }
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
        let of = |channels, first| Sums::of_map((&map, MapShape::new(2, channels, 3, 5, 1).within(first, 3)));
        let totals = Sums::of_map((&map, whole)).totals();
        assert_eq!(Sums::concatenated(&[&of(16, 0), &of(24, 1)]).totals(), totals);
        assert_eq!(totals[1], [105.0 + 105.0 + 15.0, 1015.0 + 1015.0 + 2.0 * 105.0 + 15.0]);
    }
}
