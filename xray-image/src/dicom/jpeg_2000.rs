//! JPEG 2000 (T.800) through `hayro-jpeg2000`. That decoder believes the codestream, so the headers are read here before
//! it: the picture must be the one of the DICOM header, and blocks, tiles and layers must be of sizes that cost no more
//! memory and time than its pixels do.

use super::DicomProblem;
use super::description::Description;
use super::samples::Samples;
use crate::{Budget, ImageProblem};
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

const fn broken(problem: &'static str) -> DicomProblem {
    DicomProblem::Broken { coding: "JPEG 2000", problem }
}

const UNUSUAL: DicomProblem = broken("its blocks, tiles or layers are unusually small or many");
/// What the decoder holds, and what is made of it.
const BYTES_OF_SAMPLE: u64 = 20;
/// The decoder knows no clock, so what it is given is bounded by the most that it may come to: samples times bit planes,
/// 16 ns each. The former is 17 megapixels of 15 planes, the latter, where there is a deadline, 10.
const MOST_WORK: u64 = 1 << 28;
const MOST_WORK_IN_TIME: u64 = 150_000_000;
const MOST_TILES: u64 = 4096;
const MOST_LAYERS: u16 = 32;
/// Precincts and code blocks are at least this long, as a power of two.
const SMALLEST_PRECINCT: u8 = 5;

/// All components, side by side.
pub(super) fn decode(
    bytes: &[u8],
    description: &Description,
    budget: &Budget,
) -> Result<Samples<'static>, ImageProblem> {
    budget.check_memory(BYTES_OF_SAMPLE * description.count() as u64)?;
    // Some writers wrap the codestream as a JP2 file.
    let start = bytes.windows(4).position(|marker| marker == [0xFF, 0x4F, 0xFF, 0x51]);
    let codestream = &bytes[start.ok_or(broken("it has no codestream"))?..];
    let (signed, planes) = check(codestream, description)?;
    let work = u64::from(planes) * description.count() as u64;
    if work > MOST_WORK || (budget.until.is_some() && work > MOST_WORK_IN_TIME) {
        return Err(ImageProblem::OutOfTime);
    }
    let settings = DecodeSettings { strict: true, ..DecodeSettings::default() };
    let no_picture = || broken("its data make no picture");
    let image = Image::new(codestream, &settings).map_err(|_| no_picture())?;
    let mut context = DecoderContext::default();
    budget.check_time()?;
    let decoded = image.decode(&mut context).map_err(|_| no_picture())?;
    budget.check_time()?;
    let planes = decoded.components().iter().map(|plane| (plane.samples(), plane.bit_depth()));
    let words = words(planes, signed, description).ok_or_else(no_picture)?;
    Ok(Samples::of_words(&words))
}

/// The decoder adds half the range to every sample, as it should to unsigned ones only.
fn words<'a>(
    planes: impl Iterator<Item = (&'a [f32], u8)>,
    signed: bool,
    description: &Description,
) -> Option<Vec<u16>> {
    let (pixels, channels) = (description.pixels(), description.samples);
    let mut words = vec![0; pixels * channels];
    let mut count = 0;
    for (channel, (plane, bits)) in planes.enumerate() {
        let (half, white) = ((1_i32 << bits) / 2, (1_i32 << bits) - 1);
        let shift = if signed { half } else { 0 };
        let places = words.iter_mut().skip(channel).step_by(channels);
        for (place, sample) in places.zip(plane.get(..pixels)?) {
            *place = ((sample.round() as i32).clamp(0, white) - shift) as u16;
        }
        count += 1;
    }
    (count == channels).then_some(words)
}

