//! Sums over pixels, taken where a convolution writes its output.

use crate::lanes::LANES;
use crate::shape::MapShape;

/// Sums and sums of squares of each channel and image, `[images][blocks][2][16]`.
///
/// The variance is `E[z^2] - E[z]^2`, which cancels where the mean outweighs the deviation. Products of a row are
/// added in single precision and rows in double. A row's sum has a relative error near `2^-24 * sqrt(width)`, of
/// either sign, and it averages out over rows and images: for a mean of 100 deviations, the variance still holds
/// three digits, and behind a convolution the ratio is seldom above 5. The rounding of `z` itself costs as much.
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
        let blocks = self.channels.div_ceil(LANES);
        let total = |channel: usize, which: usize| {
            let start = channel / LANES * 2 * LANES + which * LANES + channel % LANES;
            (0..self.images).map(|image| self.values[image * blocks * 2 * LANES + start]).sum()
        };
        (0..self.channels).map(|channel| [total(channel, 0), total(channel, 1)]).collect()
    }
}
