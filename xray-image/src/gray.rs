//! Gray 8-bit images in memory.

/// A gray image of 8 bits: row by row from the top left, `width * height` bytes, 0 black.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrayImage {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height` values.
    pub pixels: Vec<u8>,
}

impl GrayImage {
    /// The pixels of row `y`.
    ///
    /// # Panics
    /// When `y` is not below `height`, or `pixels` is shorter than `width * height`.
    pub fn row(&self, y: u32) -> &[u8] {
        let start = y as usize * self.width as usize;
        &self.pixels[start..start + self.width as usize]
    }
}
