//! When a convolution is done this way: a function of shapes alone.
//!
//! Weights at their points are four times as many, and pass by once for each group of tiles. Where they fit into the
//! second cache that costs nothing. Where they do not, few tiles do not repay it: on one image of 7 x 7 pixels and 512
//! channels they are 38 MB for four tiles, where a direct convolution reads 9 MB (an estimate, not a measurement).

use super::{Grid, POINTS};
use crate::context::Context;
use crate::convolution::spec::ConvSpec;
use crate::lanes::LANES;

/// Floats of weights at their points that stay in the second cache.
const FEW_WEIGHTS: usize = 256 * 1024;
/// Tiles that repay others, in an image.
const ENOUGH_TILES: usize = 9;
/// Tiles of all images that repay sums of a weight gradient which are zeroed, read, written and transformed.
const ENOUGH_SUMMED_TILES: usize = 128;
/// Rows and columns below which half of the only tile would be thrown away.
const FEWEST_PIXELS: usize = 6;

/// Whether a convolution of a blocked map with an output of this size is done this way, and its input gradient. The
/// number of images plays no part, so that an image's result is the same in every batch.
pub(in super::super) fn applies(context: &Context, spec: &ConvSpec, [height, width]: [usize; 2]) -> bool {
    let Grid { strips, columns } = Grid::new(height, width);
    context.winograd
        && spec.kernel == 3
        && spec.stride == 1
        && spec.padding < spec.kernel
        && spec.in_channels.min(spec.out_channels) >= LANES
        && height.min(width) >= FEWEST_PIXELS
        && (strips * columns >= ENOUGH_TILES || few_weights(spec))
}

/// Whether the weight gradient of so many images is, too. Whoever asks for it trains, and there an image's result
/// depends on its batch anyway.
pub(in super::super) fn applies_to_weight_gradient(
    context: &Context,
    spec: &ConvSpec,
    size: [usize; 2],
    images: usize,
) -> bool {
    let Grid { strips, columns } = Grid::new(size[0], size[1]);
    let enough = images * strips * columns >= ENOUGH_SUMMED_TILES;
    applies(context, spec, size) && (enough || few_weights(spec))
}

fn few_weights(spec: &ConvSpec) -> bool {
    spec.in_channels * spec.out_channels * POINTS <= FEW_WEIGHTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    fn applied(channels: [usize; 2], size: usize) -> bool {
        let spec = ConvSpec {
            in_channels: channels[0],
            out_channels: channels[1],
            kernel: 3,
            stride: 1,
            padding: 1,
        };
        applies(&Context::new(Isa::PORTABLE), &spec, [size, size])
    }

    #[test]
    fn layers_of_known_networks() {
        for (channels, size) in [([32, 64], 64), ([128, 256], 16), ([64, 64], 56), ([256, 256], 14)] {
            assert!(applied(channels, size), "{channels:?} at {size}");
        }
        assert!(applied([128, 32], 7), "few weights");
        assert!(!applied([512, 512], 7), "many weights for few tiles");
        assert!(!applied([3, 64], 112), "a first layer");
    }
}
