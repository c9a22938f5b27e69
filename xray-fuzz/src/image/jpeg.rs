//! JPEG files.

use super::exif;
use crate::corpus::{Expected, Seed};
use crate::dicom::PHANTOM;
use crate::mutate::mutate;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use std::sync::LazyLock;
use xray_random::Random;

static SEEDS: LazyLock<Vec<Seed>> = LazyLock::new(|| {
    use Expected::{Accepted, Either};
    let gray = |set: fn(&mut Encoder<&mut Vec<u8>>)| encoded(ColorType::Luma, set);
    let colour = |set: fn(&mut Encoder<&mut Vec<u8>>)| encoded(ColorType::Rgb, set);
    let seeds = [
        ("gray JPEG", Accepted, gray(|_| ())),
        ("gray JPEG with own tables", Accepted, gray(|encoder| encoder.set_optimized_huffman_tables(true))),
        ("gray JPEG with restarts", Accepted, gray(|encoder| encoder.set_restart_interval(2))),
        ("progressive gray JPEG", Accepted, gray(|encoder| encoder.set_progressive(true))),
        ("gray JPEG of many scans", Accepted, gray(|encoder| encoder.set_progressive_scans(64))),
        ("colour JPEG", Accepted, colour(|encoder| encoder.set_sampling_factor(SamplingFactor::F_1_1))),
        ("colour JPEG 4:2:0", Accepted, colour(|encoder| encoder.set_sampling_factor(SamplingFactor::F_2_2))),
        ("progressive colour JPEG", Accepted, colour(|encoder| encoder.set_progressive(true))),
        ("CMYK JPEG", Either, encoded(ColorType::Cmyk, |_| ())),
        ("upright JPEG", Accepted, turned(1)),
        ("turned JPEG", Either, turned(6)),
    ];
    seeds.map(|(name, expected, bytes)| Seed::new(name, expected, bytes)).to_vec()
});

pub(super) fn seeds() -> Vec<Seed> {
    SEEDS.clone()
}

fn encoded(colours: ColorType, set: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let channels = match colours {
        ColorType::Luma => 1,
        ColorType::Rgb => 3,
        _ => 4,
    };
    let samples: Vec<u8> =
        PHANTOM.pixels.iter().flat_map(|&gray| std::iter::repeat_n(gray, channels)).collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    set(&mut encoder);
    encoder
        .encode(&samples, PHANTOM.width as u16, PHANTOM.height as u16, colours)
        .expect("memory takes every byte");
    bytes
}

fn turned(orientation: u16) -> Vec<u8> {
    encoded(ColorType::Luma, |encoder| {
        encoder.add_exif_metadata(&exif::orientation(orientation)).expect("it is short");
    })
}

/// A file of whole segments, of which one to three are damaged, doubled, left out or moved, with right lengths.
pub(super) fn lie(random: &mut Random) -> Vec<u8> {
    let (mut segments, scan) = segments(&SEEDS[random.below(SEEDS.len())].bytes);
    let (others, _) = self::segments(&SEEDS[random.below(SEEDS.len())].bytes);
    for _ in 0..1 + random.below(3) {
        let at = random.below(segments.len());
        match random.below(8) {
            0..=2 => mutate(&mut segments[at].1, &others[random.below(others.len())].1, random),
            3 => frame(&mut segments, random),
            4 => segments.insert(at, others[random.below(others.len())].clone()),
            5 => {
                let copy = segments[at].clone();
                segments.splice(at..at, std::iter::repeat_n(copy, 1 << random.below(8)));
            }
            6 if segments.len() > 1 => drop(segments.remove(at)),
            _ => {
                let to = random.below(segments.len());
                segments.swap(at, to);
            }
        }
    }
    let scans = match random.below(6) {
        // Thousands of scans over an image of many pixels are work for minutes.
        0 => 1 << random.below(11),
        _ => 1,
    };
    written(&segments, &scan, scans)
}

/// A marker and what stands behind its length.
type Segment = (u8, Vec<u8>);

/// All segments up to the first scan's, and what follows.
fn segments(jpeg: &[u8]) -> (Vec<Segment>, Vec<u8>) {
    let (mut segments, mut rest) = (Vec::new(), &jpeg[2..]);
    while let [0xFF, marker, high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])) - 2;
        segments.push((*marker, behind[..length].to_vec()));
        rest = &behind[length..];
        if *marker == START_OF_SCAN {
            break;
        }
    }
    (segments, rest.to_vec())
}

const START_OF_SCAN: u8 = 0xDA;

fn written(segments: &[Segment], scan: &[u8], scans: usize) -> Vec<u8> {
    let mut jpeg = vec![0xFF, 0xD8];
    let mut write = |(marker, content): &Segment| {
        let length = u16::try_from(content.len() + 2).unwrap_or(u16::MAX);
        jpeg.extend([0xFF, *marker]);
        jpeg.extend(length.to_be_bytes());
        jpeg.extend(&content[..usize::from(length) - 2]);
    };
    segments.iter().for_each(&mut write);
    let last = segments.last().filter(|(marker, _)| *marker == START_OF_SCAN);
    // Ones that hold nothing.
    (1..scans).for_each(|_| last.into_iter().for_each(&mut write));
    jpeg.extend(scan);
    jpeg
}

/// The frame says other sides, more components, another sampling or a depth.
fn frame(segments: &mut [Segment], random: &mut Random) {
    const SIDES: [u16; 10] = [0, 1, 8, 24, 33, 6000, 8192, 8193, 32768, 65535];
    let Some((marker, content)) = segments.iter_mut().find(|(marker, _)| (0xC0..=0xC2).contains(marker))
    else {
        return;
    };
    let side = SIDES[random.below(SIDES.len())].to_be_bytes();
    match random.below(6) {
        0 | 1 if content.len() > 4 => {
            let at = 1 + 2 * random.below(2);
            content[at..at + 2].copy_from_slice(&side);
        }
        2 if content.len() > 4 => {
            content[1..3].copy_from_slice(&side);
            content[3..5].copy_from_slice(&side);
        }
        // A frame of another process: lossless, differential, arithmetic.
        3 => *marker = 0xC0 + random.below(16) as u8,
        _ => {
            let at = random.below(content.len().max(1));
            if let Some(byte) = content.get_mut(at) {
                *byte = [0, 1, 2, 3, 4, 0x11, 0x22, 0x44, 0xFF, 0x14, 0x41][random.below(11)];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_make_the_file_they_were_taken_from() {
        for Seed { name, bytes, .. } in seeds() {
            let (segments, scan) = segments(&bytes);
            assert_eq!(segments.last().map(|(marker, _)| *marker), Some(START_OF_SCAN), "{name}");
            assert_eq!(written(&segments, &scan, 1), bytes, "{name}");
        }
    }
}
