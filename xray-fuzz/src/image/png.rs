//! PNG files.

use super::exif;
use crate::corpus::{Expected, Seed};
use crate::dicom::PHANTOM;
use crate::mutate::mutate;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use png::{BitDepth, ColorType, Encoder};
use std::io::Write;
use std::sync::LazyLock;
use xray_random::Random;

static SEEDS: LazyLock<Vec<Seed>> = LazyLock::new(|| {
    use Expected::{Accepted, Either};
    let depths = [BitDepth::One, BitDepth::Two, BitDepth::Four, BitDepth::Eight, BitDepth::Sixteen];
    let mut seeds: Vec<Seed> = depths
        .map(|depth| {
            let name = format!("gray PNG of {} bits", depth as u8);
            Seed::new(name, Accepted, encoded(ColorType::Grayscale, depth, |_| ()))
        })
        .to_vec();
    let mut add = |name: &str, expected, bytes| seeds.push(Seed::new(name, expected, bytes));
    let eight = BitDepth::Eight;
    add("gray and opacity PNG", Accepted, encoded(ColorType::GrayscaleAlpha, eight, |_| ()));
    add("colour PNG", Accepted, encoded(ColorType::Rgb, eight, |_| ()));
    add("colour PNG of 16 bits", Accepted, encoded(ColorType::Rgb, BitDepth::Sixteen, |_| ()));
    add("colour and opacity PNG", Accepted, encoded(ColorType::Rgba, eight, |_| ()));
    let palette = || (0..=255).flat_map(|gray| [gray; 3]).collect::<Vec<u8>>();
    add(
        "palette PNG",
        Accepted,
        encoded(ColorType::Indexed, eight, |encoder| encoder.set_palette(palette())),
    );
    let transparent = encoded(ColorType::Indexed, BitDepth::Four, |encoder| {
        encoder.set_palette((0..16).flat_map(|gray| [17 * gray; 3]).collect::<Vec<u8>>());
        encoder.set_trns(&[0, 128, 255][..]);
    });
    add("transparent palette PNG", Accepted, transparent);
    let text = encoded(ColorType::Grayscale, eight, |encoder| {
        encoder.add_ztxt_chunk("Comment".to_owned(), "one ".repeat(1000)).expect("Latin-1");
    });
    add("PNG with text", Accepted, text);
    let animated = encoded(ColorType::Grayscale, eight, |encoder| {
        encoder.set_animated(2, 0).expect("two are some");
        encoder.validate_sequence(false);
    });
    add("animated PNG", Either, animated);
    add("interlaced PNG", Accepted, interlaced());
    for (name, expected, turn) in [("upright PNG", Accepted, 1), ("turned PNG", Either, 6)] {
        let mut chunks = chunks(&encoded(ColorType::Grayscale, eight, |_| ()));
        chunks.insert(1, (*b"eXIf", exif::orientation(turn)));
        add(name, expected, written(&chunks));
    }
    seeds
});

pub(super) fn seeds() -> Vec<Seed> {
    SEEDS.clone()
}

