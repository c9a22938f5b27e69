//! When a convolution is done this way: a function of shapes alone.
//!
//! Weights at their points are four times as many, and pass by once for each group of tiles. Where they fit into the
//! second cache that costs nothing. Where they do not, few tiles do not repay it: on one image of 7 x 7 pixels and 512
//! channels they are 38 MB for four tiles, where a direct convolution reads 9 MB. On an EPYC (Zen 4), two threads, one image
//! took 4 % longer through ResNet-18 with all layers at their points, and sixteen a fifth less. An image's result must be
//! the same in every batch, so inference does without; a training step of sixteen takes 15 % less.

use super::{Grid, POINTS};
use crate::context::Context;
use crate::convolution::spec::ConvSpec;
use crate::lanes::LANES;

/// Floats of weights at their points that stay in the second cache.
const FEW_WEIGHTS: usize = 256 * 1024;
/// Tiles that repay others, in an image.
const ENOUGH_TILES: usize = 9;
/// The same in a batch that trains, for which weights are transformed in every step.
const ENOUGH_TILES_OF_BATCH: usize = 16;
/// Rows and columns below which half of the only tile would be thrown away.
const FEWEST_PIXELS: usize = 6;

/// Whether a convolution of a blocked map with an output of this size is done this way, and its gradients. `images` is 1
/// where the result of each must be the same in every batch: only training says how many there are.
pub(in super::super) fn applies(
    context: &Context,
    spec: &ConvSpec,
    [height, width]: [usize; 2],
    images: usize,
) -> bool {
    let Grid { strips, columns } = Grid::new(height, width);
    let tiles = strips * columns;
    context.winograd
        && spec.kernel == 3
        && spec.stride == 1
        && spec.padding < spec.kernel
        && spec.in_channels.min(spec.out_channels) >= LANES
        && height.min(width) >= FEWEST_PIXELS
        && (tiles >= ENOUGH_TILES || images * tiles >= ENOUGH_TILES_OF_BATCH || few_weights(spec))
}

/// Whether weights at their points are too many to be kept for so few tiles.
pub(in super::super) fn makes_weights_in_passing(spec: &ConvSpec, [height, width]: [usize; 2]) -> bool {
    let Grid { strips, columns } = Grid::new(height, width);
    strips * columns < ENOUGH_TILES && !few_weights(spec)
}

fn few_weights(spec: &ConvSpec) -> bool {
    spec.in_channels * spec.out_channels * POINTS <= FEW_WEIGHTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    fn applied(channels: [usize; 2], size: usize, images: usize) -> bool {
        let spec = ConvSpec {
            in_channels: channels[0],
            out_channels: channels[1],
            kernel: 3,
            stride: 1,
            padding: 1,
        };
        applies(&Context::new(Isa::PORTABLE), &spec, [size, size], images)
    }

    #[test]
    fn layers_of_known_networks() {
        for (channels, size) in [([32, 64], 64), ([128, 256], 16), ([64, 64], 56), ([256, 256], 14)] {
            assert!(applied(channels, size, 1), "{channels:?} at {size}");
        }
        assert!(applied([128, 32], 7, 1), "few weights");
        assert!(!applied([512, 512], 7, 1), "many weights for few tiles");
        assert!(!applied([512, 512], 7, 3) && applied([512, 512], 7, 4), "which a batch has more of");
        assert!(!applied([3, 64], 112, 32), "a first layer");
        assert!(!applied([512, 512], 5, 32), "half of a tile");
    }
}
