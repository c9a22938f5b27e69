//! What is looked at before and beside the network: whether a file may be decoded at all, and whether it looks like a
//! chest X-ray.

use crate::limits::Limits;
use crate::problem::Problem;
use axum::http::StatusCode;
use xray_bundle::PreparedImage;
use xray_image::{Budget, GrayImage, ImageHeader, ImageProblem, mean_chroma, read_header};

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

/// Side of the small copy that is looked at.
const SIDE: usize = 32;

/// Sentences about an image that may be no chest X-ray, or a poor one. `file` is one that was decoded.
pub fn warnings(file: &[u8], header: &ImageHeader, prepared: &PreparedImage, budget: &Budget) -> Vec<String> {
    let mut warnings = Vec::new();
    if !header.gray_8_bit && mean_chroma(file, budget).is_ok_and(|chroma| chroma > MOST_CHROMA) {
        warnings.push("the image is in colour; its colours were taken for brightness".to_owned());
    }
    let [width, height] = prepared.source.map(f64::from);
    let aspect = width.max(height) / width.min(height);
    if aspect > MOST_ASPECT {
        warnings
            .push(format!("the image is {aspect:.1} times as long as wide: chest X-rays are nearly square"));
    }
    let small = small(&prepared.image);
    if deviation(&small) < LEAST_CONTRAST {
        warnings.push("the image has little contrast".to_owned());
    }
    if mirror_correlation(&small) < LEAST_SYMMETRY {
        warnings.push(
            "the image is probably no chest X-ray from the front: its left and right half differ too much"
                .to_owned(),
        );
    }
    warnings
}

/// Mean distance of a pixel's channels, of 255: gray pictures that were stored as colour JPEGs stay below.
const MOST_CHROMA: f32 = 8.0;
const MOST_ASPECT: f64 = 1.5;
/// Standard deviation of the small copy, of 255.
const LEAST_CONTRAST: f64 = 16.0;
/// Of 621 X-rays of ChestX-ray14, one in a hundred is below.
const LEAST_SYMMETRY: f64 = 0.2;

/// Means of blocks.
fn small(image: &GrayImage) -> Vec<f64> {
    let (width, height) = (image.width as usize, image.height as usize);
    let edge = |at: usize, length: usize| at * length / SIDE;
    let mean = |place: usize| {
        let (row, column) = (place / SIDE, place % SIDE);
        let rows = edge(row, height)..edge(row + 1, height).max(edge(row, height) + 1);
        let columns = edge(column, width)..edge(column + 1, width).max(edge(column, width) + 1);
        let count = (rows.len() * columns.len()) as f64;
        let sum: f64 =
            rows.map(|y| columns.clone().map(|x| f64::from(image.pixels[y * width + x])).sum::<f64>()).sum();
        sum / count
    };
    (0..SIDE * SIDE).map(mean).collect()
}

fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Pearson's correlation of an image with its mirror image.
fn mirror_correlation(values: &[f64]) -> f64 {
    let mirrored: Vec<f64> = values.chunks(SIDE).flat_map(|row| row.iter().rev()).copied().collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let products = values.iter().zip(&mirrored).map(|(a, b)| (a - mean) * (b - mean));
    let variance = deviation(values).powi(2).max(1e-9);
    products.sum::<f64>() / values.len() as f64 / variance
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_image::{encode_jpeg, encode_png, encode_png_rgb};

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

    #[test]
    fn symmetry_contrast_and_colour_are_seen() {
        let symmetric: Vec<f64> =
            (0..SIDE * SIDE).map(|at| ((at % SIDE) as f64 - 15.5).abs() * 8.0).collect();
        assert!(mirror_correlation(&symmetric) > 0.99);
        let slope: Vec<f64> = (0..SIDE * SIDE).map(|at| (at % SIDE) as f64 * 8.0).collect();
        assert!(mirror_correlation(&slope) < -0.9);
        assert_eq!(small(&noise(64, 48)).len(), SIDE * SIDE);
        assert!(deviation(&small(&noise(320, 320))) < LEAST_CONTRAST, "noise has no contrast at a distance");
        let red = encode_png_rgb(2, 1, &[200, 10, 10, 180, 0, 20]);
        assert!(mean_chroma(&red, &Budget::default()).expect("a PNG") > MOST_CHROMA);
        assert!(mean_chroma(&encode_png_rgb(1, 1, &[90, 90, 90]), &Budget::default()).expect("a PNG") < 1.0);
    }
}
