//! Convolutions of 3 x 3 kernels with a quarter of the multiplications: Winograd's minimal filtering F(4 x 4, 3 x 3)
//! (Lavin and Gray, 2015).
//!
//! A patch of 6 x 6 inputs becomes 36 values, the kernel likewise, and their products 4 x 4 outputs. Over all
//! channels the products are 36 small matrix products, which the register tiles of the direct convolution compute as
//! if each were a convolution of one tap. An input gradient is the same with the kernel turned over; the weight
//! gradient sums products of transformed inputs and transformed gradients, and goes back to 3 x 3 once, at the end.

mod few_tiles;
mod forward;
mod gradient;
mod input;
mod output;
mod part;
mod products;
mod rule;
mod source;
mod transform;
mod weight_gradient;
mod weights;

pub(super) use forward::{Epilogue, MinimalConvolution};
pub(super) use rule::{applies, makes_weights_in_passing};
pub(super) use source::Source;
pub(super) use weight_gradient::{MinimalWeightGradient, sum_len};
pub(super) use weights::{PointWeights, Weights};

/// Outputs of a tile, along an axis.
const TILE: usize = 4;
/// Inputs of a tile, along an axis.
const PATCH: usize = TILE + 2;
/// Values that a tile is transformed to.
const POINTS: usize = PATCH * PATCH;

/// Strips of tiles in so many rows of output.
pub(super) fn strips(height: usize) -> usize {
    height.div_ceil(TILE)
}

/// How a map of outputs is cut into tiles.
#[derive(Clone, Copy, Debug)]
struct Grid {
    /// Rows of tiles, which are what work is shared out by.
    strips: usize,
    /// Tiles of a strip.
    columns: usize,
}

impl Grid {
    fn new(height: usize, width: usize) -> Self {
        Self { strips: height.div_ceil(TILE), columns: width.div_ceil(TILE) }
    }
}
