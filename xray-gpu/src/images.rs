//! Images that the host sends as bytes, a quarter of what floats would be, and that become maps on the device.
#![expect(unsafe_code, reason = "a launch without bounds checks; lengths are checked before")]

use crate::buffer::{Buffer, upload};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::map::{Map, MapShape, Sizes};
use crate::pass::{Pass, bytes};
use cubecl::prelude::*;
use std::borrow::Cow;

/// A unit a pixel, the same in every channel. Bytes come by fours, the first one lowest.
#[cube(launch_unchecked)]
fn unpack(fours: &[u32], values: &[f32], output: &mut [f32], to: Sizes, pixels: usize) {
    let pixel = ABSOLUTE_POS;
    if pixel < pixels {
        let four = fours[pixel / 4];
        let byte = (four >> (8u32 * u32::cast_from(pixel % 4))) & 0xffu32;
        let value = values[usize::cast_from(byte)];
        let at = pixel * to.stride + to.first;
        for channel in 0..to.channels {
            output[at + channel] = value;
        }
    }
}

/// The launch of [`images_from_bytes`].
pub fn images_from_bytes_pass(output: MapShape) -> Pass {
    let bytes = bytes(output.len() + 256) + output.pixels() as u64;
    Pass { bytes, ..Pass::elements("images from bytes", output.pixels(), 0) }
}

/// Sends gray images, `[image][y][x]`, and writes the value of each level of gray into every channel of `output`: a table,
/// because its values have the bits that the host would send, and a formula would not.
///
/// # Errors
/// If the device makes no buffer for the bytes.
///
/// # Panics
/// If there is not a byte for each pixel.
pub fn images_from_bytes(
    gpu: &Gpu,
    pixels: &[u8],
    values: &[f32; 256],
    output: Map<'_>,
) -> Result<(), Error> {
    let shape = output.shape();
    assert_eq!(pixels.len(), shape.pixels(), "bytes of the pixels of {shape:?}");
    let fours = pixels.len().div_ceil(4);
    let mut whole = Cow::from(pixels);
    if !pixels.len().is_multiple_of(4) {
        whole.to_mut().resize(4 * fours, 0);
    }
    let (handle, values) = (upload(gpu, &whole)?, Buffer::of(gpu, values)?);
    let pass = images_from_bytes_pass(shape);
    // SAFETY: the handle holds `fours` words, a byte for each pixel of the map, which has its length.
    unsafe {
        unpack::launch_unchecked(
            gpu.launch(&pass),
            gpu.grid(&pass),
            pass.dim(),
            BufferArg::from_raw_parts(handle, fours),
            values.argument(),
            output.argument(),
            output.sizes(),
            shape.pixels(),
        );
    }
    Ok(())
}
