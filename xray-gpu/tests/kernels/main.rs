//! Every kernel against its formula in float64, on whatever device wgpu finds.

mod batch_norm;
mod convolution;
mod dense;
mod dense_block;
mod dense_passes;
mod depthwise;
mod device;
mod flat;
mod folded;
mod head;
mod images;
mod launches;
mod loss;
mod optimizer;
mod pending;
mod pooling;
mod precision;
mod reference;
mod small_cnn;
mod source;
mod training;
