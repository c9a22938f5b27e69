//! How colourful an image is, for who wants to know whether it was gray before it was made gray.

use crate::{Budget, ImageProblem, dicom, failure, is_dicom, jpeg, png};

/// Mean distance between the largest and the smallest of a pixel's red, green and blue, 0 to 255: 0 for gray files, which are
/// not decoded.
///
/// # Errors
/// As [`decode_gray_within`](crate::decode_gray_within).
pub fn mean_chroma(bytes: &[u8], budget: &Budget) -> Result<f32, ImageProblem> {
    failure::contain(|| {
        if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
            of_jpeg(bytes, budget)
        } else if is_dicom(bytes) {
            dicom::mean_chroma(bytes, budget)
        } else {
            png::mean_chroma(bytes, budget)
        }
    })
}

pub(super) fn of_jpeg(bytes: &[u8], budget: &Budget) -> Result<f32, ImageProblem> {
    if jpeg::frame(bytes)?.components == 1 {
        return Ok(0.0);
    }
    let samples = jpeg::rgb(bytes, budget)?;
    let pixels = samples.as_chunks::<3>().0;
    let distance =
        |&[red, green, blue]: &[u8; 3]| u64::from(red.max(green).max(blue) - red.min(green).min(blue));
    Ok((pixels.iter().map(distance).sum::<u64>() as f64 / pixels.len().max(1) as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GrayImage, encode_jpeg, encode_png, encode_png_rgb};

    #[test]
    fn gray_is_gray_and_colours_are_counted() {
        let gray = GrayImage { width: 16, height: 16, pixels: (0..=255).collect() };
        assert_eq!(mean_chroma(&encode_png(&gray), &Budget::default()), Ok(0.0));
        assert_eq!(mean_chroma(&encode_jpeg(&gray, 90), &Budget::default()), Ok(0.0));
        assert_eq!(mean_chroma(&encode_png_rgb(2, 1, &[200, 10, 10, 5, 5, 5]), &Budget::default()), Ok(95.0));
        assert!(
            mean_chroma(include_bytes!("../tests/golden/jpeg/colour-420.jpg"), &Budget::default())
                .expect("a JPEG")
                > 5.0
        );
        assert!(mean_chroma(b"\xff\xd8\xff", &Budget::default()).is_err());
    }
}
