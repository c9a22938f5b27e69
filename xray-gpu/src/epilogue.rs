//! What becomes of a convolution's sum where it is written, in whichever pass that is: it is added to what is there,
//! channel sums are taken for the batch norm that follows, or, with batch norm folded into the weights, bias, skip
//! connection and activation are applied.

use crate::buffer::Part;
use crate::curve::{Curve, curve};
use crate::map::{Map, MapShape};
use crate::pass::bytes;
use crate::statistics::TileSums;
use cubecl::prelude::*;

/// What is done besides writing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Epilogue<'a> {
    /// Nothing.
    Plain,
    /// The channel sums of tiles are left here.
    Sums(&'a TileSums),
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
    /// Whether a bias comes in from `aside`.
    bias: bool,
    skip: bool,
    function: Curve,
}

/// Where the bias starts in `aside`, and which channels of `skip` are read.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct EpiloguePlaces {
    bias_at: usize,
    skip_first: usize,
    skip_stride: usize,
}

impl<'a> Epilogue<'a> {
    pub(crate) fn ending(&self, accumulate: bool) -> Ending {
        let (bias, skip, function) = match self {
            Self::Plain | Self::Sums(_) => (false, false, Curve::Identity),
            Self::Folded { skip, function, .. } => (true, skip.is_some(), *function),
        };
        Ending { accumulate, sums: matches!(self, Self::Sums(_)), bias, skip, function }
    }

    /// Bytes that are read besides, for a target of this shape.
    pub(crate) fn bytes(&self, target: MapShape) -> u64 {
        match self {
            Self::Plain | Self::Sums(_) => 0,
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
            Self::Folded { bias, .. } => bias.argument(),
        }
    }

    fn skip_or<'b>(&self, target: Map<'b>) -> Map<'b>
    where
        'a: 'b,
    {
        if let Self::Folded { skip: Some(skip), .. } = self { *skip } else { target }
    }

    /// The skip connection's buffer; without one anything, which no kernel touches.
    pub(crate) fn skip(&self, target: Map<'_>) -> BufferArg {
        self.skip_or(target).argument()
    }

    pub(crate) fn places(&self, target: Map<'_>) -> EpiloguePlacesLaunch {
        let bias_at = if let Self::Folded { bias, .. } = self { bias.start() } else { 0 };
        let [first, stride] = self.skip_or(target).place();
        EpiloguePlacesLaunch::new(bias_at, first, stride)
    }
}

/// Bytes that a folded epilogue reads.
pub(crate) fn folded_bytes(target: MapShape, skip: bool) -> u64 {
    bytes(target.channels + if skip { target.len() } else { 0 })
}

/// Writes the sum of a pixel's channel to `target[at]`.
#[cube]
pub(crate) fn finish(
    sum: f32,
    pixel: usize,
    channel: usize,
    target: &mut [f32],
    at: usize,
    skip: &[f32],
    aside: &mut [f32],
    places: &EpiloguePlaces,
    #[comptime] ending: Ending,
) {
    let mut value = sum;
    if comptime!(ending.accumulate) {
        value += target[at];
    }
    if comptime!(ending.bias) {
        value += aside[places.bias_at + channel];
    }
    if comptime!(ending.skip) {
        value += skip[pixel * places.skip_stride + places.skip_first + channel];
    }
    target[at] = curve(value, comptime!(ending.function));
}