fn encoded(colours: ColorType, depth: BitDepth, set: impl FnOnce(&mut Encoder<'_, &mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, PHANTOM.width, PHANTOM.height);
    encoder.set_color(colours);
    encoder.set_depth(depth);
    set(&mut encoder);
    let mut writer = encoder.write_header().expect("memory takes every byte");
    writer.write_image_data(&samples(colours.samples(), depth)).expect("as many as the header says");
    drop(writer);
    bytes
}

/// The phantom's rows, each beginning with a new byte.
fn samples(channels: usize, depth: BitDepth) -> Vec<u8> {
    let pixels = PHANTOM.pixels.iter().flat_map(|&gray| std::iter::repeat_n(gray, channels));
    match depth {
        BitDepth::Eight => pixels.collect(),
        BitDepth::Sixteen => pixels.flat_map(|gray| [gray, gray]).collect(),
        _ => {
            let (bits, all) = (depth as usize, pixels.collect::<Vec<_>>());
            // The width is a multiple of eight.
            let packed =
                |grays: &[u8]| grays.iter().fold(0, |byte: u8, gray| (byte << bits) | (gray >> (8 - bits)));
            all.chunks(8 / bits).map(packed).collect()
        }
    }
}

/// Eight-bit gray in seven passes (PNG specification, 8.2).
fn interlaced() -> Vec<u8> {
    const PASSES: [[usize; 4]; 7] =
        [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
    let [width, height] = [PHANTOM.width, PHANTOM.height].map(|side| side as usize);
    let mut rows = Vec::new();
    for [x, y, right, down] in PASSES {
        for row in (y..height).step_by(down) {
            rows.push(0);
            rows.extend((x..width).step_by(right).map(|column| PHANTOM.pixels[row * width + column]));
        }
    }
    let header = [&PHANTOM.width.to_be_bytes()[..], &PHANTOM.height.to_be_bytes(), &[8, 0, 0, 0, 1]].concat();
    written(&[(*b"IHDR", header), (*b"IDAT", deflated(&rows)), (*b"IEND", Vec::new())])
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

/// A file of whole chunks, of which one to three are damaged, doubled, left out or moved, with right checksums.
pub(super) fn lie(random: &mut Random) -> Vec<u8> {
    let mut chunks = chunks(&SEEDS[random.below(SEEDS.len())].bytes);
    let others = self::chunks(&SEEDS[random.below(SEEDS.len())].bytes);
    for _ in 0..1 + random.below(3) {
        let at = random.below(chunks.len());
        match random.below(9) {
            0..=2 => mutate(&mut chunks[at].1, &others[random.below(others.len())].1, random),
            3 | 4 => header(&mut chunks[0].1, random),
            5 => chunks.insert(at, others[random.below(others.len())].clone()),
            6 => {
                let copy = chunks[at].clone();
                chunks.splice(at..at, std::iter::repeat_n(copy, 1 << random.below(8)));
            }
            7 if chunks.len() > 1 => drop(chunks.remove(at)),
            _ => chunks[at].0[random.below(4)] ^= 0x20,
        }
    }
    if random.below(40) == 0 {
        let name = [*b"zTXt", *b"iCCP", *b"IDAT"][random.below(3)];
        let content = if name == *b"IDAT" { BOMB.clone() } else { [b"a\0\0", &BOMB[..]].concat() };
        chunks.insert(1.min(chunks.len()), (name, content));
    }
    written(&chunks)
}

/// Half a megabyte that unpacks to half a gigabyte.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    (0..512).for_each(|_| encoder.write_all(&zeros).expect("memory takes every byte"));
    encoder.finish().expect("memory takes every byte")
});

/// Sides, depth, colours and interlacing that do not fit what follows.
fn header(content: &mut [u8], random: &mut Random) {
    const SIDES: [u32; 10] = [0, 1, 23, 33, 6000, 8192, 8193, 65536, 0x7FFF_FFFF, u32::MAX];
    if content.len() < 13 {
        return;
    }
    match random.below(3) {
        0 => {
            let at = 4 * random.below(2);
            content[at..at + 4].copy_from_slice(&SIDES[random.below(SIDES.len())].to_be_bytes());
        }
        1 => {
            let side = SIDES[random.below(SIDES.len())].to_be_bytes();
            content[..4].copy_from_slice(&side);
            content[4..8].copy_from_slice(&side);
        }
        _ => content[8 + random.below(5)] = [0, 1, 2, 3, 4, 6, 8, 16, 255][random.below(9)],
    }
}

/// A name and what is in it.
type Chunk = ([u8; 4], Vec<u8>);

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// All chunks of a whole file.
fn chunks(png: &[u8]) -> Vec<Chunk> {
    let (mut chunks, mut rest) = (Vec::new(), &png[SIGNATURE.len()..]);
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (name, behind) = behind.split_first_chunk::<4>().expect("a name follows a length");
        let (content, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
        chunks.push((*name, content.to_vec()));
        rest = &behind[4..];
    }
    chunks
}

fn written(chunks: &[Chunk]) -> Vec<u8> {
    let mut png = SIGNATURE.to_vec();
    for (name, content) in chunks {
        let mut checksum = Crc::new();
        checksum.update(name);
        checksum.update(content);
        png.extend((content.len() as u32).to_be_bytes());
        png.extend(name);
        png.extend(content);
        png.extend(checksum.sum().to_be_bytes());
    }
    png
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_make_the_file_they_were_taken_from() {
        for Seed { name, bytes, .. } in seeds() {
            assert_eq!(written(&chunks(&bytes)), bytes, "{name}");
        }
    }
}
