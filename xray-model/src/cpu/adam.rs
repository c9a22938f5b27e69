//! Adam on tensors of the CPU: one pass over weights, gradients and moments of all parameters.

use super::context;
use super::values::{plain, small, values};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use xray_kernels::{AdamStep, AdamWeights, sum_of_squares};

/// A flattened parameter, and what its step needs.
pub(crate) struct AdamTensors {
    pub(crate) step: AdamStep,
    pub(crate) weights: Tensor<1>,
    pub(crate) gradient: Tensor<1>,
    /// The mean of the gradients, and that of their squares.
    pub(crate) moments: [Tensor<1>; 2],
}

/// The weights after a step, and the moments, of each parameter.
pub(crate) fn adam(parameters: Vec<AdamTensors>) -> impl Iterator<Item = (Tensor<1>, [Tensor<1>; 2])> {
    let plain =
        parameters.into_iter().map(|AdamTensors { step, weights, gradient, moments: [mean, square] }| {
            (step, plain(gradient), [weights, mean, square].map(whole))
        });
    let mut all: Vec<_> = plain.collect();
    let lists = all.iter_mut().map(|(step, gradient, [weights, mean, mean_square])| AdamWeights {
        step: *step,
        weights: weights.storage_mut(),
        gradient: values(gradient),
        mean: mean.storage_mut(),
        mean_square: mean_square.storage_mut(),
    });
    xray_kernels::adam(context(), lists.collect());
    all.into_iter().map(|(_, _, updated)| {
        let [weights, mean, mean_square] = updated.map(Tensor::from_primitive::<Flex>);
        (weights, [mean, mean_square])
    })
}

/// A tensor without values outside of it, which may then be written in its storage.
fn whole(tensor: Tensor<1>) -> FlexTensor {
    let [length] = tensor.dims();
    let tensor = plain(tensor);
    if tensor.storage::<f32>().len() == length { tensor } else { small(values(&tensor).to_vec(), [length]) }
}

/// The sum of the squares of all gradients.
pub(crate) fn squares(gradients: Vec<Tensor<1>>) -> f64 {
    let gradients: Vec<_> = gradients.into_iter().map(plain).collect();
    sum_of_squares(context(), &gradients.iter().map(values).collect::<Vec<_>>())
}
