//! GPU kernels for training and running convolutional networks, in CubeCL: no tensors, no graph. Empty without the
//! feature `wgpu`.
//!
//! Maps are `[images][height][width][channels]` from the first layer to the last, and a `Map` may be some of the
//! channels of a wider buffer, so that layers concatenate without copies. Weights are `[out][kernel][kernel][in]`, parts
//! of one `Buffer` of all parameters. All of it is float32. The factors of convolutions may be rounded as they are loaded,
//! where a device has matrix instructions for a `Precision`; their sums are float32 too.
//!
//! A convolution is a tiled matrix product whose loads gather from the map. The `Tile` comes from a table by shape and
//! is never tuned at run time; where it would leave multiprocessors idle, the contraction is cut into pieces that a
//! second pass adds up in their order. No kernel adds floats atomically, so results have the same bits on every repeat
//! on the same device. What a launch asks of the device is a `Pass`, a function of shapes, and `Gpu::counts` adds up
//! those that ran, and counts how often the host waited.
//!
//! Nothing here waits for the device but `Gpu::wait`, `Buffer::read` and `Watch::records`.
//!
//! `examples/step.rs` trains a small network with them; `tests/kernels/dense_block.rs` puts a dense block together.
//!
//! | module | what |
//! |---|---|
//! | `adapter`, `shader` | opening a device, and the form of shaders that its driver is given |
//! | `gpu`, `buffer`, `map` | a device and its limits; floats on it, and parts of them; feature maps in a buffer |
//! | `images` | bytes of the host as maps |
//! | `pass` | a launch as a function of shapes, grids longer than an axis, and what launches add up to |
//! | `source` | a map that is normalised where a product loads it, so that no normalised map is written |
//! | `convolution` | the tiled products, forward and for both gradients; sums for batch norm where a map is written; weight gradients of many layers that one launch adds up |
//! | `precision` | what factors of convolutions are rounded to, and what a device has instructions for |
//! | `depthwise` | a kernel per channel |
//! | `epilogue` | what becomes of a convolution's sum where it is written |
//! | `fold` | batch norm as part of the weights before it, for inference |
//! | `statistics`, `batch_norm` | what batch norm needs of a channel; one pass with activation, pooling and skip, and back |
//! | `channel_table` | what layers that concatenate share of a channel: its moments, and terms of its gradient |
//! | `curve` | ReLU, ReLU6, SiLU, sigmoid |
//! | `pooling`, `gate` | max, average and global pools; a factor for each image and channel |
//! | `head` | dense layers and the losses |
//! | `flat` | all parameters at once: copied, added up, averaged |
//! | `optimizer` | norm, clipping and the check for finite numbers on the device; Adam, AdamW, SGD in one launch |
//! | `reduce` | a sum over a group in a fixed order |
#![cfg(feature = "wgpu")]

mod adapter;
mod batch_norm;
mod buffer;
mod channel_table;
mod convolution;
mod curve;
mod depthwise;
mod epilogue;
mod error;
mod flat;
mod fold;
mod gate;
mod gpu;
mod head;
mod images;
mod map;
mod optimizer;
mod pass;
mod pooling;
mod precision;
mod reduce;
mod shader;
mod source;
mod statistics;
mod width;

pub use adapter::{Adapter, Candidate, candidates};
pub use batch_norm::{
    NormMaps, average_normalised, average_normalised_gradient, average_normalised_gradient_passes,
    average_normalised_pass, averaged_shape, normalise, normalise_backward, normalise_backward_passes,
    normalise_pass, normalised_gradient, normalised_gradient_passes, normalised_shape, settle_pass,
};
pub use buffer::{Buffer, Part};
pub use channel_table::{ChannelTable, concatenated_statistics_pass, defer_pass};
pub use convolution::{
    BLOCKS, Block, MAP_SUM_ROWS, PendingGradients, Plan, Products, TILES, Tile, convolve, convolve_folded,
    convolve_folded_passes, convolve_with_sums, forward_passes, gradient_sum_tiles, input_gradient,
    input_gradient_passes, input_gradient_with_sums, input_gradient_with_sums_passes, map_sums,
    map_sums_pass, output_shape, pending_gradients_passes, sum_rows, weight_gradient, weight_gradient_passes,
};
pub use curve::Curve;
pub use depthwise::{
    depthwise, depthwise_folded, depthwise_folded_pass, depthwise_input_gradient,
    depthwise_input_gradient_pass, depthwise_pass, depthwise_shape, depthwise_weight_gradient,
};
pub use error::Error;
pub use flat::{add, add_pass, blend, blend_pass, copy, copy_pass};
pub use fold::{fold, fold_pass};
pub use gate::{gate, gate_gradient, gate_gradient_passes, gate_pass};
pub use gpu::{Gpu, Limits};
pub use head::{
    Linear, LossKind, activate, activate_gradient, activate_gradient_pass, activate_pass, loss, loss_pass,
};
pub use images::{images_from_bytes, images_from_bytes_pass};
pub use map::{GradientMap, Map, MapShape};
pub use optimizer::{
    LossScale, MARKED, Mark, Parameters, Rule, StepRecord, Update, Watch, judge_passes, scale_pass,
    update_pass,
};
pub use pass::{Counts, Pass};
pub use pooling::{
    global_average, global_average_gradient, global_average_gradient_pass, global_average_pass, pool,
    pool_gradient, pool_gradient_pass, pool_pass, pooled_shape,
};
pub use precision::Precision;
pub use source::{Normalised, Source};
pub use statistics::{
    Affine, NormSums, Running, Statistics, TileSums, running_statistics, statistics, statistics_pass,
};
pub use width::Width;
