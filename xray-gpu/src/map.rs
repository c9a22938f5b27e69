//! Feature maps: `[images][height][width][channels]`, some of the channels of a buffer or all.

use crate::buffer::Buffer;
use cubecl::prelude::*;

/// Sizes of a batch of feature maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// Images.
    pub images: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels, next to each other for each pixel.
    pub channels: usize,
}

impl MapShape {
    /// Pixels of all images.
    pub fn pixels(&self) -> usize {
        self.images * self.height * self.width
    }

    /// Floats.
    pub fn len(&self) -> usize {
        self.pixels() * self.channels
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether four channels at a time can be loaded, in a buffer of its own.
    pub(crate) fn in_fours(self) -> bool {
        self.channels.is_multiple_of(4)
    }

    /// As large, with other channels.
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// The same images and channels in another size.
    pub fn with_size(self, height: usize, width: usize) -> Self {
        Self { height, width, ..self }
    }
}

/// Maps in a buffer. Layers that concatenate share a buffer of all channels, and each reads and writes its own.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    buffer: &'a Buffer,
    shape: MapShape,
    first: usize,
    stride: usize,
}

impl<'a> Map<'a> {
    /// A buffer of one batch of maps.
    ///
    /// # Panics
    /// If its length is another.
    pub fn new(buffer: &'a Buffer, shape: MapShape) -> Self {
        Self::channels_of(buffer, shape, 0, shape.channels)
    }

    /// `shape.channels` channels from `first` on, in a buffer that holds `stride` for each pixel.
    ///
    /// # Panics
    /// If the buffer has another length, or fewer channels.
    pub fn channels_of(buffer: &'a Buffer, shape: MapShape, first: usize, stride: usize) -> Self {
        assert!(first + shape.channels <= stride, "{shape:?} from channel {first} on of {stride}");
        assert!(!shape.is_empty(), "{shape:?} holds nothing");
        assert_eq!(buffer.len(), shape.pixels() * stride, "floats of {shape:?} among {stride} channels");
        Self { buffer, shape, first, stride }
    }

    /// Maps of pieces of a contraction, one after the other, of which the first is named.
    pub(crate) fn pieces(buffer: &'a Buffer, shape: MapShape, pieces: usize) -> Self {
        assert_eq!(buffer.len(), pieces * shape.len(), "floats of {pieces} pieces of {shape:?}");
        Self { buffer, shape, first: 0, stride: shape.channels }
    }

    /// Sizes.
    pub fn shape(&self) -> MapShape {
        self.shape
    }

    pub(crate) fn buffer(&self) -> &'a Buffer {
        self.buffer
    }

    /// Whether four channels at a time can be loaded.
    pub(crate) fn in_fours(&self) -> bool {
        [self.shape.channels, self.first, self.stride].iter().all(|n| n % 4 == 0)
    }

    pub(crate) fn expect(&self, shape: MapShape, what: &str) {
        assert_eq!(self.shape, shape, "{what}");
    }

    pub(crate) fn argument(&self) -> BufferArg {
        self.buffer.argument()
    }

    /// The first channel, and how many the buffer holds for each pixel.
    pub(crate) fn place(&self) -> [usize; 2] {
        [self.first, self.stride]
    }

    pub(crate) fn sizes(&self) -> SizesLaunch {
        let MapShape { images, height, width, channels } = self.shape;
        SizesLaunch::new(images, height, width, channels, self.first, self.stride)
    }
}

/// Where a gradient goes.
#[derive(Clone, Copy, Debug)]
pub struct GradientMap<'a> {
    /// The map.
    pub map: Map<'a>,
    /// Whether the gradient is added to what is there: of a map that several layers read, each but the first adds.
    pub accumulate: bool,
}

impl<'a> From<Map<'a>> for GradientMap<'a> {
    fn from(map: Map<'a>) -> Self {
        Self { map, accumulate: false }
    }
}

/// Writes a value, or adds it to what is there.
#[cube]
pub(crate) fn put(target: &mut [f32], at: usize, value: f32, #[comptime] accumulate: bool) {
    let mut sum = value;
    if comptime!(accumulate) {
        sum += target[at];
    }
    target[at] = sum;
}

/// Writes values of neighbouring channels, or adds them to what is there.
#[cube]
pub(crate) fn put_each<N: Size>(
    target: &mut [Vector<f32, N>],
    sizes: &Sizes,
    pixel: usize,
    channel: usize,
    value: Vector<f32, N>,
    #[comptime] accumulate: bool,
) {
    let at = place::<N>(sizes, pixel, channel);
    let mut sum = value;
    if comptime!(accumulate) {
        sum += target[at];
    }
    target[at] = sum;
}

/// Values of neighbouring channels of a pixel.
#[cube]
pub(crate) fn load<N: Size>(
    map: &[Vector<f32, N>],
    sizes: &Sizes,
    pixel: usize,
    channel: usize,
) -> Vector<f32, N> {
    map[place::<N>(sizes, pixel, channel)]
}

#[cube]
fn place<N: Size>(sizes: &Sizes, pixel: usize, channel: usize) -> usize {
    (pixel * sizes.stride + sizes.first + channel) / N::value()
}

/// One or several neighbouring channels of a pixel.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Element {
    /// Counted over all images.
    pub(crate) pixel: usize,
    pub(crate) image: usize,
    pub(crate) y: usize,
    pub(crate) x: usize,
    /// The first one.
    pub(crate) channel: usize,
}

/// The `i`-th element of so many channels, channels first.
#[cube]
pub(crate) fn element<N: Size>(i: usize, sizes: &Sizes) -> Element {
    let across = sizes.channels / N::value();
    let pixel = i / across;
    element_of(pixel, i % across * N::value(), sizes)
}

#[cube]
pub(crate) fn element_of(pixel: usize, channel: usize, sizes: &Sizes) -> Element {
    let row = pixel / sizes.width;
    Element { pixel, image: row / sizes.height, y: row % sizes.height, x: pixel % sizes.width, channel }
}

/// A [`Map`]'s numbers in a kernel.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) images: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) first: usize,
    pub(crate) stride: usize,
}
