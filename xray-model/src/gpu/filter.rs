//! A convolution, or one with a kernel for each channel: the same three products, and the same fold.

use super::run::Back;
use burn::module::ParamId;
use xray_gpu::{
    Error, Gpu, GradientMap, Map, MapShape, Part, TileSums, convolve_with_sums, depthwise,
    depthwise_input_gradient, depthwise_shape, depthwise_weight_gradient, input_gradient, map_sums,
    output_shape,
};
use xray_kernels::{ConvSpec, DepthwiseSpec};

#[derive(Clone, Copy, Debug)]
pub(super) enum Filter {
    Full(ConvSpec),
    Depthwise(DepthwiseSpec),
}

impl Filter {
    /// The map that it makes.
    pub(super) fn output(&self, input: MapShape) -> MapShape {
        match self {
            Filter::Full(spec) => output_shape(spec, input),
            Filter::Depthwise(spec) => depthwise_shape(spec, input),
        }
    }

    /// Writes it, and takes the sums of its channels.
    pub(super) fn forward(
        &self,
        gpu: &Gpu,
        input: Map<'_>,
        weights: Part<'_>,
        output: Map<'_>,
    ) -> Result<TileSums, Error> {
        match self {
            Filter::Full(spec) => convolve_with_sums(gpu, spec, input, weights, output),
            Filter::Depthwise(spec) => {
                depthwise(gpu, spec, input, weights, output);
                map_sums(gpu, output)
            }
        }
    }

    pub(super) fn weight_gradient(
        &self,
        back: &Back<'_>,
        [input, grad_output]: [Map<'_>; 2],
        kernel: ParamId,
    ) -> Result<(), Error> {
        match self {
            Filter::Full(spec) => back.weight_gradient(spec, input.into(), grad_output, kernel),
            Filter::Depthwise(spec) => {
                depthwise_weight_gradient(back.gpu, spec, input, grad_output, back.gradients.part(kernel))
            }
        }
    }

    pub(super) fn input_gradient(
        &self,
        gpu: &Gpu,
        grad_output: Map<'_>,
        weights: Part<'_>,
        grad_input: GradientMap<'_>,
    ) -> Result<(), Error> {
        match self {
            Filter::Full(spec) => input_gradient(gpu, spec, grad_output, weights, grad_input),
            Filter::Depthwise(spec) => {
                depthwise_input_gradient(gpu, spec, grad_output, weights, grad_input);
                Ok(())
            }
        }
    }
}
