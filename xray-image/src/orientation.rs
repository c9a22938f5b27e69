//! How a picture is to be turned before it is shown, as its EXIF block says, and the turning.
//!
//! Cameras and scanners store rows as the sensor gives them and say beside them which side is up. Whoever ignores that
//! trains on pictures that lie on their side.

use crate::layout::segments;
use crate::{Budget, GrayImage, ImageProblem};

/// The tag of the orientation [Exif 2.32, 4.6.4 A].
const ORIENTATION: u16 = 0x0112;

/// One of the eight ways a picture may lie, by its number in Exif.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orientation(u8);

impl Orientation {
    const UPRIGHT: Orientation = Orientation(1);

    /// Reads the orientation of a JPEG or PNG file. A block that is damaged says nothing: the picture is upright.
    pub(super) fn of(bytes: &[u8]) -> Orientation {
        let said = if bytes.starts_with(&[0xFF, 0xD8]) {
            segments(bytes)
                .take_while(|&(marker, _)| marker != 0xDA && marker != 0xD9)
                .filter(|&(marker, _)| marker == 0xE1)
                .find_map(|(_, body)| tiff_orientation(body.strip_prefix(b"Exif\0\0")?))
        } else {
            chunks(bytes)
                .filter(|&(kind, _)| kind == b"eXIf")
                .find_map(|(_, body)| tiff_orientation(body.strip_prefix(b"Exif\0\0").unwrap_or(body)))
        };
        said.unwrap_or(Orientation::UPRIGHT)
    }

    /// Whether the picture is shown as it is stored.
    pub(super) fn is_upright(self) -> bool {
        self == Orientation::UPRIGHT
    }

    /// Width and height as shown of a picture that is stored so.
    pub(super) fn shown<T>(self, [width, height]: [T; 2]) -> [T; 2] {
        if self.0 < 5 { [width, height] } else { [height, width] }
    }

    /// The picture as it is shown.
    ///
    /// # Errors
    /// If the budget does not have the memory of a second picture.
    pub(super) fn turn(self, image: GrayImage, budget: &Budget) -> Result<GrayImage, ImageProblem> {
        if self.is_upright() {
            return Ok(image);
        }
        budget.check_memory(2 * image.pixels.len() as u64)?;
        let (w, h) = (image.width as usize, image.height as usize);
        // Where the first pixel comes from, and the steps from there to the right and downwards. They wrap at zero.
        let back = usize::wrapping_neg;
        let (start, right, down) = match self.0 {
            2 => (w - 1, back(1), w),
            3 => (w * h - 1, back(1), back(w)),
            4 => (w * (h - 1), 1, back(w)),
            5 => (0, w, 1),
            6 => (w * (h - 1), back(w), 1),
            7 => (w * h - 1, back(w), back(1)),
            8 => (w - 1, w, back(1)),
            _ => (0, 1, w),
        };
        let [width, height] = self.shown([image.width, image.height]);
        let from =
            |x: usize, y: usize| start.wrapping_add(x.wrapping_mul(right)).wrapping_add(y.wrapping_mul(down));
        let row = |y: usize| (0..width as usize).map(move |x| from(x, y));
        let pixels = (0..height as usize).flat_map(row).map(|place| image.pixels[place]).collect();
        Ok(GrayImage { width, height, pixels })
    }
}

