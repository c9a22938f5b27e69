//! Resizing as scikit-image does it (`skimage.transform.resize` in the mode `constant`, 0.25 and 0.26): a Gaussian whose
//! deviation is half of what the scale exceeds 1 by, cut off at four deviations, and then linear interpolation between what
//! it left. Models that were trained so see the same of an image here, up to the rounding to whole levels of gray.

use crate::GrayImage;

/// What lies beyond the border: torchxrayvision brings 0 to 255 to -1024 to 1024 first, and 0 is in the middle.
const BEYOND: f32 = 127.5;

/// An area of `image` (left, top, width, height), which lies inside, in other pixels (width, height).
pub(crate) fn resize(image: &GrayImage, area: [u32; 4], size: [u32; 2]) -> Vec<u8> {
    let [left, top, width, height] = area.map(|length| length as usize);
    let (rows, columns) = (lines(height, size[1] as usize), lines(width, size[0] as usize));
    let mut pixels = Vec::with_capacity(rows.len() * columns.len());
    let mut line = vec![0.0; width];
    // Of an image without mid-gray, nothing becomes grayer than it is.
    let inside = |y: u32| &image.row(y)[left..left + width];
    let all = (top as u32..(top + height) as u32).flat_map(|y| inside(y).iter().copied());
    let (least, most) = all.fold((u8::MAX, 0), |(least, most), pixel| (pixel.min(least), pixel.max(most)));
    for row in &rows {
        line.fill(row.beyond * BEYOND);
        for (at, weight) in row.weights.iter().enumerate() {
            let source = inside((top + row.first + at) as u32);
            line.iter_mut().zip(source).for_each(|(sum, &pixel)| *sum += weight * f32::from(pixel));
        }
        pixels.extend(columns.iter().map(|column| (column.of(&line).round() as u8).clamp(least, most)));
    }
    pixels
}

/// What one line of the result takes of the lines of the source.
struct Line {
    first: usize,
    /// Of that line and those after it.
    weights: Vec<f32>,
    /// Of what lies beyond the border.
    beyond: f32,
}

impl Line {
    fn of(&self, values: &[f32]) -> f32 {
        let near = &values[self.first..self.first + self.weights.len()];
        let sum: f32 = self.weights.iter().zip(near).map(|(weight, value)| weight * value).sum();
        sum + self.beyond * BEYOND
    }
}

/// For each of `size` lines, where it comes from among `length`.
fn lines(length: usize, size: usize) -> Vec<Line> {
    let scale = length as f64 / size as f64;
    let gaussian = gaussian(((scale - 1.0) / 2.0).max(0.0));
    (0..size).map(|at| line(length, (at as f64 + 0.5) * scale - 0.5, &gaussian)).collect()
}

/// The line at `place`, in the middle of pixels of the source; between a pixel at the border and what lies beyond it, too.
fn line(length: usize, place: f64, gaussian: &[f64]) -> Line {
    let (before, radius) = (place.floor() as i64, gaussian.len() as i64 / 2);
    let part = place - place.floor();
    // From `before - radius` to `before + 1 + radius`.
    let mut found = Line { first: (before - radius).max(0) as usize, weights: Vec::new(), beyond: 0.0 };
    let mut earlier = 0.0;
    for (at, weight) in gaussian.iter().copied().chain([0.0]).enumerate() {
        let both = ((1.0 - part) * weight + part * earlier) as f32;
        earlier = weight;
        match usize::try_from(before - radius + at as i64) {
            Ok(source) if source < length => found.weights.push(both),
            _ => found.beyond += both,
        }
    }
    found
}

