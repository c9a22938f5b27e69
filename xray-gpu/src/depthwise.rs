//! Depthwise convolutions: a kernel for each channel. A unit makes one element; neighbours are neighbouring channels.
#![expect(unsafe_code, reason = "a launch without bounds checks; shapes are checked before")]

use crate::buffer::Part;
use crate::convolution::WeightGradient;
use crate::curve::Curve;
use crate::epilogue::{Ending, Epilogue, EpiloguePlaces, finish, folded_bytes};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::map::{GradientMap, Map, MapShape, Sizes, element};
use crate::pass::{Pass, bytes};
use cubecl::prelude::*;
use xray_kernels::DepthwiseSpec;

/// Numbers of a [`DepthwiseSpec`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct DepthwiseNumbers {
    kernel: usize,
    stride: usize,
    padding: usize,
    weights_at: usize,
    /// Elements of what is written.
    length: usize,
}

/// How [`taps`] is compiled.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Form {
    /// Input gradient: `source` is the output's gradient.
    backward: bool,
    /// What becomes of the sums.
    ending: Ending,
}

/// Forward, or the gradient of the input, whose taps are those that reach a pixel.
#[cube(launch_unchecked)]
fn taps(
    source: &[f32],
    weights: &[f32],
    beside: &[f32],
    target: &mut [f32],
    aside: &mut [f32],
    from: Sizes,
    to: Sizes,
    numbers: DepthwiseNumbers,
    places: EpiloguePlaces,
    #[comptime] form: Form,
) {
    let i = ABSOLUTE_POS;
    if i < numbers.length {
        let own = element::<Const<1>>(i, &to);
        let kernel = numbers.kernel;
        let padding = numbers.padding;
        let image_at = own.image * from.height;
        let mut sum = 0.0f32;
        for tap_y in 0..kernel {
            for tap_x in 0..kernel {
                let mut inside = false.runtime();
                let mut y = 0usize.runtime();
                let mut x = 0usize.runtime();
                if comptime!(form.backward) {
                    if own.y + padding >= tap_y && own.x + padding >= tap_x {
                        let far_y = own.y + padding - tap_y;
                        let far_x = own.x + padding - tap_x;
                        y = far_y / numbers.stride;
                        x = far_x / numbers.stride;
                        inside = y * numbers.stride == far_y
                            && x * numbers.stride == far_x
                            && y < from.height
                            && x < from.width;
                    }
                } else {
                    y = own.y * numbers.stride + tap_y;
                    x = own.x * numbers.stride + tap_x;
                    if y >= padding && x >= padding {
                        y -= padding;
                        x -= padding;
                        inside = y < from.height && x < from.width;
                    }
                }
                if inside {
                    let weight =
                        weights[numbers.weights_at + (own.channel * kernel + tap_y) * kernel + tap_x];
                    let at = (image_at + y) * from.width + x;
                    sum += weight * source[at * from.stride + from.first + own.channel];
                }
            }
        }
        let _written = finish(
            sum,
            own.pixel,
            own.channel,
            target,
            own.pixel * to.stride + to.first + own.channel,
            beside,
            aside,
            Vector::<f32, Const<4>>::new(0.0f32),
            &places,
            comptime!(form.ending),
        );
    }
}

/// The map that a depthwise convolution makes of an input.
///
/// # Panics
/// If the input has other channels, or the kernel does not fit into it.
pub fn depthwise_shape(spec: &DepthwiseSpec, input: MapShape) -> MapShape {
    assert_eq!(input.channels, spec.channels, "channels of the input of {spec:?}");
    input.with_size(spec.output_size(input.height), spec.output_size(input.width))
}

fn pass(name: &'static str, spec: &DepthwiseSpec, input: MapShape, written: MapShape) -> Pass {
    let output = depthwise_shape(spec, input);
    Pass {
        multiply_adds: (output.len() * spec.kernel * spec.kernel) as u64,
        bytes: bytes(input.len() + output.len() + spec.weight_len()),
        ..Pass::elements(name, written.len(), 0)
    }
}

/// The launch of [`depthwise`].
pub fn depthwise_pass(spec: &DepthwiseSpec, input: MapShape) -> Pass {
    pass("depthwise", spec, input, depthwise_shape(spec, input))
}

