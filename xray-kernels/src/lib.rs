//! CPU kernels for training and running convolutional networks, on plain slices of `f32`: no tensors, no graph.
//!
//! Each hot kernel is written once over sixteen lanes and compiled for AVX-512, for AVX2 with FMA and for plain
//! Rust; the processor is asked at run time ([`Isa`]; the variable `XRAY_ISA` overrides). Feature maps have their
//! channels in blocks of 16 and a halo of zeros ([`MapShape`]). Threads are those of [`use_threads`] or of the current rayon pool, and
//! results have the same bits on any number of them: sums are cut by shapes, never by threads. Between instruction
//! sets the last bits differ.
//!
//! The unit is a block, not an operation: what makes training slow is passing over memory, so batch norm takes its
//! sums where the convolution writes, ReLU and pooling happen in the pass that scales, and backward makes the
//! gradient of a convolution's output image by image and uses it while it is in the cache.
//!
//! ```
//! use xray_kernels::{
//!     Activation, BlockGradients, BlockParameters, Context, ConvBlock, ConvInput, ConvSpec, Nonlinearity,
//!     PlanarShape,
//! };
//!
//! let context = Context::detected()?;
//! let conv = ConvSpec { in_channels: 1, out_channels: 8, kernel: 3, stride: 1, padding: 1 };
//! let block = ConvBlock { conv, activation: Activation { function: Nonlinearity::Relu, pool: true }, epsilon: 1e-5 };
//!
//! // Two gray images of 6 x 6 pixels.
//! let pixels: Vec<f32> = (0..72).map(|i| (i % 7) as f32).collect();
//! let input = ConvInput::Planar(&pixels, PlanarShape { images: 2, channels: 1, height: 6, width: 6 });
//! let weights: Vec<f32> = (0..72).map(|i| (i % 5) as f32 - 2.0).collect();
//! let parameters = BlockParameters { weights: &weights, gamma: &[1.0; 8], beta: &[0.0; 8] };
//!
//! // 3 x 3 pixels after pooling, with a halo for the next layer's padding.
//! let shape = block.output_shape(&input, 1);
//! let mut output = context.arena.take(shape.len());
//! let saved = block.forward_training(&context, input, parameters, (&mut output, shape));
//! assert_eq!(saved.normalisation.mean.len(), 8);
//!
//! let grad_output = vec![1.0; shape.len()];
//! let (mut of_weights, mut gamma, mut beta) = ([0.0; 72], [0.0; 8], [0.0; 8]);
//! let gradients =
//!     BlockGradients { weights: &mut of_weights, gamma: &mut gamma, beta: &mut beta, input: None };
//! block.backward(&context, input, parameters, &saved, (&grad_output, shape), gradients);
//! assert!(of_weights.iter().any(|&gradient| gradient != 0.0));
//! assert!(beta.iter().all(|&gradient| gradient > 0.0 && gradient <= 18.0)); // of 2 x 9 outputs
//! # Ok::<(), xray_kernels::ContextError>(())
//! ```
//!
//! | module | what |
//! |---|---|
//! | `isa`, `lanes`, `peak` | instruction sets, sixteen floats in three forms, what the processor can do at most |
//! | `shape`, `halo`, `planes`, `layout` | blocked maps, planar images, and the way between them |
//! | `arena`, `context` | buffers that outlive a step; what every operation is given |
//! | `tasks`, `team`, `shared` | how work is shared out among threads, and threads that wait for it |
//! | `recording` | the tasks of a step and how long each takes, for schedules of more threads than there are |
//! | `convolution` | forward, weight gradient, input gradient, packing of weights; direct, or by Winograd's filtering |
//! | `nonlinearity` | ReLU, ReLU6, SiLU |
//! | `batch_norm` | normalisation with activation and 2 x 2 max pooling, forward and backward |
//! | `block` | convolution, batch norm and activation as one, also depthwise, behind a skip connection, or with the convolution last: training, backward, inference |
//! | `depthwise` | a kernel per channel |
//! | `pooling`, `residual` | max, average and global pools; the sum of a skip connection |
//! | `gate`, `squeeze_excitation` | a factor for each channel; one that is learned from the means of all |
//! | `integer` | inference on maps of bytes: convolutions, pools, means and gates |
//! | `adam`, `squares` | the optimizer's step in one pass, the norm of a gradient |

mod adam;
mod arena;
mod batch_norm;
mod block;
mod context;
mod convolution;
mod depthwise;
mod gate;
mod halo;
mod integer;
mod isa;
mod lanes;
mod layout;
mod nonlinearity;
mod peak;
mod planes;
mod pooling;
mod recording;
mod residual;
mod shape;
mod shared;
mod squares;
mod squeeze_excitation;
mod tasks;
mod team;

pub use adam::{AdamStep, AdamWeights, adam};
pub use arena::{Arena, ArenaBuffer};
pub use batch_norm::{Activation, NormGradient, Normalisation, Sums, Totals, normalise, normalise_backward};
pub use block::{
    BlockGradients, BlockParameters, ConvBlock, DepthwiseBlock, FoldedBlock, FoldedDepthwise, PreActivation,
    SavedBlock, SavedDepthwise,
};
pub use context::{Context, ContextError};
pub use convolution::{ConvOutput, ConvSpec, PackedWeights, TransposedWeights, convolve, convolve_backward};
pub use depthwise::{DepthwiseInput, DepthwiseSpec, depthwise, depthwise_backward};
pub use gate::gate;
pub use integer::{
    ByteAffine, ByteConv, ByteDepthwise, ByteInput, ByteMap, BytePlanes, Quantisation, Requantisation,
    byte_gate, byte_max_pool, byte_means, quantised_weights,
};
pub use isa::{ISA_VARIABLE, Isa, IsaError};
pub use layout::{copy_map, to_blocked, to_planar};
pub use nonlinearity::Nonlinearity;
pub use peak::multiply_add_peak;
pub use planes::{ConvInput, repeat_planes};
pub use pooling::{Pool, PoolKind, global_average, global_average_backward};
pub use recording::{RecordedPass, Recorder, Recording, TaskCosts};
pub use residual::{add, normalise_add, relu_backward, relu_backward_in_place};
pub use shape::{GradientMap, MapShape, PlanarShape};
pub use squares::sum_of_squares;
pub use squeeze_excitation::{
    SavedSqueeze, SqueezeGradients, SqueezeParameters, squeeze_excitation, squeeze_excitation_backward,
};
pub use tasks::of_each_image;
pub use team::use_threads;
