//! A map laid over an image: evidence for a finding glows, the rest stays gray.

use xray_image::{GrayImage, encode_png_rgb, encode_png_rgba};

/// Each of the two pictures is at least this wide, in pixels.
const LEAST_WIDTH: u32 = 512;
const GAP: usize = 8;
const BACKGROUND: [u8; 3] = [24, 24, 24];
/// Evidence of this many units of log-odds glows fully, unless the map holds more. A weak map stays weak.
const STRONG: f32 = 3.0;
const MOST_OPAQUE: f32 = 0.7;
/// From weak to strong, told apart without telling colours apart: each is lighter than the one before (an excerpt of
/// a black-body scale).
const GLOW: [[f32; 3]; 3] = [[150.0, 40.0, 20.0], [235.0, 120.0, 20.0], [255.0, 235.0, 150.0]];

/// PNG bytes: left the image, right the image with `evidence`, row-major of these rows and columns, in log-odds.
pub fn side_by_side(image: &GrayImage, evidence: &[f32], [rows, columns]: [usize; 2]) -> Vec<u8> {
    let scale = LEAST_WIDTH.div_ceil(image.width).max(1);
    let (width, height) = ((image.width * scale) as usize, (image.height * scale) as usize);
    let strongest = evidence.iter().copied().fold(STRONG, f32::max);
    let mut pixels = vec![BACKGROUND; (2 * width + GAP) * height];
    for y in 0..height {
        let line = y * (2 * width + GAP);
        for x in 0..width {
            let gray =
                sample(&image.pixels, [image.height as usize, image.width as usize], [y, x], [height, width]);
            let strength =
                (sample(evidence, [rows, columns], [y, x], [height, width]) / strongest).clamp(0.0, 1.0);
            pixels[line + x] = [gray.round() as u8; 3];
            pixels[line + width + GAP + x] = glowing(gray, strength);
        }
    }
    encode_png_rgb((2 * width + GAP) as u32, height as u32, &pixels.concat())
}

/// PNG bytes of the glow alone, `size` pixels a side and transparent where nothing speaks for the finding: to be laid over
/// the image. `evidence` is as for [`side_by_side`].
pub fn glow(evidence: &[f32], [rows, columns]: [usize; 2], size: usize) -> Vec<u8> {
    let strongest = evidence.iter().copied().fold(STRONG, f32::max);
    let mut pixels = Vec::with_capacity(4 * size * size);
    for place in 0..size * size {
        let value = sample(evidence, [rows, columns], [place / size, place % size], [size, size]);
        let strength = (value / strongest).clamp(0.0, 1.0);
        pixels.extend(colour_of(strength).map(|channel| channel.round() as u8));
        pixels.push((255.0 * MOST_OPAQUE * strength).round() as u8);
    }
    encode_png_rgba(size as u32, size as u32, &pixels)
}

/// The value at a place of the enlarged picture, linear between the centres of the four around it.
fn sample<T: Copy + Into<f32>>(
    values: &[T],
    [rows, columns]: [usize; 2],
    [y, x]: [usize; 2],
    [height, width]: [usize; 2],
) -> f32 {
    let place = |at: usize, size: usize, count: usize| {
        let centre = ((at as f32 + 0.5) * count as f32 / size as f32 - 0.5).clamp(0.0, (count - 1) as f32);
        (centre.floor() as usize, (centre.floor() as usize + 1).min(count - 1), centre.fract())
    };
    let (top, bottom, down) = place(y, height, rows);
    let (left, right, across) = place(x, width, columns);
    let at = |row: usize, column: usize| -> f32 { values[row * columns + column].into() };
    let between = |a: f32, b: f32, share: f32| a + (b - a) * share;
    between(
        between(at(top, left), at(top, right), across),
        between(at(bottom, left), at(bottom, right), across),
        down,
    )
}

fn glowing(gray: f32, strength: f32) -> [u8; 3] {
    let opacity = MOST_OPAQUE * strength;
    colour_of(strength).map(|colour| (gray + (colour - gray) * opacity).round() as u8)
}

fn colour_of(strength: f32) -> [f32; 3] {
    let place = strength * (GLOW.len() - 1) as f32;
    let (low, high) = (GLOW[place.floor() as usize], GLOW[place.ceil() as usize]);
    std::array::from_fn(|channel| low[channel] + (high[channel] - low[channel]) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture's columns, as red less blue: 0 where it is gray.
    fn colour(evidence: &[f32]) -> Vec<Vec<i16>> {
        let image = GrayImage { width: 512, height: 512, pixels: vec![100; 512 * 512] };
        let bytes = side_by_side(&image, evidence, [2, 2]);
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut pixels).expect("a PNG");
        let colour = |pixel: &[u8]| i16::from(pixel[0]) - i16::from(pixel[2]);
        pixels.chunks_exact(3 * (1024 + GAP)).map(|line| line.chunks_exact(3).map(colour).collect()).collect()
    }

    #[test]
    fn evidence_glows_in_its_corner_of_the_right_picture() {
        // Row 0, column 1: the upper right corner.
        let found = colour(&[-5.0, 4.0, -5.0, -5.0]);
        let right = |y: usize, x: usize| found[y][512 + GAP + x];
        assert!(right(40, 470) > 50, "{}", right(40, 470));
        for (y, x) in [(40, 40), (470, 40), (470, 470)] {
            assert_eq!(right(y, x), 0, "{y} {x}");
        }
        assert!(
            found.iter().all(|line| line[..512].iter().all(|&colour| colour == 0)),
            "the left picture is gray"
        );
    }

    #[test]
    fn the_glow_alone_is_transparent_where_nothing_speaks_for_the_finding() {
        let bytes = glow(&[-5.0, 4.0, -5.0, -5.0], [2, 2], 64);
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut pixels).expect("a PNG");
        let opacity = |y: usize, x: usize| pixels[4 * (y * 64 + x) + 3];
        assert!(opacity(4, 60) > 150 && opacity(4, 4) == 0 && opacity(60, 60) == 0);
    }

    #[test]
    fn without_evidence_nothing_glows_and_weak_evidence_is_weak() {
        let strongest = |evidence: &[f32]| colour(evidence).into_iter().flatten().max();
        assert_eq!(strongest(&[-1.0, 0.0, -2.0, -3.0]), Some(0));
        assert!(strongest(&[0.2; 4]) < strongest(&[3.0; 4]));
    }
}
