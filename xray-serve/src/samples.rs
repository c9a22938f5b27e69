//! Images to try the page with: drawn phantoms, so that no patient's image travels with the program.

use xray_data::{SynthConfig, encode_jpeg, synthesise};

/// Pictures by their place in the page.
#[derive(Clone, Debug)]
pub struct Samples(Vec<Vec<u8>>);

const COUNT: u64 = 3;
const SIDE: u32 = 512;

impl Samples {
    /// Draws them.
    pub fn draw() -> Self {
        let config = SynthConfig { images: COUNT, size: SIDE, ..SynthConfig::default() };
        Samples(synthesise(&config).map(|drawn| encode_jpeg(&drawn.image, 90)).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JPEG file of one, counted from 1.
    pub fn jpeg(&self, number: usize) -> Option<&[u8]> {
        self.0.get(number.checked_sub(1)?).map(Vec::as_slice)
    }
}
