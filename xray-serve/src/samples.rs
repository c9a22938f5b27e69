//! Images to try the page with: drawn phantoms, so that no patient's image travels with the program.

use std::sync::OnceLock;
use xray_image::{SynthConfig, encode_jpeg, synthesise};

/// Pictures by their place in the page, drawn when the first is wanted.
#[derive(Debug, Default)]
pub struct Samples(OnceLock<Vec<Vec<u8>>>);

const SIDE: u32 = 512;

impl Samples {
    /// How many there are.
    pub const COUNT: usize = 3;

    /// The JPEG file of one, counted from 1.
    pub fn jpeg(&self, number: usize) -> Option<&[u8]> {
        let drawn = self.0.get_or_init(|| {
            let config = SynthConfig { images: Self::COUNT as u64, size: SIDE, ..SynthConfig::default() };
            synthesise(&config).map(|drawn| encode_jpeg(&drawn.image, 90)).collect()
        });
        drawn.get(number.checked_sub(1)?).map(Vec::as_slice)
    }
}
