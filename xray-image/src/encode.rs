//! From gray pixels to JPEG and PNG bytes.

use crate::GrayImage;

/// One-component baseline JPEG of `quality` 1 to 100 (others are clamped).
///
/// # Panics
/// When a side is zero or above 65535, or `pixels` is shorter than `width * height`.
pub fn encode_jpeg(image: &GrayImage, quality: u8) -> Vec<u8> {
    let side = |pixels: u32| u16::try_from(pixels).expect("a JPEG side is at most 65535 pixels");
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, quality.clamp(1, 100))
        .encode(&image.pixels, side(image.width), side(image.height), jpeg_encoder::ColorType::Luma)
        .expect("writing to memory cannot fail and the caller gives width * height pixels");
    bytes
}

/// Eight-bit gray PNG.
///
/// # Panics
/// When a side is zero or `pixels` is not `width * height` long.
pub fn encode_png(image: &GrayImage) -> Vec<u8> {
    png(image.width, image.height, ::png::ColorType::Grayscale, &image.pixels)
}

/// Eight-bit colour PNG of red, green, blue per pixel.
///
/// # Panics
/// When a side is zero or `pixels` is not `3 * width * height` long.
pub fn encode_png_rgb(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    png(width, height, ::png::ColorType::Rgb, pixels)
}

/// Eight-bit colour PNG of red, green, blue and opacity per pixel.
///
/// # Panics
/// When a side is zero or `pixels` is not `4 * width * height` long.
pub fn encode_png_rgba(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    png(width, height, ::png::ColorType::Rgba, pixels)
}

fn png(width: u32, height: u32, colour: ::png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    let mut writer = encoder.write_header().expect("the sides are not zero and memory takes every byte");
    writer.write_image_data(pixels).expect("the caller gives as many pixels as the sides say");
    drop(writer);
    bytes
}
