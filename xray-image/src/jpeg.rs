//! JPEG to gray: the common kind through our own decoder, the rest through zune-jpeg.

use crate::decode::luma;
use crate::layout::Layout;
use crate::watched::watch;
use crate::{Budget, GrayImage, ImageProblem, MAX_SIDE, baseline};
use std::borrow::Cow;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

pub(super) fn decode(bytes: &[u8], budget: &Budget) -> Result<GrayImage, ImageProblem> {
    let Frame { width, height, .. } = frame(bytes)?;
    budget.check_size(width, height)?;
    match baseline::parse(bytes) {
        Some(frame) => baseline::decode(&frame, budget),
        None => decode_any(bytes, budget),
    }
}

/// Any JPEG, through zune-jpeg.
fn decode_any(bytes: &[u8], budget: &Budget) -> Result<GrayImage, ImageProblem> {
    let (width, height, pixels, channels) = unpack(bytes, budget, |colours| match colours {
        ColorSpace::Luma | ColorSpace::YCbCr => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    })?;
    let gray = |p: &[u8]| luma(u32::from(p[0]), u32::from(p[1]), u32::from(p[2])) as u8;
    let pixels = if channels == 1 { pixels } else { pixels.chunks_exact(3).map(gray).collect() };
    Ok(GrayImage { width, height, pixels })
}

/// Red, green and blue of each pixel.
pub(super) fn rgb(bytes: &[u8], budget: &Budget) -> Result<Vec<u8>, ImageProblem> {
    unpack(bytes, budget, |_| ColorSpace::RGB).map(|(_, _, pixels, _)| pixels)
}

/// Width, height, samples and their number per pixel, in the colours that `wanted` chooses for those of the file.
/// Strict: a file that ends too early is an error, not a gray lower half.
fn unpack(
    bytes: &[u8],
    budget: &Budget,
    wanted: impl Fn(ColorSpace) -> ColorSpace,
) -> Result<(u32, u32, Vec<u8>, usize), ImageProblem> {
    let bytes = &*without_short_adobe(bytes);
    let layout = Layout::read(bytes)?;
    budget.check_size(layout.frame.width, layout.frame.height)?;
    budget.check_work(layout.visits)?;
    watch(bytes, budget, |watched| {
        let side = MAX_SIDE as usize;
        let options =
            DecoderOptions::default().set_strict_mode(true).set_max_width(side).set_max_height(side);
        let options = options.jpeg_set_max_scans(layout.scans);
        let mut decoder = JpegDecoder::new_with_options(watched, options);
        decoder.decode_headers().map_err(broken)?;
        let (width, height) = decoder.info().map_or((0, 0), |info| (info.width.into(), info.height.into()));
        if (width, height) != (layout.frame.width, layout.frame.height) {
            return Err(ImageProblem::Jpeg("its frame headers contradict each other".to_owned()));
        }
        let colours = wanted(decoder.input_colorspace().unwrap_or(ColorSpace::RGB));
        let channels = colours.num_components();
        // Colours are turned to gray in a second buffer.
        let buffers = if channels == 1 { 1 } else { channels as u64 + 1 };
        budget.check_memory(layout.coefficients + buffers * u64::from(width) * u64::from(height))?;
        decoder.set_options(options.jpeg_set_out_colorspace(colours));
        let pixels = decoder.decode().map_err(broken)?;
        Ok((width, height, pixels, channels))
    })
}

/// Adobe's segment (APP14) says in 12 bytes which colours these are. A shorter one says nothing: libjpeg passes over it, and
/// zune-jpeg refuses the file, so its name is changed.
fn without_short_adobe(bytes: &[u8]) -> Cow<'_, [u8]> {
    const NAME: &[u8] = b"Adobe";
    let mut changed = Cow::Borrowed(bytes);
    let mut at = 2;
    while let Some(&[0xFF, marker, l1, l0]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        if marker == 0xFF {
            at += 1;
            continue;
        }
        if matches!(marker, 0xD9 | 0xDA) {
            break;
        }
        let length = usize::from(u16::from_be_bytes([l1, l0]));
        if marker == 0xEE && length < 2 + 12 && bytes[at + 4..].starts_with(NAME) {
            changed.to_mut()[at + 4] = b'-';
        }
        at += 2 + length;
    }
    changed
}

