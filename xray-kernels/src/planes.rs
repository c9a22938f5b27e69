//! What a convolution reads: a blocked map, some of its pixels, or planar images with a border of zeros put around them.

use crate::arena::ArenaBuffer;
use crate::context::Context;
use crate::convolution::ConvSpec;
use crate::lanes::LANES;
use crate::shape::{MapShape, PlanarShape};
use crate::tasks::for_each_chunk;

/// The input of a convolution.
#[derive(Clone, Copy, Debug)]
pub enum ConvInput<'a> {
    /// A blocked map whose halo is at least as wide as the padding.
    Map(&'a [f32], MapShape),
    /// Images `[images][channels][height][width]`, of few channels: each channel is a pass of its own over the
    /// lanes of the output, so that nothing is spent on empty lanes.
    Planar(&'a [f32], PlanarShape),
}

impl ConvInput<'_> {
    /// Images, channels, height and width.
    pub fn size(&self) -> [usize; 4] {
        match self {
            Self::Map(_, shape) => shape.size(),
            Self::Planar(_, shape) => [shape.images, shape.channels, shape.height, shape.width],
        }
    }
}

/// Writes `value(channel, pixel)` of each image's pixels to each of its channels. `pixels` are `[images][height][width]`.
///
/// # Panics
/// If a length does not fit the shape.
pub fn repeat_planes(
    pixels: &[f32],
    value: impl Fn(usize, f32) -> f32 + Sync,
    (buffer, shape): (&mut [f32], PlanarShape),
) {
    shape.check(buffer, "the images");
    let plane = shape.height * shape.width;
    assert_eq!(pixels.len(), shape.images * plane, "an image for each of {shape:?}");
    for_each_chunk("images", buffer, plane, |number, to| {
        let (image, channel) = (number / shape.channels, number % shape.channels);
        for (to, &pixel) in to.iter_mut().zip(&pixels[image * plane..]) {
            *to = value(channel, pixel);
        }
    });
}

/// Planes in memory, blocked or planar, with their distances in floats.
pub(crate) struct Planes<'a> {
    data: PlaneData<'a>,
    /// Where the first image's first plane begins.
    first: usize,
    /// Between images.
    pub(crate) image: usize,
    /// Planes of each image, or 1 where `channels` of them are taps of one.
    pub(crate) blocks: usize,
    pub(crate) plane: usize,
    pub(crate) row: usize,
    /// Between neighbours in a row, which is also how many channels a pixel holds: 16 or 1.
    pub(crate) step: usize,
    /// Of the convolution: rows and pixels from one that it reads to the next.
    pub(crate) stride: usize,
    pub(crate) halo: usize,
    /// Channels of a planar input; 1 where channels are in blocks.
    pub(crate) planar_channels: usize,
}

enum PlaneData<'a> {
    Borrowed(&'a [f32]),
    Copied(ArenaBuffer),
}

impl<'a> Planes<'a> {
    /// The planes of an input; planar images are copied with zeros around them, and of a map the pixels that are read where
    /// a stride leaves out the others.
    pub(crate) fn new(context: &Context, input: ConvInput<'a>, spec: &ConvSpec) -> Self {
        match input {
            ConvInput::Map(data, shape) => {
                shape.check(data, "the input");
                if spec.kernel == 1 && spec.stride > 1 && spec.padding == 0 {
                    return Self::strided(context, data, &shape, spec.stride);
                }
                Self { stride: spec.stride, ..Self::of_map(PlaneData::Borrowed(data), &shape) }
            }
            ConvInput::Planar(data, shape) => {
                shape.check(data, "the input");
                Self { stride: spec.stride, ..Self::padded(context, data, shape, spec.padding) }
            }
        }
    }

    fn of_map(data: PlaneData<'a>, shape: &MapShape) -> Self {
        Self {
            data,
            first: shape.corner(0, 0),
            image: shape.image(),
            blocks: shape.blocks(),
            plane: shape.plane(),
            row: shape.row(),
            step: LANES,
            stride: 1,
            halo: shape.halo,
            planar_channels: 1,
        }
    }

    /// Every `stride`th pixel of every `stride`th row. They are read for each block of output channels, and in the map they
    /// lie on many more lines and pages.
    fn strided(context: &Context, data: &[f32], shape: &MapShape, stride: usize) -> Self {
        let [height, width] = [shape.height, shape.width].map(|size| size.div_ceil(stride));
        let read = MapShape::new(shape.images, shape.channels, height, width, 0);
        let mut buffer = context.arena.take(read.len());
        for_each_chunk("pixels of a stride", &mut buffer, read.plane(), |number, to| {
            let (image, block) = (number / read.blocks(), number % read.blocks());
            for (y, row) in to.chunks_mut(read.row()).enumerate() {
                let from = &data[shape.offset(image, block, y * stride, 0)..];
                for (x, pixel) in row.chunks_mut(LANES).enumerate() {
                    pixel.copy_from_slice(&from[x * stride * LANES..][..LANES]);
                }
            }
        });
        Self::of_map(PlaneData::Copied(buffer), &read)
    }

    fn padded(context: &Context, data: &[f32], shape: PlanarShape, padding: usize) -> Self {
        let row = shape.width + 2 * padding;
        let plane = (shape.height + 2 * padding) * row;
        let mut buffer = context.arena.take(shape.images * shape.channels * plane);
        for_each_chunk("padding", &mut buffer, plane, |number, to| {
            to.fill(0.0);
            let from = &data[number * shape.height * shape.width..][..shape.height * shape.width];
            for (y, line) in from.chunks(shape.width).enumerate() {
                let start = (y + padding) * row + padding;
                to[start..start + shape.width].copy_from_slice(line);
            }
        });
        Self {
            data: PlaneData::Copied(buffer),
            first: 0,
            image: shape.channels * plane,
            blocks: 1,
            plane,
            row,
            step: 1,
            stride: 1,
            halo: padding,
            planar_channels: shape.channels,
        }
    }

    /// An image from its first plane on.
    pub(crate) fn image(&self, image: usize) -> &[f32] {
        let all: &[f32] = match &self.data {
            PlaneData::Borrowed(data) => data,
            PlaneData::Copied(buffer) => buffer,
        };
        &all[self.first + image * self.image..]
    }
}
