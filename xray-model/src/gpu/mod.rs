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

use crate::Precision;
use std::sync::Arc;
use xray_gpu::Gpu;

/// A GPU that is open.
pub(crate) type Device = Arc<Gpu>;

/// What a device made, or why it did not.
pub(crate) type Outcome<T> = Result<T, Error>;

/// The device, called `name`, with products in a precision, and counted apart.
///
/// # Errors
/// If it does not offer that.
pub(crate) fn in_precision(gpu: Device, asked: Precision, name: &str) -> crate::Result<Device> {
    match gpu.with_precision(of_products(asked)) {
        Ok(gpu) => Ok(Arc::new(gpu)),
        Err(_) => {
            let every = [Precision::F32, Precision::Tf32, Precision::Bf16, Precision::F16];
            let there = gpu.precisions();
            let offered =
                every.into_iter().filter(|precision| there.contains(&of_products(*precision))).collect();
            Err(crate::Error::Precision { asked, device: name.to_owned(), offered })
        }
    }
}

fn of_products(precision: Precision) -> xray_gpu::Precision {
    match precision {
        Precision::F32 => xray_gpu::Precision::F32,
        Precision::Tf32 => xray_gpu::Precision::Tf32,
        Precision::Bf16 => xray_gpu::Precision::Bf16,
        Precision::F16 => xray_gpu::Precision::F16,
    }
}

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
