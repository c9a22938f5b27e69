//! Text on an image, in a bitmap font of 8 by 8 pixels (crate `font8x8`, public domain glyphs).

use font8x8::legacy::BASIC_LEGACY;
use xray_image::GrayImage;

const CHARACTER_WIDTH: u32 = 8;
/// Glyph and a little room to the next line.
pub(super) const CHARACTER_HEIGHT: u32 = 11;

/// How many characters fit into a width in pixels.
pub(super) fn characters_in(width: u32) -> usize {
    (width / CHARACTER_WIDTH) as usize
}

/// Writes one line with its upper left corner at `x`, `y`; what does not fit is cut off. Characters outside
/// ASCII appear as `?`.
pub(super) fn write_text(image: &mut GrayImage, text: &str, x: u32, y: u32, ink: u8) {
    for (place, character) in (0..).zip(text.chars()) {
        let glyph = BASIC_LEGACY.get(character as usize).unwrap_or(&BASIC_LEGACY['?' as usize]);
        write_glyph(image, glyph, x + place * CHARACTER_WIDTH, y, ink);
    }
}

/// A glyph's bytes are rows from the top, their lowest bit is the leftmost pixel.
fn write_glyph(image: &mut GrayImage, glyph: &[u8; 8], x: u32, y: u32, ink: u8) {
    for (row, bits) in (y..image.height).zip(glyph) {
        for column in (x..image.width).take(8).filter(|column| bits >> (column - x) & 1 == 1) {
            image.pixels[row as usize * image.width as usize + column as usize] = ink;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, width: u32) -> Vec<String> {
        let mut image = GrayImage { width, height: 8, pixels: vec![0; width as usize * 8] };
        write_text(&mut image, text, 0, 0, 255);
        let line = |y| image.row(y).iter().map(|&p| if p == 255 { '#' } else { '.' }).collect();
        (0..8).map(line).collect()
    }

    #[test]
    fn letters_stand_upright_and_face_right() {
        let expected =
            ["#######.", ".##...#.", ".##.#...", ".####...", ".##.#...", ".##.....", "####....", "........"];
        assert_eq!(drawn("F", 8), expected);
        assert_eq!(drawn("é", 8), drawn("?", 8));
    }

    #[test]
    fn text_that_does_not_fit_is_cut_off() {
        assert_eq!(drawn("FF", 12)[0], "#######.####");
    }
}
