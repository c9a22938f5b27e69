//! What a normalisation reads in backward: a map that was kept, or one that is computed again.

use crate::lanes::LANES;
use crate::shape::MapShape;
use std::ops::Range;

/// Rows of a block.
pub(crate) struct Rows<'a> {
    pub(crate) block: usize,
    /// Where they lie in the plane.
    pub(crate) rows: Range<usize>,
    /// The pixels from the first row's first on.
    pub(crate) pixels: &'a [f32],
    /// Floats between rows.
    pub(crate) row: usize,
}

/// A source of rows.
pub(crate) trait NormInput: Sync {
    /// Images, channels and pixels.
    fn shape(&self) -> MapShape;
    /// Groups of blocks that are visited together.
    fn tiles(&self) -> usize;
    /// Calls with some rows of an image's tile, from top to bottom for each block. The first is even where a window of
    /// pooling begins with it.
    fn visit(&self, image: usize, tile: usize, rows: Range<usize>, call: impl FnMut(Rows));
}

/// A map in memory.
pub(crate) struct Stored<'a> {
    data: &'a [f32],
    shape: MapShape,
}

impl<'a> Stored<'a> {
    pub(crate) fn new(data: &'a [f32], shape: MapShape) -> Self {
        shape.check(data, "the input");
        Self { data, shape }
    }
}

impl NormInput for Stored<'_> {
    fn shape(&self) -> MapShape {
        self.shape
    }

    fn tiles(&self) -> usize {
        self.shape.blocks()
    }

    fn visit(&self, image: usize, block: usize, rows: Range<usize>, mut call: impl FnMut(Rows)) {
        let start = self.shape.offset(image, block, rows.start, 0);
        let end = self.shape.offset(image, block, rows.end - 1, self.shape.width - 1) + LANES;
        let pixels = &self.data[start..end];
        call(Rows { block, rows, pixels, row: self.shape.row() });
    }
}
