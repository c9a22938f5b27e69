//! What the first bytes of a JPEG, PNG or DICOM file tell without decoding it.

use crate::jpeg::{Frame, frame};
use crate::orientation::Orientation;
use crate::{ImageProblem, failure};

/// Size and kind of an encoded image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// Pixels in a row, as the image is shown.
    pub width: u32,
    /// Rows, as it is shown.
    pub height: u32,
    /// `jpeg`, `png` or `dicom`.
    pub encoding: &'static str,
    /// One gray channel of 8 bits, upright: decoding changes nothing but the format. Of a DICOM file: that its pixels are gray when
    /// they are decoded.
    pub gray_8_bit: bool,
}

/// Reads the header only: a few hundred bytes, of a PNG the names of its chunks, of a DICOM file all before its pixels.
///
/// ```
/// use xray_image::{GrayImage, encode_png, read_header};
/// let header = read_header(&encode_png(&GrayImage { width: 2, height: 1, pixels: vec![7, 250] }))?;
/// assert_eq!((header.width, header.height, header.encoding, header.gray_8_bit), (2, 1, "png", true));
/// # Ok::<(), xray_image::ImageProblem>(())
/// ```
///
/// # Errors
/// [`ImageProblem`] for other formats and for headers that are cut off.
pub fn read_header(bytes: &[u8]) -> Result<ImageHeader, ImageProblem> {
    failure::contain(|| header(bytes))
}

fn header(bytes: &[u8]) -> Result<ImageHeader, ImageProblem> {
    if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        let Frame { width, height, bits, components } = frame(bytes)?;
        let gray_8_bit = bits == 8 && components == 1;
        return Ok(upright(bytes, ImageHeader { width, height, encoding: "jpeg", gray_8_bit }));
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        let header = png(bytes).ok_or_else(|| ImageProblem::Png("the header is cut off".to_owned()))?;
        return Ok(upright(bytes, header));
    }
    if crate::is_dicom(bytes) {
        let ([width, height], is_gray) = crate::dicom::size(bytes)?;
        return Ok(ImageHeader { width, height, encoding: "dicom", gray_8_bit: is_gray });
    }
    Err(crate::decode::not_an_image(bytes))
}

/// What a header says of the image as it is shown.
fn upright(bytes: &[u8], stored: ImageHeader) -> ImageHeader {
    let orientation = Orientation::of(bytes);
    let [width, height] = orientation.shown([stored.width, stored.height]);
    ImageHeader { width, height, gray_8_bit: stored.gray_8_bit && orientation.is_upright(), ..stored }
}

/// The IHDR chunk comes first: length and name in 8 bytes, then width, height, bit depth, colour type.
fn png(bytes: &[u8]) -> Option<ImageHeader> {
    let (width, rest) = bytes.get(16..)?.split_first_chunk::<4>()?;
    let (height, rest) = rest.split_first_chunk::<4>()?;
    let gray_8_bit = *rest.first_chunk::<2>()? == [8, 0];
    let [width, height] = [width, height].map(|side| u32::from_be_bytes(*side));
    Some(ImageHeader { width, height, encoding: "png", gray_8_bit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GrayImage, encode_jpeg, encode_png};

    #[test]
    fn headers_tell_size_and_kind() {
        let image = GrayImage { width: 5, height: 3, pixels: (0..15).collect() };
        let check = |bytes: Vec<u8>, encoding| {
            let expected = ImageHeader { width: 5, height: 3, encoding, gray_8_bit: true };
            assert_eq!(read_header(&bytes), Ok(expected));
        };
        check(encode_jpeg(&image, 90), "jpeg");
        check(encode_png(&image), "png");
    }

    #[test]
    fn a_deeper_png_is_not_8_bit_gray() {
        let mut bytes = encode_png(&GrayImage { width: 5, height: 3, pixels: (0..15).collect() });
        bytes[24] = 16;
        assert!(!read_header(&bytes).expect("a header").gray_8_bit);
        assert!(read_header(&bytes[..20]).is_err());
    }
}
