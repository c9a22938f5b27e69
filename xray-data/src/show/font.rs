//! Words on a contact sheet.

use xray_image::{GrayImage, LETTER, letters};

/// A letter and a little room to the next line.
pub(super) const CHARACTER_HEIGHT: u32 = 11;

/// How many characters fit into a width in pixels.
pub(super) fn characters_in(width: u32) -> usize {
    width as usize / LETTER
}

/// Writes one line with its upper left corner at `x`, `y`; what does not fit is cut off.
pub(super) fn write_text(image: &mut GrayImage, text: &str, x: u32, y: u32, ink: u8) {
    let (width, height) = (image.width as usize, image.height as usize);
    letters(text, 1, |[right, down]| {
        let (x, y) = (x as usize + right, y as usize + down);
        if x < width && y < height {
            image.pixels[y * width + x] = ink;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_does_not_fit_is_cut_off() {
        let mut image = GrayImage { width: 12, height: 9, pixels: vec![0; 12 * 9] };
        write_text(&mut image, "FF", 0, 2, 255);
        let line = |y| image.row(y).iter().map(|&p| if p == 255 { '#' } else { '.' }).collect::<String>();
        assert_eq!((line(1), line(2)), (".".repeat(12), "#######.####".to_owned()));
        assert_eq!(line(8), "####....####");
        // What is beyond the right edge does not go on at the left.
        let mut wider = GrayImage { width: 16, height: 9, pixels: vec![0; 16 * 9] };
        write_text(&mut wider, "FF", 0, 2, 255);
        assert!((0..9).all(|y| image.row(y) == &wider.row(y)[..12]), "{:?}", image.pixels);
    }
}
