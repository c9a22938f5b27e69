//! Adam on tensors of the CPU: one pass over weights, gradient and moments.

use super::context;
use super::values::{plain, small, values};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use xray_kernels::{AdamStep, sum_of_squares};

/// The weights after a step, and the moments: the mean of the gradients and that of their squares.
pub(crate) fn adam(
    rule: &AdamStep,
    weights: Tensor<1>,
    gradient: Tensor<1>,
    moments: [Tensor<1>; 2],
) -> (Tensor<1>, [Tensor<1>; 2]) {
    let [mean, mean_square] = moments;
    let gradient = plain(gradient);
    let [mut weights, mut mean, mut mean_square] = [weights, mean, mean_square].map(whole);
    rule.apply(
        context(),
        weights.storage_mut(),
        values(&gradient),
        mean.storage_mut(),
        mean_square.storage_mut(),
    );
    let [weights, mean, mean_square] = [weights, mean, mean_square].map(Tensor::from_primitive::<Flex>);
    (weights, [mean, mean_square])
}

/// A tensor without values outside of it, which may then be written in its storage.
fn whole(tensor: Tensor<1>) -> FlexTensor {
    let [length] = tensor.dims();
    let tensor = plain(tensor);
    if tensor.storage::<f32>().len() == length { tensor } else { small(values(&tensor).to_vec(), [length]) }
}

/// The sum of the squares of a gradient.
pub(crate) fn squares<const D: usize>(gradient: Tensor<D>) -> f64 {
    sum_of_squares(context(), values(&plain(gradient)))
}
