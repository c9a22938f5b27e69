//! DICOM files that say what is not so: numbers that are none, lengths of gigabytes, sequences thousands deep.

use super::file::{Elements, Nested, PIXELS, REFERENCED_IMAGES, Syntax, Tag, file, run_lengths};
use super::{PHANTOM, Picture, Pixels, pair, seeds};
use std::sync::LazyLock;
use xray_image::{GrayImage, encode_jpeg};
use xray_random::Random;

const NUMBERS: [&str; 16] = [
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e400",
    "-1e400",
    "1e-320",
    "0",
    "-0",
    "-1",
    "",
    " ",
    "abc",
    "1\\2\\3",
    "9999999999999999",
    "1,5",
];
const FRAMES: [&str; 10] =
    ["0", "-1", "2", "3\\4", "40000", "2147483647", "4294967297", "99999999999", "1.5", ""];
const WORDS: [u16; 16] = [0, 1, 2, 3, 4, 7, 8, 9, 12, 16, 17, 32, 255, 8192, 32768, 65535];
const LENGTHS: [u32; 8] =
    [0, 1, 0x1000_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF0, 0xFFFF_FFFE, 0xFFFF_FFFF];
const DEPTHS: [usize; 8] = [1, 30, 200, 1000, 1812, 3000, 6000, 10_000];
const COLOURS: [&str; 6] = ["RGB", "YBR_FULL", "YBR_FULL_422", "PALETTE COLOR", "", "MONOCHROME3"];
const HOLLOW: [Tag; 5] = [[0x11, 0x1001], [0x20, 0x4000], [0x28, 0x3006], [0x54, 0x100], [0xFFFE, 0xE000]];

fn any<T: Copy>(of: &[T], random: &mut Random) -> T {
    of[random.below(of.len())]
}

/// One file, with one to three lies.
pub(super) fn draw(random: &mut Random) -> Vec<u8> {
    static SEEDS: LazyLock<Vec<Picture>> =
        LazyLock::new(|| seeds().into_iter().map(|(_, _, picture)| picture).collect());
    if random.below(150) == 0 {
        return BOMB.clone();
    }
    let mut picture = SEEDS[random.below(SEEDS.len())].clone();
    for _ in 0..1 + random.below(3) {
        lie(&mut picture, random);
    }
    picture.file()
}

fn lie(picture: &mut Picture, random: &mut Random) {
    match random.below(13) {
        0 => picture.rescale = pair(any(&NUMBERS, random), any(&NUMBERS, random)),
        1 => picture.window = pair(any(&NUMBERS, random), any(&NUMBERS, random)),
        2 => picture.frames = Some(any(&FRAMES, random).to_owned()),
        3 => picture.nested.push(deep(random)),
        4 => sides(picture, random),
        5 => bits(picture, random),
        6 => picture.photometric = any(&COLOURS, random),
        7 => {
            picture.hollow =
                Some((any(&HOLLOW, random), any(&["OB", "UN", "SQ", "UT"], random), any(&LENGTHS, random)))
        }
        8 => {
            picture.pixels = Pixels::Raw(any(&LENGTHS, random), vec![random.bits() as u8; random.below(4000)])
        }
        9 => picture.pixels = Pixels::RawPieces(pieces(random)),
        10 => picture.lut = Some(table(random)),
        11 => {
            picture.syntax = any(&Syntax::ALL, random);
            // Half of them are named as something else.
            if random.below(2) == 0 {
                picture.uid = any(&Syntax::ALL, random).uid().to_owned();
            }
        }
        _ => picture.padding = Some(any(&WORDS, random)),
    }
}

fn deep(random: &mut Random) -> Nested {
    let tag = any(&[REFERENCED_IMAGES, [0x0009, 0x1001], [0x0028, 0x3010], PIXELS], random);
    let vr = any(&["SQ", "SQ", "UN"], random);
    Nested { tag, vr, depth: any(&DEPTHS, random), says_length: random.below(2) == 0 }
}

fn sides(picture: &mut Picture, random: &mut Random) {
    match random.below(3) {
        0 => picture.rows = any(&WORDS, random),
        1 => picture.columns = any(&WORDS, random),
        _ => (picture.rows, picture.columns) = (any(&WORDS, random), any(&WORDS, random)),
    }
}

fn bits(picture: &mut Picture, random: &mut Random) {
    let word = any(&WORDS, random);
    match random.below(5) {
        0 => picture.allocated = word,
        1 => picture.stored = word,
        2 => picture.high = word,
        3 => picture.samples = word,
        _ => picture.signed = word,
    }
}

/// Frames that are too many, too large or in too many pieces.
fn pieces(random: &mut Random) -> Vec<(u32, Vec<u8>)> {
    let whole = |bytes: &Vec<u8>| (bytes.len() as u32, bytes.clone());
    let mut jpeg = encode_jpeg(&PHANTOM, 90);
    jpeg.extend(std::iter::repeat_n(0, jpeg.len() % 2));
    match random.below(6) {
        0 => Vec::new(),
        1 => vec![whole(&jpeg); 1 + random.below(40)],
        2 => vec![(any(&LENGTHS, random), jpeg)],
        3 => vec![(0, Vec::new()); 5000],
        4 => vec![whole(&large()); 1 + random.below(4)],
        _ => {
            // Segments that are not there, or lie behind the end.
            let mut runs = run_lengths(std::slice::from_ref(&PHANTOM.pixels));
            let at = 4 * random.below(3);
            runs[at..at + 4].copy_from_slice(&any(&LENGTHS, random).to_le_bytes());
            vec![whole(&runs)]
        }
    }
}

/// Half a megabyte that unpacks to half a gigabyte, before the pixels.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bomb = Elements::of(Syntax::Explicit);
    bomb.value([0x0009, 0x1001], "OB", &vec![0; 1 << 29]);
    file(Syntax::Deflated.uid(), Syntax::Deflated, &bomb.bytes)
});

/// A JPEG of 12 megapixels in few bytes; the file around it says less.
fn large() -> Vec<u8> {
    static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let (width, height) = (4000, 3000);
        encode_jpeg(&GrayImage { width, height, pixels: vec![9; (width * height) as usize] }, 50)
    });
    LARGE.clone()
}

fn table(random: &mut Random) -> ([u16; 3], Vec<u16>) {
    let descriptor = [any(&WORDS, random), any(&WORDS, random), any(&WORDS, random)];
    (descriptor, vec![random.bits() as u16; random.below(300)])
}
