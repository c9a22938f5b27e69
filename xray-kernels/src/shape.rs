//! Where a pixel of a feature map lies in memory.

use crate::lanes::LANES;

/// A batch of feature maps with channels in blocks of 16 ("nChw16c"):
/// `[images][blocks][height + 2 * halo][width + 2 * halo][16]`.
///
/// Lanes beyond the last channel and the halo around each plane are zero, and whoever writes a map keeps them
/// so: convolutions then have no border cases. A map may be a run of blocks of a wider buffer
/// ([`MapShape::within`]), as the concatenations of a DenseNet are.
///
/// ```
/// use xray_kernels::MapShape;
///
/// let shape = MapShape::new(2, 20, 5, 7, 1);
/// assert_eq!(shape.blocks(), 2);
/// assert_eq!(shape.len(), 2 * 2 * (5 + 2) * (7 + 2) * 16);
/// assert_eq!(shape.offset(0, 0, 0, 0), (9 + 1) * 16); // the halo comes first
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// Images in the batch.
    pub images: usize,
    /// Channels that mean something; the last block may be padded.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Rings of zero pixels around each plane.
    pub halo: usize,
    first_block: usize,
    buffer_blocks: usize,
}

impl MapShape {
    /// A map that fills its buffer.
    ///
    /// # Panics
    /// If there is no image, no channel or no pixel.
    pub fn new(images: usize, channels: usize, height: usize, width: usize, halo: usize) -> Self {
        assert!(images * channels * height * width > 0, "a map without images, channels or pixels");
        let buffer_blocks = channels.div_ceil(LANES);
        Self { images, channels, height, width, halo, first_block: 0, buffer_blocks }
    }

    /// The same map as the blocks from `first_block` on of a buffer that holds `buffer_blocks` of each image.
    ///
    /// # Panics
    /// If the buffer has fewer.
    pub fn within(self, first_block: usize, buffer_blocks: usize) -> Self {
        let shape = Self { first_block, buffer_blocks, ..self };
        assert!(
            first_block + shape.blocks() <= buffer_blocks,
            "{} blocks from {first_block} on do not fit into {buffer_blocks}",
            shape.blocks()
        );
        shape
    }

    /// The same pixels with another halo, in a buffer of their own.
    pub fn with_halo(self, halo: usize) -> Self {
        Self::new(self.images, self.channels, self.height, self.width, halo)
    }

    /// Blocks of 16 channels.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Floats between a pixel and the one below.
    pub fn row(&self) -> usize {
        (self.width + 2 * self.halo) * LANES
    }

    /// Floats between a block and the next.
    pub fn plane(&self) -> usize {
        (self.height + 2 * self.halo) * self.row()
    }

    /// Floats between an image and the next.
    pub fn image(&self) -> usize {
        self.buffer_blocks * self.plane()
    }

    /// Floats in the whole buffer.
    #[expect(clippy::len_without_is_empty, reason = "a map is never empty")]
    pub fn len(&self) -> usize {
        self.images * self.image()
    }

    /// Pixels of one channel over the batch.
    pub fn pixels(&self) -> usize {
        self.images * self.height * self.width
    }

    /// Where lane 0 of a pixel lies, in floats.
    pub fn offset(&self, image: usize, block: usize, y: usize, x: usize) -> usize {
        self.corner(image, block) + (y + self.halo) * self.row() + (x + self.halo) * LANES
    }

    /// Where a block's halo begins.
    pub(crate) fn corner(&self, image: usize, block: usize) -> usize {
        image * self.image() + (self.first_block + block) * self.plane()
    }

    /// Images, channels, height and width.
    pub(crate) fn size(&self) -> [usize; 4] {
        [self.images, self.channels, self.height, self.width]
    }

    /// Panics unless a buffer holds the map. The fields are public, so they are looked at again.
    pub(crate) fn check(&self, buffer: &[f32], name: &str) {
        assert!(self.size().iter().all(|&size| size > 0), "{name} has no images, channels or pixels");
        assert!(
            self.first_block + self.blocks() <= self.buffer_blocks,
            "{name} has too many channels: {self:?}"
        );
        assert_eq!(buffer.len(), self.len(), "{name} does not have the length of {self:?}");
    }
}

/// Where a gradient goes.
#[derive(Debug)]
pub struct GradientMap<'a> {
    /// The map.
    pub buffer: &'a mut [f32],
    /// Its shape: that of the map whose gradient it is, with any halo, which is not written.
    pub shape: MapShape,
    /// Whether it is added to what the map holds, as where a skip connection or a concatenation joins.
    pub accumulate: bool,
}

impl<'a> GradientMap<'a> {
    /// A map to be overwritten.
    pub fn new(buffer: &'a mut [f32], shape: MapShape) -> Self {
        Self { buffer, shape, accumulate: false }
    }

    /// A map to be added to.
    pub fn added_to(buffer: &'a mut [f32], shape: MapShape) -> Self {
        Self { buffer, shape, accumulate: true }
    }

    pub(crate) fn check(&self, size: [usize; 4]) {
        self.shape.check(self.buffer, "the input gradient");
        assert_eq!(self.shape.size(), size, "the input gradient's size and the input's");
    }
}

/// A batch of images as files have them: `[images][channels][height][width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanarShape {
    /// Images in the batch.
    pub images: usize,
    /// Planes of each.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
}

impl PlanarShape {
    /// Floats in the whole buffer.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.images * self.channels * self.height * self.width
    }

    pub(crate) fn check(&self, buffer: &[f32], name: &str) {
        assert!(self.len() > 0, "{name} has no images, channels or pixels");
        assert_eq!(buffer.len(), self.len(), "{name} does not have the length of {self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_of_a_wider_buffer_keeps_its_distances() {
        let part = MapShape::new(2, 32, 3, 3, 0).within(1, 4);
        assert_eq!(part.image(), 4 * 9 * 16);
        assert_eq!(part.offset(1, 1, 2, 2), 4 * 144 + 2 * 144 + 8 * 16);
        assert_eq!(part.len(), 2 * 4 * 144);
    }

    #[test]
    #[should_panic(expected = "too many channels")]
    fn channels_that_were_changed_are_noticed() {
        let shape = MapShape { channels: 40, ..MapShape::new(1, 16, 1, 1, 0) };
        shape.check(&[0.0; 16], "the input");
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn a_slice_lies_inside() {
        let _ = MapShape::new(1, 33, 1, 1, 0).within(2, 4);
    }
}
