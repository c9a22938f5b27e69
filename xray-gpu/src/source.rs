//! What a product reads: a map as it is, or what a batch norm and an activation make of it while it is loaded, so that
//! the normalised map is neither written nor read.

use crate::curve::{Curve, curve, curve_each};
use crate::map::Map;
use crate::statistics::Statistics;
use cubecl::prelude::*;
use xray_kernels::Nonlinearity;

/// A map, and the batch norm and activation that follow it: `function(scale * x + shift)`, computed where it is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Normalised<'a> {
    /// What is normalised.
    pub map: Map<'a>,
    /// Scale and shift of each of its channels.
    pub statistics: &'a Statistics,
    /// The activation.
    pub function: Nonlinearity,
}

impl Normalised<'_> {
    /// # Panics
    /// If the statistics are of other channels.
    pub(crate) fn expect_channels(&self) {
        assert_eq!(self.statistics.channels(), self.map.shape().channels, "channels of the statistics");
    }
}

/// What a convolution or its weight gradient reads. Padding is zero, also around a normalised map.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A map as it is.
    Map(Map<'a>),
    /// A map normalised on the way.
    Normalised(Normalised<'a>),
}

impl<'a> From<Map<'a>> for Source<'a> {
    fn from(map: Map<'a>) -> Self {
        Self::Map(map)
    }
}

impl<'a> From<Normalised<'a>> for Source<'a> {
    fn from(normalised: Normalised<'a>) -> Self {
        Self::Normalised(normalised)
    }
}

impl<'a> Source<'a> {
    /// The map in memory.
    pub fn map(&self) -> Map<'a> {
        match self {
            Self::Map(map) => *map,
            Self::Normalised(normalised) => normalised.map,
        }
    }

    /// What a kernel is compiled for.
    ///
    /// # Panics
    /// If the statistics are of other channels.
    pub(crate) fn curve(&self) -> Option<Curve> {
        match self {
            Self::Map(_) => None,
            Self::Normalised(normalised) => {
                normalised.expect_channels();
                Some(normalised.function.into())
            }
        }
    }

    /// The statistics; of a plain map anything, which no kernel reads.
    pub(crate) fn statistics(&self) -> BufferArg {
        match self {
            Self::Map(map) => map.argument(),
            Self::Normalised(normalised) => normalised.statistics.buffer().argument(),
        }
    }
}

/// One value.
#[cube]
pub(crate) fn normalise_one(x: f32, scale: f32, shift: f32, #[comptime] function: Curve) -> f32 {
    curve(fma(x, scale, shift), function)
}

/// Neighbouring channels.
#[cube]
pub(crate) fn normalise<N: Size>(
    x: Vector<f32, N>,
    scale: Vector<f32, N>,
    shift: Vector<f32, N>,
    #[comptime] function: Curve,
) -> Vector<f32, N> {
    curve_each(fma(x, scale, shift), function)
}
