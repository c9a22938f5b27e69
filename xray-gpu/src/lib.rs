//! GPU kernels
#![cfg(feature = "wgpu")]

mod batch_norm;
mod buffer;
mod convolution;
mod curve;
mod depthwise;
mod error;
mod gate;
mod gpu;
mod head;
mod map;
mod optimizer;
mod pass;
mod pooling;
mod reduce;
mod statistics;

pub use batch_norm::{
    NormMaps, normalise, normalise_backward, normalise_backward_passes, normalise_pass, normalised_shape,
};
pub use buffer::{Buffer, Part};
pub use convolution::{
    MAP_SUM_ROWS, Plan, TILES, Tile, convolve, convolve_with_sums, forward_passes, input_gradient,
    input_gradient_passes, map_sums, map_sums_pass, output_shape, sum_rows, weight_gradient,
    weight_gradient_passes,
};
pub use depthwise::{
    depthwise, depthwise_input_gradient, depthwise_input_gradient_pass, depthwise_pass, depthwise_shape,
    depthwise_weight_gradient, depthwise_weight_gradient_passes,
};
pub use error::Error;
pub use gate::{gate, gate_gradient, gate_gradient_passes, gate_pass};
pub use gpu::{Gpu, Limits};
pub use head::{Linear, binary_cross_entropy, binary_cross_entropy_pass};
pub use map::{Map, MapShape};
pub use optimizer::{Mark, Parameters, Rule, StepRecord, Update, Watch, judge_passes, update_pass};
pub use pass::{Counts, ENOUGH_GROUPS, Pass};
pub use pooling::{
    global_average, global_average_gradient, global_average_gradient_pass, global_average_pass, pool,
    pool_gradient, pool_gradient_pass, pool_pass, pooled_shape,
};
pub use statistics::{Running, Statistics, TileSums, running_statistics, statistics, statistics_pass};
