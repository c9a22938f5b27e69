//! How colourful an image is, for who wants to know whether it was gray before it was made gray.

use crate::{ImageProblem, MAX_SIDE, jpeg, png};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Mean distance between the largest and the smallest of a pixel's red, green and blue, 0 to 255: 0 for gray files.
///
/// # Errors
/// As [`decode_gray`](crate::decode_gray).
pub fn mean_chroma(bytes: &[u8]) -> Result<f32, ImageProblem> {
    let (samples, channels) =
        if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) { (jpeg_rgb(bytes)?, 3) } else { png::eight_bits(bytes)? };
    if channels < 3 {
        return Ok(0.0);
    }
    let pixels = samples.chunks_exact(channels);
    let count = pixels.len().max(1);
    let distance = |pixel: &[u8]| {
        let colours = &pixel[..3];
        let (most, least) = (colours.iter().max(), colours.iter().min());
        u64::from(most.copied().unwrap_or(0) - least.copied().unwrap_or(0))
    };
    Ok((pixels.map(distance).sum::<u64>() as f64 / count as f64) as f32)
}

fn jpeg_rgb(bytes: &[u8]) -> Result<Vec<u8>, ImageProblem> {
    let jpeg::Frame { width, height, .. } = jpeg::frame(bytes)?;
    ImageProblem::check_size(width, height)?;
    let side = MAX_SIDE as usize;
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(side).set_max_height(side);
    let options = options.jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode().map_err(|error| ImageProblem::Jpeg(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GrayImage, encode_jpeg, encode_png, encode_png_rgb};

    #[test]
    fn gray_is_gray_and_colours_are_counted() {
        let gray = GrayImage { width: 16, height: 16, pixels: (0..=255).collect() };
        assert_eq!(mean_chroma(&encode_png(&gray)), Ok(0.0));
        assert_eq!(mean_chroma(&encode_jpeg(&gray, 90)), Ok(0.0));
        assert_eq!(mean_chroma(&encode_png_rgb(2, 1, &[200, 10, 10, 5, 5, 5])), Ok(95.0));
        assert!(mean_chroma(include_bytes!("../tests/golden/jpeg/colour-420.jpg")).expect("a JPEG") > 5.0);
        assert!(mean_chroma(b"\xff\xd8\xff").is_err());
    }
}
