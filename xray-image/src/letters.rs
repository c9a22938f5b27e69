//! Words on a picture, in a bitmap font of 8 by 8 pixels (crate `font8x8`, public domain glyphs).

use font8x8::{BASIC_FONTS, GREEK_FONTS, LATIN_FONTS, UnicodeFonts};

/// Width and height of a letter in pixels, before it is enlarged.
pub const LETTER: usize = 8;

/// Calls with `[x, y]` of each pixel of a line of words, from its upper left corner on, each letter enlarged so many times.
/// Letters other than Latin and Greek ones are question marks.
///
/// ```
/// let mut dots = Vec::new();
/// xray_image::letters("-", 1, |dot| dots.push(dot));
/// assert_eq!(dots, [[0, 3], [1, 3], [2, 3], [3, 3], [4, 3], [5, 3]]);
/// ```
pub fn letters(text: &str, enlarged: usize, mut ink: impl FnMut([usize; 2])) {
    for (place, letter) in text.chars().enumerate() {
        // A glyph's bytes are rows from the top, their lowest bit is the leftmost pixel.
        for (row, bits) in glyph(letter).into_iter().enumerate() {
            for column in (0..LETTER).filter(|column| bits >> column & 1 == 1) {
                let corner = [place * LETTER + column, row];
                for dot in 0..enlarged * enlarged {
                    ink([corner[0] * enlarged + dot % enlarged, corner[1] * enlarged + dot / enlarged]);
                }
            }
        }
    }
}

fn glyph(letter: char) -> [u8; LETTER] {
    let found =
        BASIC_FONTS.get(letter).or_else(|| LATIN_FONTS.get(letter)).or_else(|| GREEK_FONTS.get(letter));
    found.or_else(|| BASIC_FONTS.get('?')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str, enlarged: usize) -> Vec<String> {
        let width = LETTER * enlarged * text.chars().count();
        let mut rows = vec![vec!['.'; width]; LETTER * enlarged];
        letters(text, enlarged, |[x, y]| rows[y][x] = '#');
        rows.into_iter().map(|row| row.into_iter().collect()).collect()
    }

    #[test]
    fn letters_stand_upright_and_face_right() {
        let expected =
            ["#######.", ".##...#.", ".##.#...", ".####...", ".##.#...", ".##.....", "####....", "........"];
        assert_eq!(drawn("F", 1), expected);
        assert_eq!(drawn("-F", 1)[3], "######...####...");
        assert_eq!(drawn("中", 1), drawn("?", 1));
        assert_ne!(drawn("é", 1), drawn("?", 1));
    }

    #[test]
    fn enlarged_letters_are_made_of_squares() {
        let (small, large) = (drawn("F", 1), drawn("F", 3));
        for (y, row) in large.iter().enumerate() {
            let expected: String = small[y / 3].chars().flat_map(|dot| [dot; 3]).collect();
            assert_eq!(*row, expected, "row {y}");
        }
    }
}
