//! Batch norm and ReLU without a convolution.

use super::maps::{GpuMaps, Made};
use super::view::View;
use crate::layers::Maps;
use burn::module::ParamId;
use xray_gpu::{NormMaps, map_sums, normalise, normalise_backward, running_statistics, statistics};
use xray_kernels::{Activation, Nonlinearity};

const RELU: Activation = Activation::of(Nonlinearity::Relu);

impl GpuMaps {
    /// The batch norm is known by its gamma.
    pub(crate) fn norm_relu(self, gamma: ParamId, epsilon: f32) -> Maps {
        self.then(|Made { run, read: input }| {
            let (gpu, shape) = (&*run.gpu, input.view.shape());
            let (affine, running) = (run.store.affine(gamma), run.store.running(gamma));
            let statistics = if run.learns() {
                statistics(gpu, &map_sums(gpu, input.view.map())?, affine, running, epsilon)?
            } else {
                running_statistics(gpu, shape.channels, affine, running, epsilon)?
            };
            let output = View::empty(gpu, shape)?;
            normalise(gpu, RELU, &statistics, input.view.map(), None, output.map());
            let (made, gradient) = Made::by(run.clone(), output);
            run.record(move |back| {
                let grad_output = gradient.take();
                input.write_gradient(back.gpu, |grad_input| {
                    let grad_output = grad_output.map();
                    let maps = NormMaps { input: input.view.map(), grad_output, grad_input, skip: None };
                    let affine = back.gradients.affine(gamma);
                    normalise_backward(back.gpu, RELU, &statistics, maps, affine)
                })
            });
            Ok(made)
        })
    }
}
