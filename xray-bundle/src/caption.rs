//! A line of words in a picture.

use xray_image::{LETTER, letters};

/// Letters are enlarged so many times.
const ENLARGED: usize = 2;
/// Width of a letter in the picture, and height of a line.
pub(crate) const WIDTH: usize = LETTER * ENLARGED;
pub(crate) const HEIGHT: usize = LETTER * ENLARGED;
pub(crate) const INK: [u8; 3] = [225, 225, 225];

/// Writes a line with its upper left corner at `[y, x]` into rows of `width` pixels, as far as it fits before `end`; what is
/// cut off is said by three dots.
pub(crate) fn write(pixels: &mut [[u8; 3]], width: usize, [y, x]: [usize; 2], end: usize, text: &str) {
    let room = end.saturating_sub(x) / WIDTH;
    let shown = if text.chars().count() <= room {
        text.to_owned()
    } else {
        let whole: String = text.chars().take(room.saturating_sub(3)).collect();
        whole + &"..."[..room.min(3)]
    };
    letters(&shown, ENLARGED, |[right, down]| pixels[(y + down) * width + x + right] = INK);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, end: usize) -> Vec<usize> {
        let mut pixels = vec![[0; 3]; 200 * HEIGHT];
        write(&mut pixels, 200, [0, 0], end, text);
        // Ink in each letter's place.
        let ink = |place: usize| {
            let columns = place * WIDTH..(place + 1) * WIDTH;
            let of_row = |row: &[[u8; 3]]| row[columns.clone()].iter().filter(|pixel| **pixel == INK).count();
            pixels.chunks(200).map(of_row).sum()
        };
        (0..200 / WIDTH).map(ink).collect()
    }

    #[test]
    fn letters_stand_in_their_places_and_what_is_cut_off_is_said() {
        let whole = written("Mü 1", 200);
        assert!(whole[0] > 0 && whole[1] > 0 && whole[2] == 0 && whole[3] > 0, "{whole:?}");
        assert!(whole[4..].iter().all(|&ink| ink == 0), "{whole:?}");
        assert_ne!(whole[0], whole[1]);
        let cut = written("MMMMMMMMMM", 6 * WIDTH);
        assert_eq!(cut[..3], [whole[0]; 3], "{cut:?}");
        assert!(
            cut[3] == cut[5] && (1..cut[0]).contains(&cut[3]) && cut[6..].iter().all(|&ink| ink == 0),
            "{cut:?}"
        );
    }
}
