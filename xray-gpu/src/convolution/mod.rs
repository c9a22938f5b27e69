//! Convolutions as tiled products; see [`tile`](self::tile) for the tiles [`gather`](self::gather) for the product
//! in registers, and [`fragments`](self::fragments) for that by matrix instructions.

mod add_pieces;
mod direct;
mod forward;
mod fragments;
mod gather;
mod matrix_gather;
mod matrix_weight;
mod merge;
mod norm_sums;
mod pending;
mod products;
mod sums;
mod tile;
mod weight_gradient;
mod weight_tile;
mod window;

pub use forward::{
    convolve, convolve_folded, convolve_folded_passes, convolve_with_sums, forward_passes,
    gradient_sum_tiles, input_gradient, input_gradient_passes, input_gradient_with_sums,
    input_gradient_with_sums_passes, output_shape, sum_rows,
};
pub use fragments::{BLOCKS, Block};
pub use merge::{MAP_SUM_ROWS, map_sums, map_sums_pass};
pub use pending::{PendingGradients, pending_gradients_passes};
pub use products::Products;
pub use tile::{Plan, TILES, Tile};
pub(crate) use weight_gradient::WeightGradient;
pub use weight_gradient::{weight_gradient, weight_gradient_passes};
