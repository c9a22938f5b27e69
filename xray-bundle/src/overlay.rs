//! A map laid over an image: evidence for a finding glows, the rest stays gray.

use crate::caption;
use xray_image::{GrayImage, encode_png_rgb, encode_png_rgba};

/// Each of the two pictures is at least this wide, in pixels.
const LEAST_WIDTH: u32 = 512;
const GAP: usize = 8;
/// Around words.
const MARGIN: usize = 8;
/// Of a line of words.
const LINE: usize = caption::HEIGHT + 2 * MARGIN;
/// Width of the colours of evidence.
const COLOURS: usize = 96;
const BACKGROUND: [u8; 3] = [24, 24, 24];
/// Evidence of this many units of log-odds glows fully, unless the map holds more. A weak map stays weak.
const STRONG: f32 = 3.0;
const MOST_OPAQUE: f32 = 0.7;
/// From weak to strong, told apart without telling colours apart: each is lighter than the one before (an excerpt of
/// a black-body scale).
const GLOW: [[f32; 3]; 3] = [[150.0, 40.0, 20.0], [235.0, 120.0, 20.0], [255.0, 235.0, 150.0]];

/// What stands above and below the two pictures.
#[derive(Clone, Copy, Debug)]
pub struct Captions<'a> {
    /// Which image, which finding, and its score.
    pub title: &'a str,
    /// The finding.
    pub label: &'a str,
}

/// PNG bytes: left the image, right the image with `evidence`, row-major of these rows and columns, in log-odds; a title above,
/// and below the colours of the evidence.
pub fn side_by_side(
    image: &GrayImage,
    evidence: &[f32],
    [rows, columns]: [usize; 2],
    captions: Captions<'_>,
) -> Vec<u8> {
    let scale = LEAST_WIDTH.div_ceil(image.width).max(1);
    let (width, height) = ((image.width * scale) as usize, (image.height * scale) as usize);
    let strongest = evidence.iter().copied().fold(STRONG, f32::max);
    let line = 2 * width + GAP;
    let (top, bottom) = (LINE, LINE + height);
    let mut pixels = vec![BACKGROUND; line * (bottom + LINE)];
    for y in 0..height {
        let start = (top + y) * line;
        for x in 0..width {
            let gray =
                sample(&image.pixels, [image.height as usize, image.width as usize], [y, x], [height, width]);
            let strength =
                (sample(evidence, [rows, columns], [y, x], [height, width]) / strongest).clamp(0.0, 1.0);
            pixels[start + x] = [gray.round() as u8; 3];
            pixels[start + width + GAP + x] = glowing(gray, strength);
        }
    }
    caption::write(&mut pixels, line, [MARGIN, MARGIN], line - MARGIN, captions.title);
    let seen = format!("network's input, {} x {} px", image.width, image.height);
    caption::write(&mut pixels, line, [bottom + MARGIN, MARGIN], width, &seen);
    colours(&mut pixels, line, [bottom, width + GAP], captions.label, strongest);
    encode_png_rgb(line as u32, (bottom + LINE) as u32, &pixels.concat())
}

/// Below the right picture: which colours are how much evidence, over a middle gray as over an image.
fn colours(pixels: &mut [[u8; 3]], line: usize, [y, x]: [usize; 2], label: &str, strongest: f32) {
    let most = format!("+{strongest:.1} log-odds");
    let bar = line - MARGIN - (most.chars().count() + 1) * caption::WIDTH - COLOURS..;
    let bar = bar.start..bar.start + COLOURS;
    for down in 0..caption::HEIGHT {
        for (place, across) in bar.clone().enumerate() {
            pixels[(y + MARGIN + down) * line + across] = glowing(128.0, place as f32 / (COLOURS - 1) as f32);
        }
    }
    let end = bar.start - 2 * caption::WIDTH;
    caption::write(pixels, line, [y + MARGIN, x + MARGIN], end, label);
    caption::write(pixels, line, [y + MARGIN, end + caption::WIDTH / 2], bar.start, "0");
    caption::write(pixels, line, [y + MARGIN, bar.end + caption::WIDTH / 2], line, &most);
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

    const TITLE: &str = "chest.png: Mass 0.42";
    /// Pixels in a line of the picture.
    const ACROSS: usize = 2 * 512 + GAP;

    fn picture(evidence: &[f32]) -> Vec<[u8; 3]> {
        let image = GrayImage { width: 512, height: 512, pixels: vec![100; 512 * 512] };
        let bytes = side_by_side(&image, evidence, [2, 2], Captions { title: TITLE, label: "Mass" });
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut pixels).expect("a PNG");
        pixels.as_chunks().0.to_vec()
    }

    /// The picture's columns, as red less blue: 0 where it is gray.
    fn colour(evidence: &[f32]) -> Vec<Vec<i16>> {
        let colour = |pixel: &[u8; 3]| i16::from(pixel[0]) - i16::from(pixel[2]);
        let pixels = picture(evidence);
        pixels.chunks_exact(ACROSS).map(|line| line.iter().map(colour).collect()).collect()
    }

    #[test]
    fn the_words_above_and_below_are_all_there() {
        let pixels = picture(&[-5.0, 4.0, -5.0, -5.0]);
        let ink = |pixels: &[[u8; 3]]| pixels.iter().filter(|pixel| **pixel == caption::INK).count();
        let alone = |text: &str| {
            let mut pixels = vec![BACKGROUND; ACROSS * LINE];
            caption::write(&mut pixels, ACROSS, [MARGIN, MARGIN], ACROSS, text);
            pixels
        };
        assert!(pixels[..ACROSS * LINE] == alone(TITLE), "the title");
        let below = &pixels[ACROSS * (LINE + 512)..];
        let texts = ["network's input, 512 x 512 px", "Mass", "0", "+4.0 log-odds"];
        assert_eq!(ink(below), texts.iter().map(|text| ink(&alone(text))).sum::<usize>());
    }

    #[test]
    fn evidence_glows_in_its_corner_of_the_right_picture() {
        // Row 0, column 1: the upper right corner.
        let found = colour(&[-5.0, 4.0, -5.0, -5.0]);
        let right = |y: usize, x: usize| found[LINE + y][512 + GAP + x];
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
    fn below_the_pictures_stand_the_colours_of_evidence() {
        let found = colour(&[-5.0, 4.0, -5.0, -5.0]);
        let row = &found[LINE + 512 + LINE / 2];
        let coloured: Vec<usize> = (0..row.len()).filter(|&x| row[x] != 0).collect();
        assert!((COLOURS - 8..COLOURS).contains(&coloured.len()), "{coloured:?}");
        assert!(coloured[0] > 512 + GAP && row[coloured[10]] < row[coloured[60]]);
        assert!(found[..LINE].iter().flatten().all(|&colour| colour == 0), "words are gray");
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
        let strongest = |evidence: &[f32]| colour(evidence)[LINE..LINE + 512].iter().flatten().copied().max();
        assert_eq!(strongest(&[-1.0, 0.0, -2.0, -3.0]), Some(0));
        assert!(strongest(&[0.2; 4]) < strongest(&[3.0; 4]));
    }
}
