//! Squeeze-and-excitation as one operation.

use super::context;
use super::maps::{BlockedMaps, CpuMaps, Input, buffer};
use super::values::{learned, plain, small, values};
use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use xray_kernels::{
    ArenaBuffer, MapShape, SavedSqueeze, SqueezeGradients, SqueezeParameters, squeeze_excitation_backward,
};

/// What its two layers learn.
pub(crate) struct SqueezeLayers {
    /// `[squeezed, channels, 1, 1]` and `[channels, squeezed, 1, 1]`.
    pub(crate) weights: [Tensor<4>; 2],
    /// `[squeezed]` and `[channels]`.
    pub(crate) biases: [Tensor<1>; 2],
}

/// Maps times the factors that the layers find, in training and in inference.
pub(crate) fn squeeze_excitation(maps: CpuMaps, layers: SqueezeLayers) -> CpuMaps {
    let SqueezeLayers { weights, biases } = layers;
    let (input, tape) = maps.into_parts();
    let Some(tape) = tape else {
        let operands = Operands { weights: weights.map(plain), biases: biases.map(plain) };
        let (output, _) = forward(&operands, &input);
        return CpuMaps::inferred(output);
    };
    let ([first, second], [first_bias, second_bias]) = (weights.map(learned), biases.map(learned));
    let nodes = [first.1, second.1, first_bias.1, second_bias.1];
    let operands = Operands { weights: [first.0, second.0], biases: [first_bias.0, second_bias.0] };
    let ((output, shape), saved) = forward(&operands, &input);
    let (output, learns) = (BlockedMaps::new(output, shape), nodes.iter().any(Option::is_some));
    CpuMaps::made(output, tape, learns, move |gradient, gradients| {
        let Operands { weights, biases } = &operands;
        let [mut grad_weights, mut grad_biases] =
            [weights, biases].map(|lists| lists.each_ref().map(|list| vec![0.0; values(list).len()]));
        input.cell().write(input.map().1, |map| {
            let to = SqueezeGradients {
                weights: grad_weights.each_mut().map(Vec::as_mut_slice),
                biases: grad_biases.each_mut().map(Vec::as_mut_slice),
                input: map,
            };
            let given = (&gradient.buffer[..], gradient.shape);
            squeeze_excitation_backward(context(), operands.parameters(), &saved, input.map(), given, to);
        });
        let found = grad_weights.into_iter().chain(grad_biases).zip(weights.iter().chain(biases));
        for ((found, of), node) in found.zip(nodes) {
            if let Some(node) = node {
                gradients.register::<Flex>(node, small(found, of.shape()));
            }
        }
    })
}

/// The layers as dense tensors.
#[derive(Clone, Debug)]
struct Operands {
    weights: [FlexTensor; 2],
    biases: [FlexTensor; 2],
}

impl Operands {
    fn parameters(&self) -> SqueezeParameters<'_> {
        let [weights, biases] = [&self.weights, &self.biases].map(|lists| lists.each_ref().map(values));
        SqueezeParameters { weights, biases }
    }
}

fn forward(operands: &Operands, input: &Input) -> ((ArenaBuffer, MapShape), SavedSqueeze) {
    let shape = input.map().1.with_halo(0);
    let mut output = buffer(&shape);
    let parameters = operands.parameters();
    let saved = xray_kernels::squeeze_excitation(context(), parameters, input.map(), (&mut output, shape));
    ((output, shape), saved)
}