/// Compares the headers with the DICOM header and with the limits. Whether samples are signed, and the most bit planes.
fn check(codestream: &[u8], description: &Description) -> Result<(bool, u8), DicomProblem> {
    let cut = || broken("its headers are cut off");
    let mut at = codestream.get(2..).ok_or_else(cut)?;
    let (mut signed, mut planes) = (false, 0);
    let mut in_tile: Option<&[u8]> = None;
    loop {
        let [0xFF, marker, rest @ ..] = at else { return Err(cut()) };
        match (marker, in_tile) {
            // The data of a tile part: on to what follows it.
            (0x93, Some(next)) => {
                at = next;
                match at {
                    [0xFF, 0x90, ..] => continue,
                    _ => return Ok((signed, planes)),
                }
            }
            (0x93, None) => return Err(broken("its data stand before their header")),
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk().ok_or_else(cut)?));
        let body = rest.get(2..length).ok_or_else(cut)?;
        match (marker, in_tile) {
            (0x51, None) => signed = size(body, description)?,
            (0x52, _) => coding_style(body.get(5..).ok_or_else(cut)?, body[0], number(body, 2))?,
            (0x53, _) => coding_style(body.get(2..).ok_or_else(cut)?, body[1], 1)?,
            (0x5C, _) => planes = bit_planes(body).ok_or_else(cut)?.max(planes),
            (0x5D, _) => planes = body.get(1..).and_then(bit_planes).ok_or_else(cut)?.max(planes),
            // A region of interest, another order.
            (0x5E | 0x5F, _) => return Err(UNUSUAL),
            (0x90, _) => {
                let part = body.get(2..6).and_then(<[u8]>::first_chunk).map(|part| u32::from_be_bytes(*part));
                let next = match part.ok_or_else(cut)? {
                    0 => &[],
                    part if part < 14 => return Err(cut()),
                    part => at.get(part as usize..).unwrap_or_default(),
                };
                in_tile = Some(next);
            }
            _ => {}
        }
        at = &rest[length..];
    }
}

fn number(body: &[u8], at: usize) -> u16 {
    body.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

/// SIZ (A.5.1): one grid for all components, and not too many tiles.
fn size(body: &[u8], description: &Description) -> Result<bool, DicomProblem> {
    let (numbers, components) = body.split_at_checked(36).ok_or(broken("its headers are cut off"))?;
    let grid: Vec<u32> =
        numbers[2..34].as_chunks::<4>().0.iter().map(|number| u32::from_be_bytes(*number)).collect();
    let [right, bottom, left, top, tile_width, tile_height, tile_left, tile_top] = grid[..] else {
        return Err(UNUSUAL);
    };
    let components = components.as_chunks::<3>().0;
    let (width, height) = (right.saturating_sub(left), bottom.saturating_sub(top));
    let bits = components.first().map_or(0, |component| (component[0] & 0x7F) + 1);
    description.check_codestream("JPEG 2000", [width, height], components.len(), bits)?;
    if components.iter().any(|component| *component != [components[0][0], 1, 1]) || bits > 16 {
        return Err(broken("its components differ in size or bits"));
    }
    let tiles =
        |end: u32, start: u32, length: u32| u64::from(end.saturating_sub(start).div_ceil(length.max(1)));
    let count = tiles(right, tile_left, tile_width).checked_mul(tiles(bottom, tile_top, tile_height));
    let is_offset = left > 0 || top > 0 || tile_left > 0 || tile_top > 0;
    if is_offset || count.is_none_or(|count| count > MOST_TILES) {
        return Err(UNUSUAL);
    }
    Ok(components[0][0] & 0x80 != 0)
}

/// The most bit planes of a coefficient, by QCD or QCC (A.6.4): guard bits and exponents.
fn bit_planes(body: &[u8]) -> Option<u8> {
    let (&style, steps) = body.split_first()?;
    let exponents = match style & 31 {
        0 => steps.iter().map(|step| step >> 3).max(),
        _ => steps.iter().step_by(2).map(|step| step >> 3).max(),
    };
    Some((style >> 5) + exponents?)
}

/// SPcod or SPcoc (A.6.1): levels, block sizes, style, transform, and precincts where the style announces them.
fn coding_style(parameters: &[u8], style: u8, layers: u16) -> Result<(), DicomProblem> {
    let [levels, width, height, _, _, precincts @ ..] = parameters else {
        return Err(broken("its headers are cut off"));
    };
    let announced = if style & 1 == 1 { precincts } else { &[] };
    let small = |precinct: &u8| (precinct & 15).min(precinct >> 4) < SMALLEST_PRECINCT;
    if *levels > 32 || *width > 8 || *height > 8 || width + height < 4 || !(1..=MOST_LAYERS).contains(&layers)
    {
        return Err(UNUSUAL);
    }
    if announced.iter().any(small) { Err(UNUSUAL) } else { Ok(()) }
}