/// The launch of [`depthwise_input_gradient`].
pub fn depthwise_input_gradient_pass(spec: &DepthwiseSpec, input: MapShape) -> Pass {
    pass("depthwise input gradient", spec, input, input)
}

/// The launch of [`depthwise_folded`].
pub fn depthwise_folded_pass(spec: &DepthwiseSpec, input: MapShape) -> Pass {
    let pass = depthwise_pass(spec, input);
    Pass { bytes: pass.bytes + folded_bytes(input, false), ..pass }
}

/// Writes the convolution of each channel with its own weights, `[channels][kernel][kernel]`.
///
/// # Panics
/// If a shape does not fit.
pub fn depthwise(gpu: &Gpu, spec: &DepthwiseSpec, input: Map<'_>, weights: Part<'_>, output: Map<'_>) {
    output.expect(depthwise_shape(spec, input.shape()), "the output");
    let pass = depthwise_pass(spec, input.shape());
    launch(gpu, spec, &pass, (input, weights, output.into()), Epilogue::Plain, false);
}

/// Writes `function(convolution + bias)`, with the weights and the bias that [`fold`](crate::fold) makes.
///
/// # Panics
/// If a shape does not fit.
pub fn depthwise_folded(
    gpu: &Gpu,
    spec: &DepthwiseSpec,
    input: Map<'_>,
    weights: Part<'_>,
    bias: Part<'_>,
    function: impl Into<Curve>,
    output: Map<'_>,
) {
    output.expect(depthwise_shape(spec, input.shape()), "the output");
    let pass = depthwise_folded_pass(spec, input.shape());
    let epilogue = Epilogue::Folded { bias, skip: None, function: function.into() };
    launch(gpu, spec, &pass, (input, weights, output.into()), epilogue, false);
}

/// Writes or adds the gradient of the input, given that of the output.
///
/// # Panics
/// If a shape does not fit.
pub fn depthwise_input_gradient(
    gpu: &Gpu,
    spec: &DepthwiseSpec,
    grad_output: Map<'_>,
    weights: Part<'_>,
    grad_input: GradientMap<'_>,
) {
    let shape = grad_input.map.shape();
    grad_output.expect(depthwise_shape(spec, shape), "the output's gradient");
    let pass = depthwise_input_gradient_pass(spec, shape);
    launch(gpu, spec, &pass, (grad_output, weights, grad_input), Epilogue::Plain, true);
}

fn launch(
    gpu: &Gpu,
    spec: &DepthwiseSpec,
    pass: &Pass,
    (source, weights, target): (Map<'_>, Part<'_>, GradientMap<'_>),
    epilogue: Epilogue<'_>,
    backward: bool,
) {
    let GradientMap { map: target, accumulate } = target;
    weights.expect(spec.weight_len(), "weights");
    epilogue.expect(target.shape());
    let numbers = DepthwiseNumbersLaunch::new(
        spec.kernel,
        spec.stride,
        spec.padding,
        weights.start(),
        target.shape().len(),
    );
    // SAFETY: the callers checked shapes, and maps, weights and bias have their lengths.
    unsafe {
        taps::launch_unchecked(
            gpu.launch(pass),
            gpu.grid(pass),
            pass.dim(),
            source.argument(),
            weights.argument(),
            epilogue.beside(target),
            target.argument(),
            epilogue.aside(target),
            source.sizes(),
            target.sizes(),
            numbers,
            epilogue.places(target),
            Form { backward, ending: epilogue.ending(accumulate) },
        );
    }
}

/// Writes the gradient of the weights, given the input and the output's gradient.
///
/// # Errors
/// If the device makes no buffer for pieces of the sum.
///
/// # Panics
/// If a shape does not fit, or the kernel is larger than 7 x 7.
pub fn depthwise_weight_gradient(
    gpu: &Gpu,
    spec: &DepthwiseSpec,
    input: Map<'_>,
    grad_output: Map<'_>,
    grad_weights: Part<'_>,
) -> Result<(), Error> {
    let (shape, DepthwiseSpec { kernel, stride, padding, .. }) = (input.shape(), *spec);
    let to = depthwise_shape(spec, shape);
    let product = WeightGradient::depthwise(gpu.products(), shape, to, [kernel, stride, padding]);
    product.launch(gpu, input.into(), grad_output, grad_weights)
}
