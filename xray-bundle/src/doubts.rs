//! Whether an image looks like a chest X-ray, and like a good one.

use crate::PreparedImage;
use xray_image::{Budget, GrayImage, ImageHeader, mean_chroma};

/// Side of the small copy that is looked at.
const SIDE: usize = 32;

/// Sentences about an image that may be no chest X-ray, or a poor one. `file` is one that was decoded.
pub fn doubts(file: &[u8], header: &ImageHeader, prepared: &PreparedImage, budget: &Budget) -> Vec<String> {
    let mut warnings = Vec::new();
    if !header.gray_8_bit && mean_chroma(file, budget).is_ok_and(|chroma| chroma > MOST_CHROMA) {
        warnings.push("the image is in colour; it was converted to gray".to_owned());
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
            "the image is probably not a frontal chest X-ray: its left and right half differ too much"
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
    use xray_image::encode_png_rgb;

    fn noise(width: u32, height: u32) -> GrayImage {
        let mut state = 7_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        GrayImage { width, height, pixels: (0..width * height).map(next).collect() }
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
