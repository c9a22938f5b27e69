//! What becomes of a convolution's sum where it is written, in whichever pass that is: it is added to what is there,
//! sums are taken for the batch norm that follows or, going back, for the one before, or, with batch norm folded into
//! the weights, bias, skip connection and activation are applied.

use crate::buffer::Part;
use crate::curve::{Curve, carry, curve};
use crate::map::{Map, MapShape};
use crate::pass::bytes;
use crate::source::Normalised;
use crate::statistics::{NormSums, TileSums};
use cubecl::prelude::*;

/// What is done besides writing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Epilogue<'a> {
    /// Nothing.
    Plain,
    /// The channel sums of tiles are left here.
    Sums(&'a TileSums),
    /// The gradient of a map before its norm is written, but for what follows from batch norm's sums, which are left
    /// here.
    NormSums(&'a NormSums, Normalised<'a>),
    /// Bias, skip connection and activation of a layer whose batch norm is folded into its weights.
    Folded { bias: Part<'a>, skip: Option<Map<'a>>, function: Curve },
}

/// How an epilogue is compiled.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Whether the target's values are added.
    pub(crate) accumulate: bool,
    /// Whether channel sums go out into `aside`.
    pub(crate) sums: bool,
    /// What follows the norm of the map in `beside`, whose sums go out into `aside`.
    pub(crate) norm_sums: Option<Curve>,
    /// Whether a bias comes in from `aside`.
    bias: bool,
    skip: bool,
    function: Curve,
}

/// Where the bias starts in `aside`, and which channels of `beside` are read.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct EpiloguePlaces {
    bias_at: usize,
    first: usize,
    stride: usize,
}

impl<'a> Epilogue<'a> {
    pub(crate) fn ending(&self, accumulate: bool) -> Ending {
        let (bias, skip, function) = match self {
            Self::Folded { skip, function, .. } => (true, skip.is_some(), *function),
            _ => (false, false, Curve::Identity),
        };
        let norm_sums = match self {
            Self::NormSums(_, normalised) => Some(normalised.function.into()),
            _ => None,
        };
        Ending { accumulate, sums: matches!(self, Self::Sums(_)), norm_sums, bias, skip, function }
    }

    /// Bytes that are read and written besides, for a target of this shape.
    pub(crate) fn bytes(&self, target: MapShape, accumulate: bool) -> u64 {
        match self {
            Self::Plain | Self::Sums(_) => 0,
            Self::NormSums(sums, _) => norm_sum_bytes(target, sums.tiles(), accumulate),
            Self::Folded { skip, .. } => folded_bytes(target, skip.is_some()),
        }
    }

    /// # Panics
    /// If the target is of another shape than bias and skip connection are.
    pub(crate) fn expect(&self, target: MapShape) {
        if let Self::Folded { bias, skip, .. } = self {
            bias.expect(target.channels, "the bias");
            skip.iter().for_each(|skip| skip.expect(target, "the skip connection"));
        }
    }

    /// The buffer of channel sums or of the bias; without either anything, which no kernel touches.
    pub(crate) fn aside(&self, target: Map<'_>) -> BufferArg {
        match self {
            Self::Plain => target.argument(),
            Self::Sums(sums) => sums.buffer().argument(),
            Self::NormSums(sums, _) => sums.buffer().argument(),
            Self::Folded { bias, .. } => bias.argument(),
        }
    }

    fn beside_or<'b>(&self, target: Map<'b>) -> Map<'b>
    where
        'a: 'b,
    {
        match self {
            Self::Folded { skip: Some(skip), .. } => *skip,
            Self::NormSums(_, normalised) => normalised.map,
            _ => target,
        }
    }

    /// The buffer of the map that is read as well: the skip connection, or what was normalised; without either
    /// anything, which no kernel touches.
    pub(crate) fn beside(&self, target: Map<'_>) -> BufferArg {
        self.beside_or(target).argument()
    }

    /// The statistics of what was normalised; without them anything, which no kernel touches.
    pub(crate) fn statistics(&self, target: Map<'_>) -> BufferArg {
        match self {
            Self::NormSums(_, normalised) => normalised.statistics.buffer().argument(),
            _ => target.argument(),
        }
    }

    pub(crate) fn places(&self, target: Map<'_>) -> EpiloguePlacesLaunch {
        let bias_at = if let Self::Folded { bias, .. } = self { bias.start() } else { 0 };
        let [first, stride] = self.beside_or(target).place();
        EpiloguePlacesLaunch::new(bias_at, first, stride)
    }
}

/// Bytes that an epilogue reads and writes that takes batch norm's sums on the way back, in so many tiles.
pub(crate) fn norm_sum_bytes(target: MapShape, tiles: usize, accumulate: bool) -> u64 {
    let maps = if accumulate { 2 } else { 1 };
    bytes(maps * target.len() + 2 * target.channels * tiles)
}

/// Bytes that a folded epilogue reads.
pub(crate) fn folded_bytes(target: MapShape, skip: bool) -> u64 {
    bytes(target.channels + if skip { target.len() } else { 0 })
}

/// `d` and `d n` of one element.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct BeforeActivation {
    pub(crate) d: f32,
    pub(crate) product: f32,
}

/// `x` is what was normalised, `gradient` that of the activation's value.
#[cube]
fn before_activation(
    gradient: f32,
    x: f32,
    norm: Vector<f32, Const<4>>,
    #[comptime] function: Curve,
) -> BeforeActivation {
    let d = carry(gradient, fma(x, norm.extract(2usize), norm.extract(3usize)), function);
    BeforeActivation { d, product: d * (x - norm.extract(0usize)) * norm.extract(1usize) }
}

/// Writes the sum of a pixel's channel to `target[at]`. With norm sums, `norm` is that channel's, and the result what is
/// summed; else neither means anything.
#[cube]
pub(crate) fn finish(
    sum: f32,
    pixel: usize,
    channel: usize,
    target: &mut [f32],
    at: usize,
    beside: &[f32],
    aside: &mut [f32],
    norm: Vector<f32, Const<4>>,
    places: &EpiloguePlaces,
    #[comptime] ending: Ending,
) -> BeforeActivation {
    let mut value = sum;
    let mut d = 0.0f32;
    let mut product = 0.0f32;
    if comptime!(ending.norm_sums.is_some()) {
        let x = beside[pixel * places.stride + places.first + channel];
        let function = comptime!(ending.norm_sums.unwrap_or(Curve::Identity));
        let found = before_activation(sum, x, norm, function);
        d = found.d;
        product = found.product;
        value = norm.extract(2usize) * found.d;
    }
    if comptime!(ending.accumulate) {
        value += target[at];
    }
    if comptime!(ending.bias) {
        value += aside[places.bias_at + channel];
    }
    if comptime!(ending.skip) {
        value += beside[pixel * places.stride + places.first + channel];
    }
    target[at] = curve(value, comptime!(ending.function));
    BeforeActivation { d, product }
}
