//! PNG to gray, through the `png` crate.

use crate::decode::luma;
use crate::{GrayImage, ImageProblem};
use ::png::{BitDepth, Decoder, Transformations};

/// The most bytes that one image may unpack to: 64 megapixels of RGBA, or 128 of 16-bit gray.
const MAX_UNPACKED: usize = 1 << 28;

/// The whole range of 12-bit detector data that is stored in 16 bits.
const TWELVE_BITS: u16 = 4095;

pub(super) fn decode(bytes: &[u8]) -> Result<GrayImage, ImageProblem> {
    let Unpacked { samples, channels, depth, width, height } = unpack(bytes)?;
    let pixels = match (channels, depth) {
        (1, BitDepth::Eight) => samples,
        (_, BitDepth::Sixteen) => narrow(&gray_samples(&sixteen_bits(&samples), channels)),
        _ => gray_samples(&samples, channels),
    };
    Ok(GrayImage { width, height, pixels })
}

/// Samples of 8 bits, the higher halves of longer ones, and how many a pixel has.
pub(super) fn eight_bits(bytes: &[u8]) -> Result<(Vec<u8>, usize), ImageProblem> {
    let Unpacked { samples, channels, depth, .. } = unpack(bytes)?;
    let samples = if depth == BitDepth::Sixteen { samples.into_iter().step_by(2).collect() } else { samples };
    Ok((samples, channels))
}

struct Unpacked {
    samples: Vec<u8>,
    channels: usize,
    depth: BitDepth,
    width: u32,
    height: u32,
}

fn unpack(bytes: &[u8]) -> Result<Unpacked, ImageProblem> {
    let mut decoder = Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let info = decoder.read_header_info().map_err(broken)?;
    let (width, height) = (info.width, info.height);
    ImageProblem::check_size(width, height)?;
    let mut reader = decoder.read_info().map_err(broken)?;
    let size = reader.output_buffer_size().filter(|&size| size <= MAX_UNPACKED);
    let mut unpacked = vec![0; size.ok_or(ImageProblem::TooLarge { width, height })?];
    let frame = reader.next_frame(&mut unpacked).map_err(broken)?;
    let (channels, depth) = (frame.color_type.samples(), frame.bit_depth);
    Ok(Unpacked { samples: unpacked, channels, depth, width, height })
}

fn broken(error: ::png::DecodingError) -> ImageProblem {
    ImageProblem::Png(error.to_string())
}

fn sixteen_bits(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

/// One gray sample per pixel of one to four channels; alpha is dropped.
fn gray_samples<T: Copy + Into<u32> + TryFrom<u32> + Default>(samples: &[T], channels: usize) -> Vec<T> {
    let gray = |pixel: &[T]| match *pixel {
        [red, green, blue, ..] => {
            T::try_from(luma(red.into(), green.into(), blue.into())).unwrap_or_default()
        }
        [gray, ..] => gray,
        [] => T::default(),
    };
    samples.chunks_exact(channels).map(gray).collect()
}

/// Sixteen bits to eight, rounded: by the full range, or by 4095 when nothing is above it.
fn narrow(samples: &[u16]) -> Vec<u8> {
    let twelve_bits = samples.iter().all(|&sample| sample <= TWELVE_BITS);
    let white = u32::from(if twelve_bits { TWELVE_BITS } else { u16::MAX });
    samples.iter().map(|&sample| ((u32::from(sample) * 255 + white / 2) / white) as u8).collect()
}
