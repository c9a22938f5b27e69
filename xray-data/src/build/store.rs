//! One image on its way into a record: fetched, decoded, resized where asked, encoded.

use super::BuildProblem;
use crate::error::{Error, Result};
use crate::sources::{Loaded, Origin};
use std::num::NonZeroU16;
use xray_artifacts::{Crop, Preprocessing};
use xray_image::{
    Budget, GrayImage, ImageProblem, MAX_SIDE, check_range, decode_gray, decode_gray_within, encode_jpeg,
    encode_png, prepare, read_header,
};

/// How images are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JPEG of this quality, 1 to 100.
    Jpeg(u8),
    /// PNG of 8 bits: nothing is lost, at five to ten times the size.
    Png,
}

impl Encoding {
    /// `jpeg` or `png`.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Jpeg(_) => "jpeg",
            Encoding::Png => "png",
        }
    }
}

/// Settings, checked.
pub(super) struct Store {
    resize: Option<Preprocessing>,
    encoding: Encoding,
    white_level: Option<NonZeroU16>,
}

/// An image as the record holds it.
pub(super) struct Stored {
    pub(super) bytes: Vec<u8>,
    /// Width and height.
    pub(super) size: [u32; 2],
}

impl Store {
    pub(super) fn new(
        size: Option<u32>,
        encoding: Encoding,
        white_level: Option<NonZeroU16>,
    ) -> Result<Store> {
        if let Some(size) = size.filter(|size| !(8..=MAX_SIDE).contains(size)) {
            return Err(BuildProblem::Size { size }.into());
        }
        let resize = size.map(|size| Preprocessing { size, crop: Crop::Squash, ..Preprocessing::default() });
        Ok(Store { resize, encoding, white_level })
    }

    pub(super) fn store(&self, origin: &Origin) -> Result<Stored> {
        let loaded = origin.load()?;
        self.encode(loaded).map_err(|problem| Error::Image { place: origin.place(), problem })
    }

    pub(super) fn encode(&self, loaded: Loaded) -> std::result::Result<Stored, ImageProblem> {
        let (image, bytes) = match loaded {
            Loaded::Stored { bytes, size } => return Ok(Stored { bytes, size }),
            Loaded::Encoded(bytes) => {
                (decode_gray_within(&bytes, self.white_level, &Budget::default())?, Some(bytes))
            }
            Loaded::Pixels(image) => (image, None),
        };
        check_range(&image)?;
        let size = [image.width, image.height];
        match &self.resize {
            Some(target) if size != [target.size; 2] => {
                let image = prepare(&image, target)?;
                Ok(Stored { bytes: self.encode_pixels(&image)?, size: [image.width, image.height] })
            }
            _ => {
                // What is already stored as asked is kept byte for byte: a second JPEG encoding loses detail.
                let kept = bytes.filter(|bytes| self.is_stored_so(bytes));
                Ok(Stored { bytes: kept.map_or_else(|| self.encode_pixels(&image), Ok)?, size })
            }
        }
    }

    fn is_stored_so(&self, bytes: &[u8]) -> bool {
        read_header(bytes).is_ok_and(|header| header.gray_8_bit && header.encoding == self.encoding.name())
    }

    fn encode_pixels(&self, image: &GrayImage) -> std::result::Result<Vec<u8>, ImageProblem> {
        let Encoding::Jpeg(quality) = self.encoding else { return Ok(encode_png(image)) };
        let bytes = encode_jpeg(image, quality);
        // What is stored must be an image too, and JPEG may lose the little that a faint one holds.
        if quality < FAITHFUL || is_faint(image) {
            check_range(&decode_gray(&bytes)?)?;
        }
        Ok(bytes)
    }
}

/// The lowest quality of JPEG that keeps whatever an eye would see.
const FAITHFUL: u8 = 50;

/// Whether all pixels are dark, or nearly alike.
fn is_faint(image: &GrayImage) -> bool {
    let ends = image.pixels.iter().fold((u8::MAX, 0), |(min, max), &pixel| (pixel.min(min), pixel.max(max)));
    ends.1 < 64 || ends.1 - ends.0 < 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(side: u32) -> GrayImage {
        let pixels = (0..side * side).map(|i| (i % side * 255 / side) as u8).collect();
        GrayImage { width: side, height: side, pixels }
    }

    fn stored(size: Option<u32>, encoding: Encoding, bytes: Vec<u8>) -> Stored {
        let store = Store::new(size, encoding, None).expect("a size that can be stored");
        store.encode(Loaded::Encoded(bytes)).expect("a good image")
    }

    #[test]
    fn an_image_stored_as_asked_is_kept_byte_for_byte() {
        let (jpeg, png) = (encode_jpeg(&gradient(64), 80), encode_png(&gradient(64)));
        let check = |size, encoding, bytes: &Vec<u8>, kept| {
            assert_eq!(stored(size, encoding, bytes.clone()).bytes == *bytes, kept, "{size:?} {encoding:?}");
        };
        check(None, Encoding::Jpeg(95), &jpeg, true);
        check(Some(64), Encoding::Jpeg(95), &jpeg, true);
        check(Some(32), Encoding::Jpeg(95), &jpeg, false);
        check(None, Encoding::Png, &jpeg, false);
        check(None, Encoding::Png, &png, true);
        check(None, Encoding::Jpeg(95), &png, false);
    }

    #[test]
    fn png_keeps_every_pixel_and_jpeg_nearly() {
        let image = gradient(64);
        let png = stored(None, Encoding::Png, encode_png(&image));
        assert_eq!(decode_gray(&png.bytes).expect("just written"), image);
        let jpeg =
            decode_gray(&stored(None, Encoding::Jpeg(95), encode_png(&image)).bytes).expect("just written");
        let worst = image.pixels.iter().zip(&jpeg.pixels).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(6), "{worst:?}");
    }

    #[test]
    fn what_jpeg_makes_constant_is_refused() {
        let mut pixels = vec![128; 64 * 64];
        pixels[100] = 129;
        let faint = || Loaded::Pixels(GrayImage { width: 64, height: 64, pixels: pixels.clone() });
        let encode = |encoding| Store::new(None, encoding, None).expect("a store").encode(faint());
        assert_eq!(encode(Encoding::Jpeg(90)).err(), Some(ImageProblem::Constant { value: 128 }));
        assert!(encode(Encoding::Png).is_ok());
    }

    #[test]
    fn black_images_and_absurd_sizes_are_refused() {
        let black = GrayImage { width: 64, height: 64, pixels: vec![0; 64 * 64] };
        let store = Store::new(None, Encoding::Png, None).expect("the source's size");
        store.encode(Loaded::Pixels(black)).err().expect("constant");
        for size in [0, 7, 9000] {
            Store::new(Some(size), Encoding::Png, None).err().expect("out of range");
        }
    }
}
