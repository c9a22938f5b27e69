//! JPEG to gray: the common kind through our own decoder, the rest through zune-jpeg.

use super::baseline;
use super::decode::luma;
use super::{GrayImage, ImageProblem, MAX_SIDE};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

pub(super) fn decode(bytes: &[u8]) -> Result<GrayImage, ImageProblem> {
    let (width, height) = frame_size(bytes)?;
    ImageProblem::check_size(width, height)?;
    match baseline::parse(bytes) {
        Some(frame) => baseline::decode(&frame),
        None => decode_any(bytes),
    }
}

/// Any JPEG, through zune-jpeg. Strict: a file that ends too early is an error, not a gray lower half.
fn decode_any(bytes: &[u8]) -> Result<GrayImage, ImageProblem> {
    let side = MAX_SIDE as usize;
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(side).set_max_height(side);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let has_luma = matches!(decoder.input_colorspace(), Some(ColorSpace::Luma | ColorSpace::YCbCr));
    let wanted = if has_luma { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let mut pixels = decoder.decode().map_err(broken)?;
    if !has_luma {
        let gray = |p: &[u8]| luma(u32::from(p[0]), u32::from(p[1]), u32::from(p[2])) as u8;
        pixels = pixels.chunks_exact(3).map(gray).collect();
    }
    let (width, height) = decoder.info().map_or((0, 0), |info| (info.width.into(), info.height.into()));
    Ok(GrayImage { width, height, pixels })
}

fn broken(error: DecodeErrors) -> ImageProblem {
    ImageProblem::Jpeg(error.to_string())
}

/// Width and height in the frame header (SOF), found by walking the segments before the first scan.
fn frame_size(bytes: &[u8]) -> Result<(u32, u32), ImageProblem> {
    let missing = || ImageProblem::Jpeg("no frame header".to_owned());
    let mut at = 2;
    loop {
        let rest = bytes.get(at..).ok_or_else(missing)?;
        match *rest {
            [0xFF, 0xFF, ..] => at += 1,
            [0xFF, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF, _, _, _, h1, h0, w1, w0, ..] => {
                return Ok((u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into()));
            }
            [0xFF, 0xDA | 0xD9, ..] => return Err(missing()),
            [0xFF, _, l1, l0, ..] => at += 2 + usize::from(u16::from_be_bytes([l1, l0])),
            _ => return Err(missing()),
        }
    }
}
