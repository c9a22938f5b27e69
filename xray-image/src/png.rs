//! PNG to gray, row by row, through the `png` crate.

use crate::decode::luma;
use crate::watched::{Watched, watch};
use crate::{Budget, GrayImage, ImageProblem};
use ::png::{BitDepth, Decoder, Reader, Transformations};
use std::num::NonZeroU16;

/// Of 16 bits, `white_level` and all above it become white; where none is given, as [`white_of`] finds it.
pub(super) fn decode(
    bytes: &[u8],
    white_level: Option<NonZeroU16>,
    budget: &Budget,
) -> Result<GrayImage, ImageProblem> {
    watch(bytes, budget, |watched| {
        let mut reader = open(watched, budget)?;
        let (width, height) = reader.info().size();
        let pixels = if reader.output_color_type().1 == BitDepth::Sixteen {
            let samples = gray(&mut reader, budget)?;
            narrow(&samples, white_level.unwrap_or_else(|| white_of(&samples)))
        } else {
            gray(&mut reader, budget)?
        };
        Ok(GrayImage { width, height, pixels })
    })
}

/// The white level of an image of 16 bits; nothing for others, whose white is the end of their range.
pub(super) fn white_level(bytes: &[u8], budget: &Budget) -> Result<Option<NonZeroU16>, ImageProblem> {
    watch(bytes, budget, |watched| {
        let mut reader = open(watched, budget)?;
        if reader.output_color_type().1 != BitDepth::Sixteen {
            return Ok(None);
        }
        gray(&mut reader, budget).map(|samples| Some(white_of(&samples)))
    })
}

/// Mean distance between the largest and the smallest of red, green and blue, 0 to 255.
pub(super) fn mean_chroma(bytes: &[u8], budget: &Budget) -> Result<f32, ImageProblem> {
    watch(bytes, budget, |watched| {
        let mut reader = open(watched, budget)?;
        let (color, depth) = reader.output_color_type();
        let (channels, width_of_sample) = (color.samples(), depth as usize / 8);
        if channels < 3 {
            return Ok(0.0);
        }
        let (mut sum, mut count) = (0, 0);
        each_row(&mut reader, budget, |row, _, _| {
            // Of longer samples the higher half comes first.
            for pixel in row.chunks_exact(channels * width_of_sample) {
                let colours = || pixel.iter().step_by(width_of_sample).take(3).copied();
                let range = colours().max().unwrap_or(0) - colours().min().unwrap_or(0);
                sum += u64::from(range);
            }
            count += row.len() / (channels * width_of_sample);
        })?;
        Ok((sum as f64 / count.max(1) as f64) as f32)
    })
}

type PngReader<'a> = Reader<Watched<'a>>;

/// Reads up to the first row. Shorter samples are widened to 8 bits, palettes become colours.
fn open<'a>(watched: Watched<'a>, budget: &Budget) -> Result<PngReader<'a>, ImageProblem> {
    let mut decoder = Decoder::new(watched);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let info = decoder.read_header_info().map_err(broken)?;
    let (width, height) = info.size();
    budget.check_size(width, height)?;
    // Of 16 bits the gray values are kept until they are narrowed.
    let bytes_of_pixel = if info.bit_depth == BitDepth::Sixteen { 3 } else { 1 };
    budget.check_memory(bytes_of_pixel * u64::from(width) * u64::from(height))?;
    let reader = decoder.read_info().map_err(broken)?;
    let frame = reader.info().frame_control.as_ref();
    if frame.is_some_and(|frame| (frame.width, frame.height) != (width, height)) {
        return Err(ImageProblem::Png("its first picture is smaller than the file says".to_owned()));
    }
    Ok(reader)
}

/// The seven passes of an interlaced file [PNG, 8.2]: first column and row, and the steps between columns and rows.
const ADAM7: [[usize; 4]; 7] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

