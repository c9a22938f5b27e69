//! Maps of bytes, blocked as those of floats, and planes of bytes for a first convolution.
#![expect(unsafe_code, reason = "a buffer of the arena as bytes")]

use super::quantisation::Quantisation;
use crate::arena::ArenaBuffer;
use crate::context::Context;
use crate::halo::fill_halo;
use crate::shape::{MapShape, PlanarShape};
use crate::shared::Shared;
use crate::tasks::{for_each_chunk, for_each_plane};
use crate::{ConvSpec, to_planar};

/// Bytes behind a buffer, which kernels may read though they make no use of them: eight pixels of a stride of 2 and a
/// kernel of 7 behind the last.
pub(super) const SLACK: usize = 1024;

/// Bytes of the arena.
#[derive(Debug)]
pub(super) struct ByteBuffer {
    floats: ArenaBuffer,
    len: usize,
}

impl ByteBuffer {
    pub(super) fn new(context: &Context, len: usize) -> Self {
        Self { floats: context.arena.take((len + SLACK).div_ceil(size_of::<f32>())), len }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer holds at least so many bytes, and any byte is a byte.
        unsafe { std::slice::from_raw_parts(self.floats.as_ptr().cast(), self.len) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; floats may hold any bytes too.
        unsafe { std::slice::from_raw_parts_mut(self.floats.as_mut_ptr().cast(), self.len) }
    }
}

/// A feature map of bytes: channels in blocks of 16 as in a map of floats, with a halo of zero points.
///
/// Its shape counts in bytes where that of a map of floats counts in floats. Surplus lanes of the last block hold bytes
/// of no meaning, which convolutions multiply with weights of zero.
#[derive(Debug)]
pub struct ByteMap {
    pub(super) buffer: ByteBuffer,
    shape: MapShape,
    /// What its bytes stand for.
    quantisation: Quantisation,
}

impl ByteMap {
    /// A map whose pixels are still to be written, and whose halo is.
    pub(super) fn new(context: &Context, shape: MapShape, quantisation: Quantisation) -> Self {
        let mut buffer = ByteBuffer::new(context, shape.len());
        let to = Shared::new(buffer.bytes_mut());
        for_each_plane("halo of bytes", &shape, |image, block| {
            // SAFETY: the halo of a plane belongs to one call.
            unsafe { fill_halo(to, &shape, image, block..block + 1, quantisation.zero_point) };
        });
        Self { buffer, shape, quantisation }
    }

    /// Its shape, in bytes.
    pub fn shape(&self) -> MapShape {
        self.shape
    }

    /// What its bytes stand for.
    pub fn quantisation(&self) -> Quantisation {
        self.quantisation
    }

    /// All bytes, halo and surplus lanes too.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// What it stands for, as planar images.
    pub fn values(&self, context: &Context) -> (Vec<f32>, PlanarShape) {
        let MapShape { images, channels, height, width, .. } = self.shape;
        let planar = PlanarShape { images, channels, height, width };
        let mut floats = context.arena.take(self.shape.len());
        let bytes = self.bytes();
        for_each_chunk("bytes to floats", &mut floats, self.shape.plane(), |number, to| {
            let from = &bytes[number * self.shape.plane()..];
            to.iter_mut().zip(from).for_each(|(to, &byte)| *to = self.quantisation.value(byte));
        });
        let mut values = vec![0.0; planar.len()];
        to_planar((&floats, self.shape), (&mut values, planar));
        (values, planar)
    }
}

/// Planar images of bytes, with what stands for zero around them, for a convolution of few channels.
#[derive(Debug)]
pub struct BytePlanes {
    pub(super) buffer: ByteBuffer,
    pub(super) shape: PlanarShape,
    pub(super) padding: usize,
    pub(super) quantisation: Quantisation,
}

impl BytePlanes {
    /// Quantises images for a convolution.
    ///
    /// # Panics
    /// If the slice does not have its shape's length.
    pub fn new(
        context: &Context,
        (values, shape): (&[f32], PlanarShape),
        conv: &ConvSpec,
        quantisation: Quantisation,
    ) -> Self {
        shape.check(values, "the images");
        let padding = conv.padding;
        let mut planes = Self { buffer: ByteBuffer::new(context, 0), shape, padding, quantisation };
        planes.buffer = ByteBuffer::new(context, shape.images * shape.channels * planes.plane());
        let (plane, row) = (planes.plane(), planes.row());
        let (factor, zero) = (1.0 / quantisation.scale, f32::from(quantisation.zero_point));
        for_each_chunk("images to bytes", planes.buffer.bytes_mut(), plane, |number, to| {
            to.fill(quantisation.zero_point);
            let from = &values[number * shape.height * shape.width..][..shape.height * shape.width];
            for (y, line) in from.chunks(shape.width).enumerate() {
                let start = (y + padding) * row + padding;
                for (byte, &value) in to[start..start + shape.width].iter_mut().zip(line) {
                    *byte = nearest(value * factor + zero);
                }
            }
        });
        planes
    }

    pub(super) fn row(&self) -> usize {
        self.shape.width + 2 * self.padding
    }

    pub(super) fn plane(&self) -> usize {
        (self.shape.height + 2 * self.padding) * self.row()
    }
}

/// The nearest byte, ties to even, without a call to the C library's rounding.
fn nearest(value: f32) -> u8 {
    const ROUND: f32 = 12_582_912.0;
    (value.clamp(0.0, 255.0) + ROUND).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_byte() {
        for (value, byte) in
            [(0.49, 0), (0.5, 0), (1.5, 2), (254.4, 254), (300.0, 255), (-3.0, 0), (127.0, 127)]
        {
            assert_eq!(nearest(value), byte, "{value}");
        }
    }
}