fn broken(error: DecodeErrors) -> ImageProblem {
    ImageProblem::Jpeg(error.to_string())
}

/// What a frame header (SOF) says.
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bits per sample.
    pub(super) bits: u8,
    /// Channels.
    pub(super) components: u8,
}

/// The frame header, found by walking the segments before the first scan.
pub(super) fn frame(bytes: &[u8]) -> Result<Frame, ImageProblem> {
    let missing = || ImageProblem::Jpeg("no frame header".to_owned());
    let mut at = 2;
    loop {
        let rest = bytes.get(at..).ok_or_else(missing)?;
        match *rest {
            [0xFF, 0xFF, ..] => at += 1,
            [
                0xFF,
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF,
                _,
                _,
                bits,
                h1,
                h0,
                w1,
                w0,
                components,
                ..,
            ] => {
                let (width, height) =
                    (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
                return Ok(Frame { width, height, bits, components });
            }
            [0xFF, 0xDA | 0xD9, ..] => return Err(missing()),
            [0xFF, _, l1, l0, ..] => at += 2 + usize::from(u16::from_be_bytes([l1, l0])),
            _ => return Err(missing()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use xray_random::Random;

    /// Waves and noise of this strength.
    fn pixels(width: u16, height: u16, noise: f64, seed: u64) -> Vec<u8> {
        let mut random = Random::keyed(&[seed]);
        let mut value = |x: u16, y: u16| {
            let wave = (f64::from(x) / 5.0).sin() * (f64::from(y) / 11.0).cos() * 100.0;
            (128.0 + wave + random.between(-noise, noise)) as u8
        };
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_two_decoders_agree_to_a_gray_level(
            (width, height) in (1_u16..150, 1_u16..40),
            quality in 5_u8..=100,
            noise in 0.0..120.0,
            seed: u64,
            restart in prop::option::of(1_u16..9),
        ) {
            let mut bytes = Vec::new();
            let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality);
            // Not both: jpeg-encoder 0.7.1 counts symbols for its tables as if nothing restarted, and writes
            // files that libjpeg cannot read either.
            match restart {
                Some(blocks) => encoder.set_restart_interval(blocks),
                None => encoder.set_optimized_huffman_tables(true),
            }
            let colour = jpeg_encoder::ColorType::Luma;
            encoder.encode(&pixels(width, height, noise, seed), width, height, colour).expect("encodable");
            let frame = baseline::parse(&bytes).expect("a gray baseline file");
            let (ours, general) = (baseline::decode(&frame, &Budget::default())?, decode_any(&bytes, &Budget::default())?);
            prop_assert_eq!((ours.width, ours.height), (width.into(), height.into()));
            prop_assert_eq!((general.width, general.height), (width.into(), height.into()));
            let furthest = ours.pixels.iter().zip(&general.pixels).map(|(&a, &b)| a.abs_diff(b)).max();
            prop_assert!(furthest <= Some(1), "{furthest:?}");
        }
    }

    #[test]
    fn only_gray_baseline_takes_the_short_way() {
        let check = |bytes: &[u8], expected| assert_eq!(baseline::parse(bytes).is_some(), expected);
        check(include_bytes!("../tests/golden/jpeg/gray-q90.jpg"), true);
        check(include_bytes!("../tests/golden/jpeg/gray-restarts.jpg"), true);
        check(include_bytes!("../tests/golden/jpeg/gray-progressive.jpg"), false);
        check(include_bytes!("../tests/golden/jpeg/colour-420.jpg"), false);
    }
}