/// Weights of the deviation `sigma`, the middle one its own.
fn gaussian(sigma: f64) -> Vec<f64> {
    let radius = (4.0 * sigma + 0.5) as i64;
    let of = |at: i64| if at == 0 { 1.0 } else { (-0.5 * (at as f64 / sigma).powi(2)).exp() };
    let weights: Vec<f64> = (-radius..=radius).map(of).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_random::Random;

    /// Two passes over the image, of each pixel by the definition, in f64.
    fn reference(image: &GrayImage, size: usize) -> Vec<f64> {
        let (width, height) = (image.width as usize, image.height as usize);
        let grid = |x: usize, y: usize| f64::from(image.pixels[y * width + x]) - 127.5;
        let blurred = |line: &[f64], scale: f64| -> Vec<f64> {
            let sigma = (scale - 1.0) / 2.0;
            if sigma <= 0.0 {
                return line.to_vec();
            }
            let radius = (4.0 * sigma + 0.5).floor() as i64;
            let bell = |offset: i64| (-(offset * offset) as f64 / (2.0 * sigma * sigma)).exp();
            let all: f64 = (-radius..=radius).map(bell).sum();
            let at = |i: i64| usize::try_from(i).ok().and_then(|i| line.get(i)).copied().unwrap_or(0.0);
            let sum =
                |i: i64| (-radius..=radius).map(|offset| bell(offset) * at(i + offset)).sum::<f64>() / all;
            (0..line.len() as i64).map(sum).collect()
        };
        let zoomed = |line: &[f64], scale: f64| -> Vec<f64> {
            let at = |i: f64| line.get(i as usize).copied().filter(|_| i >= 0.0).unwrap_or(0.0);
            let of = |i: usize| {
                let place = (i as f64 + 0.5) * scale - 0.5;
                let low = place.floor();
                at(low) + (at(low + 1.0) - at(low)) * (place - low)
            };
            (0..size).map(of).collect()
        };
        let across = width as f64 / size as f64;
        let rows: Vec<Vec<f64>> = (0..height)
            .map(|y| zoomed(&blurred(&(0..width).map(|x| grid(x, y)).collect::<Vec<_>>(), across), across))
            .collect();
        let down = height as f64 / size as f64;
        let columns: Vec<Vec<f64>> = (0..size)
            .map(|x| zoomed(&blurred(&rows.iter().map(|row| row[x]).collect::<Vec<_>>(), down), down))
            .collect();
        (0..size * size).map(|at| columns[at % size][at / size] + 127.5).collect()
    }

    #[test]
    fn a_gaussian_then_linear_interpolation_as_defined() {
        for (width, height, size) in [(97, 60, 21), (64, 64, 64), (33, 90, 41), (20, 11, 31), (300, 7, 8)] {
            let mut random = Random::keyed(&[width.into(), height.into()]);
            let pixels = (0..width * height).map(|_| random.bits() as u8).collect();
            let image = GrayImage { width, height, pixels };
            let found = resize(&image, [0, 0, width, height], [size; 2]);
            for (at, (&found, wanted)) in found.iter().zip(reference(&image, size as usize)).enumerate() {
                let difference = (f64::from(found) - wanted).abs();
                assert!(
                    difference < 0.501,
                    "{width}x{height} to {size}: pixel {at} is {found}, not {wanted}"
                );
            }
        }
    }

    /// Of scikit-image 0.26 and scipy 1.17: `resize(image - 127.5, (3, 3), mode="constant", preserve_range=True) + 127.5`.
    #[test]
    fn the_numbers_are_scikit_images() {
        let image =
            GrayImage { width: 7, height: 7, pixels: (0..49).map(|at| (at * at % 256) as u8).collect() };
        assert_eq!(resize(&image, [0, 0, 7, 7], [3; 2]), SCIKIT_IMAGE);
        // A part of the image is resized as if it were one.
        let mut pixels = vec![77; 10 * 9];
        for y in 0..7 {
            pixels[(y + 1) * 10 + 2..][..7].copy_from_slice(&image.pixels[y * 7..][..7]);
        }
        let framed = GrayImage { width: 10, height: 9, pixels };
        assert_eq!(resize(&framed, [2, 1, 7, 7], [3; 2]), SCIKIT_IMAGE);
    }

    const SCIKIT_IMAGE: [u8; 9] = [67, 64, 105, 155, 76, 143, 106, 163, 107];

    #[test]
    fn an_image_without_mid_gray_stays_as_bright_as_it_is() {
        let image = GrayImage { width: 9, height: 9, pixels: (0..81).map(|at| 200 + at % 7).collect() };
        let found = resize(&image, [0, 0, 9, 9], [3; 2]);
        assert!(found.iter().all(|pixel| (200..=206).contains(pixel)), "{found:?}");
    }
}
