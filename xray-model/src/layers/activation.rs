//! Nonlinearities of burn's own operations.

use burn::tensor::Tensor;
use burn::tensor::activation::{relu, silu};
use xray_kernels::Nonlinearity;

/// The function of each value.
pub(crate) fn activate<const D: usize>(function: Nonlinearity, tensor: Tensor<D>) -> Tensor<D> {
    match function {
        Nonlinearity::Identity => tensor,
        Nonlinearity::Relu => relu(tensor),
        Nonlinearity::Relu6 => relu(tensor).clamp_max(6.0),
        Nonlinearity::Silu => silu(tensor),
    }
}
