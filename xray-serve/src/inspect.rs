//! What is looked at before the network: whether a file may be decoded at all.

use crate::limits::Limits;
use crate::problem::Problem;
use axum::http::StatusCode;
use xray_image::{ImageHeader, ImageProblem, read_header};

/// Refuses what must not or need not be decoded: too many pixels, several pictures in one.
///
/// # Errors
/// A [`Problem`] with a sentence for whoever sent the file.
pub fn admit(file: &[u8], limits: &Limits) -> Result<ImageHeader, Problem> {
    if file.is_empty() {
        return Err(ImageProblem::Empty.into());
    }
    let header = read_header(file)?;
    let megapixels = f64::from(header.width) * f64::from(header.height) / 1e6;
    if megapixels > limits.megapixels {
        let message = format!(
            "the image is {}x{}, more than {} megapixels",
            header.width, header.height, limits.megapixels
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "pixels", message));
    }
    let refused = |code, message: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, message);
    if header.encoding == "png" && is_animated(file) {
        return Err(refused("animated", "the PNG holds several pictures").hint("send one picture"));
    }
    Ok(header)
}

/// Whether a PNG has an animation's chunk before its pixels.
fn is_animated(file: &[u8]) -> bool {
    let mut at = 8;
    while let Some((length, kind)) = chunk(file, at) {
        match kind {
            b"acTL" => return true,
            b"IDAT" | b"IEND" => return false,
            _ => at += 12 + length,
        }
    }
    false
}

fn chunk(file: &[u8], at: usize) -> Option<(usize, &[u8; 4])> {
    let (length, rest) = file.get(at..)?.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*length) as usize, rest.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_image::{GrayImage, encode_jpeg, encode_png};

    fn noise(width: u32, height: u32) -> GrayImage {
        let mut state = 7_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        GrayImage { width, height, pixels: (0..width * height).map(next).collect() }
    }

    fn refused(file: &[u8], code: &str) -> Problem {
        let problem = admit(file, &Limits::default()).expect_err(code);
        assert_eq!(problem.code, code, "{problem:?}");
        problem
    }

    #[test]
    fn ordinary_files_are_admitted_and_others_refused_before_they_are_decoded() {
        let image = noise(40, 30);
        assert_eq!(admit(&encode_png(&image), &Limits::default()).expect("a PNG").width, 40);
        assert_eq!(admit(&encode_jpeg(&image, 90), &Limits::default()).expect("a JPEG").height, 30);
        assert_eq!(refused(b"", "empty").status, 400);
        assert_eq!(refused(b"GIF89a", "format").status, 415);
        let tiny = Limits { megapixels: 0.001, ..Limits::default() };
        assert_eq!(admit(&encode_png(&image), &tiny).expect_err("1,200 pixels").status, 413);
    }

    #[test]
    fn an_animated_png_is_known_by_its_chunk() {
        let mut file = encode_png(&noise(4, 4));
        // After IHDR: 8 bytes of signature, 25 of the chunk.
        let animation = [&8_u32.to_be_bytes()[..], b"acTL", &[0; 12]].concat();
        file.splice(33..33, animation);
        refused(&file, "animated");
        // In a text chunk the same letters are text.
        let mut file = encode_png(&noise(4, 4));
        let text = [&4_u32.to_be_bytes()[..], b"tEXt", b"acTL", &[0; 4]].concat();
        file.splice(33..33, text);
        assert!(admit(&file, &Limits::default()).is_ok());
    }
}