/// The chunks of a PNG file up to the first that is cut off, with their names.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let (body, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after.get(4..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The orientation in the first directory of a TIFF header.
fn tiff_orientation(tiff: &[u8]) -> Option<Orientation> {
    let is_little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk::<2>()?;
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk::<4>()?;
        Some(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let table = long(4)? as usize;
    let entries = usize::from(short(table)?);
    let mut entries =
        (0..entries).map(|number| table + 2 + 12 * number).take_while(|at| at + 12 <= tiff.len());
    let entry = entries.find(|&at| short(at) == Some(ORIENTATION))?;
    // A short, says Exif; some write a byte or a long.
    let value = match short(entry + 2)? {
        1 => u32::from(*tiff.get(entry + 8)?),
        3 => u32::from(short(entry + 8)?),
        4 => long(entry + 8)?,
        _ => return None,
    };
    (1..=8).contains(&value).then_some(Orientation(value as u8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode_gray, encode_jpeg, encode_png, read_header};

    /// A TIFF header with one entry: the orientation.
    fn tiff(is_little: bool, kind: u16, orientation: u16) -> Vec<u8> {
        let short = |value: u16| if is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let long = |value: u32| if is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let value = match kind {
            1 => [orientation as u8, 0, 0, 0],
            3 => [short(orientation), [0, 0]].concat().try_into().expect("four bytes"),
            _ => long(orientation.into()),
        };
        let head: &[u8] = if is_little { b"II*\0" } else { b"MM\0*" };
        [head, &long(8), &short(1), &short(ORIENTATION), &short(kind), &long(1), &value, &[0; 4]].concat()
    }

    fn jpeg_with(image: &GrayImage, tiff: &[u8]) -> Vec<u8> {
        let body = [b"Exif\0\0", tiff].concat();
        let length = u16::try_from(body.len() + 2).expect("short");
        let mut file = encode_jpeg(image, 100);
        // An encoder's own segment first, and a fill byte before ours.
        let segment =
            [&[0xFF, 0xFE, 0, 4, 1, 2, 0xFF, 0xFF, 0xE1][..], &length.to_be_bytes(), &body].concat();
        file.splice(2..2, segment);
        file
    }

    fn png_with(image: &GrayImage, tiff: &[u8], is_at_the_end: bool) -> Vec<u8> {
        let mut file = encode_png(image);
        let body = [b"eXIf", tiff].concat();
        let chunk = [&(tiff.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat();
        // After IHDR, or before IEND.
        let place = if is_at_the_end { file.len() - 12 } else { 33 };
        file.splice(place..place, chunk);
        file
    }

    fn crc(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ 0xEDB8_8320 & (crc & 1).wrapping_neg())
        };
        !bytes.iter().fold(u32::MAX, step)
    }

    /// Three columns and two rows of flat squares, so that JPEG keeps them: 1 2 3 over 4 5 6, times 40.
    fn squares(order: &[u8], columns: u32) -> GrayImage {
        let (width, height) = (8 * columns, 8 * (order.len() as u32 / columns));
        let pixel = |place: u32| order[(place / width / 8 * columns + place % width / 8) as usize] * 40;
        GrayImage { width, height, pixels: (0..width * height).map(pixel).collect() }
    }

    #[test]
    fn all_eight_ways_are_turned_upright_in_jpeg_and_png() {
        let stored = squares(&[1, 2, 3, 4, 5, 6], 3);
        let check = |orientation: u16, shown: &[u8], columns: u32| {
            let expected = squares(shown, columns);
            for is_little in [true, false] {
                for kind in [1, 3, 4] {
                    let tiff = tiff(is_little, kind, orientation);
                    for file in [
                        jpeg_with(&stored, &tiff),
                        png_with(&stored, &tiff, false),
                        png_with(&stored, &tiff, true),
                    ] {
                        assert_eq!(decode_gray(&file).as_ref(), Ok(&expected), "orientation {orientation}");
                        let header = read_header(&file).expect("a header");
                        assert_eq!((header.width, header.height), (expected.width, expected.height));
                        assert_eq!(header.gray_8_bit, orientation == 1, "what is turned is not as stored");
                    }
                }
            }
        };
        check(1, &[1, 2, 3, 4, 5, 6], 3);
        check(2, &[3, 2, 1, 6, 5, 4], 3);
        check(3, &[6, 5, 4, 3, 2, 1], 3);
        check(4, &[4, 5, 6, 1, 2, 3], 3);
        check(5, &[1, 4, 2, 5, 3, 6], 2);
        check(6, &[4, 1, 5, 2, 6, 3], 2);
        check(7, &[6, 3, 5, 2, 4, 1], 2);
        check(8, &[3, 6, 2, 5, 1, 4], 2);
    }

    #[test]
    fn damaged_blocks_say_nothing() {
        let image = squares(&[1, 2, 3, 4, 5, 6], 3);
        let upright = |tiff: &[u8]| {
            assert_eq!(decode_gray(&jpeg_with(&image, tiff)).as_ref(), Ok(&image), "{tiff:x?}");
            assert_eq!(decode_gray(&png_with(&image, tiff, false)).as_ref(), Ok(&image), "{tiff:x?}");
        };
        let whole = tiff(true, 3, 6);
        // Its entry ends before the link to a next directory, which need not be there.
        (0..whole.len() - 4).for_each(|length| upright(&whole[..length]));
        for orientation in [0, 9, 255, 0x0600] {
            upright(&tiff(true, 3, orientation));
        }
        upright(&tiff(true, 2, 6));
        for (place, byte) in [(0, b'X'), (2, 43), (4, 200), (7, 255), (8, 0), (10, 0)] {
            let mut broken = whole.clone();
            broken[place] = byte;
            upright(&broken);
        }
    }

    #[test]
    fn turning_counts_as_memory() {
        let image = squares(&[1, 2, 3, 4, 5, 6], 3);
        let budget = Budget { memory: 2 * 384 - 1, ..Budget::default() };
        assert!(matches!(
            Orientation(6).turn(image.clone(), &budget),
            Err(ImageProblem::TooMuchMemory { .. })
        ));
        assert_eq!(Orientation(1).turn(image.clone(), &budget), Ok(image));
    }
}