/// Calls `take` with the samples of each row of the file, where its first pixel belongs, and the step to the next.
fn each_row(
    reader: &mut PngReader<'_>,
    budget: &Budget,
    mut take: impl FnMut(&[u8], usize, usize),
) -> Result<(), ImageProblem> {
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    let (color, depth) = reader.output_color_type();
    let pixel_bytes = color.samples() * (depth as usize / 8);
    let passes: &[[usize; 4]] = if info.interlaced { &ADAM7 } else { &[[0, 0, 1, 1]] };
    let mut row = vec![0; width * pixel_bytes];
    for &[left, top, right, down] in passes.iter().filter(|pass| pass[0] < width) {
        for y in (top..height).step_by(down) {
            budget.check_time()?;
            let missing = || ImageProblem::Png("rows are missing".to_owned());
            reader.read_row(&mut row).map_err(broken)?.ok_or_else(missing)?;
            let count = (width - left).div_ceil(right);
            take(&row[..count * pixel_bytes], y * width + left, right);
        }
    }
    // Checks what follows the last row.
    reader.read_row(&mut row).map_err(broken).map(|_| ())
}

/// A sample as it is stored.
trait Sample: Copy + Default + Into<u32> + TryFrom<u32> {
    const BYTES: usize;
    fn read(bytes: &[u8]) -> Self;
}

impl Sample for u8 {
    const BYTES: usize = 1;
    fn read(bytes: &[u8]) -> u8 {
        bytes[0]
    }
}

impl Sample for u16 {
    const BYTES: usize = 2;
    fn read(bytes: &[u8]) -> u16 {
        u16::from_be_bytes([bytes[0], bytes[1]])
    }
}

/// One gray sample per pixel of one to four channels; alpha is dropped.
fn gray<T: Sample>(reader: &mut PngReader<'_>, budget: &Budget) -> Result<Vec<T>, ImageProblem> {
    let channels = reader.output_color_type().0.samples();
    let (width, height) = reader.info().size();
    let mut gray = vec![T::default(); width as usize * height as usize];
    let of_pixel = |pixel: &[u8]| {
        let sample = |channel: usize| T::read(&pixel[channel * T::BYTES..]);
        if channels < 3 {
            return sample(0);
        }
        T::try_from(luma(sample(0).into(), sample(1).into(), sample(2).into())).unwrap_or_default()
    };
    each_row(reader, budget, |row, start, step| {
        let values = row.chunks_exact(channels * T::BYTES).map(of_pixel);
        gray[start..].iter_mut().step_by(step).zip(values).for_each(|(out, value)| *out = value);
    })?;
    Ok(gray)
}

/// Ranges of detectors, in bits; files of 16 bits hold any of them.
const RANGES: [u32; 4] = [8, 10, 12, 14];

/// One pixel in so many may lie above a range that the others keep: letters and markers are burned in at 65535.
const MARKED: usize = 50;

/// The end of the smallest range that holds nearly all samples.
fn white_of(samples: &[u16]) -> NonZeroU16 {
    let mut with_bits = [0_usize; 17];
    samples.iter().for_each(|sample| with_bits[(u16::BITS - sample.leading_zeros()) as usize] += 1);
    let above = |bits: u32| with_bits[bits as usize + 1..].iter().sum::<usize>();
    let range = RANGES.into_iter().find(|&bits| above(bits) <= samples.len() / MARKED);
    range.and_then(|bits| NonZeroU16::new((1 << bits) - 1)).unwrap_or(NonZeroU16::MAX)
}

/// Sixteen bits to eight, rounded.
fn narrow(samples: &[u16], white: NonZeroU16) -> Vec<u8> {
    let white = u32::from(white.get());
    let narrowed = |&sample: &u16| (u32::from(sample).min(white) * 255 + white / 2) / white;
    samples.iter().map(|sample| narrowed(sample) as u8).collect()
}

fn broken(error: ::png::DecodingError) -> ImageProblem {
    ImageProblem::Png(error.to_string())
}
