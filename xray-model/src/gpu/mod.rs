//! Networks on a GPU: kernels of xray-gpu put together to layers. A forward pass leaves a tape of what leads back, a
//! function for each layer; parameters, gradients and moments lie in flat buffers. burn has no part in it: modules are
//! asked for shapes, and for the ids that parameters are known by.

mod conv_norm;
mod dense_block;
mod filter;
mod fold;
mod given;
mod head;
mod layout;
mod maps;
mod norm_relu;
mod objective;
mod pooling;
mod predictor;
mod run;
mod squeeze_excitation;
mod store;
mod trainer;
mod view;

pub(crate) use given::{Backbone, ConvIds, DenseLayer, Images, LinearIds, RING};
pub(crate) use head::Logits;
pub(crate) use maps::GpuMaps;
pub(crate) use predictor::Predictor;
pub(crate) use trainer::{Found, Pass, Trainer};
pub(crate) use xray_gpu::Error;

use std::sync::Arc;
use xray_gpu::Gpu;

/// A GPU that is open.
pub(crate) type Device = Arc<Gpu>;

/// What a device made, or why it did not.
pub(crate) type Outcome<T> = Result<T, Error>;

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NoDevice(reason) => crate::Error::NoDevice { name: "wgpu", reason },
            Error::TooLarge { .. } => crate::Error::DeviceMemory { reason: error.to_string(), fits: None },
            Error::Device(words) => crate::Error::of_device(&words),
            error => crate::Error::Device { reason: error.to_string() },
        }
    }
}
