//! Squeeze-and-excitation as one operation of burn.

use super::context;
use super::gradient::{GradientCell, announce};
use super::maps::{CpuMaps, Input, buffer, record, untracked};
use super::values::{dense, plain, small, tracked, values};
use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use std::sync::Arc;
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

/// Maps times the factors that the layers find; records gradients where the maps do.
pub(crate) fn squeeze_excitation(maps: CpuMaps, layers: SqueezeLayers) -> CpuMaps {
    let SqueezeLayers { weights, biases } = layers;
    if !maps.device().is_autodiff() {
        let operands = Operands { weights: weights.map(plain), biases: biases.map(plain) };
        let (output, _) = forward(&operands, &maps.plain());
        return untracked(output);
    }
    let (input, input_node) = maps.tracked();
    let ([first, second], [first_bias, second_bias]) = (weights.map(tracked), biases.map(tracked));
    let [(first, node), (second, second_node)] = [first, second].map(|tensor| tensor.into_parts());
    let [(first_bias, bias_node), (second_bias, second_bias_node)] =
        [first_bias, second_bias].map(|tensor| tensor.into_parts());
    let operands =
        Operands { weights: [first, second].map(dense), biases: [first_bias, second_bias].map(dense) };
    let (output, saved) = forward(&operands, &input);
    let nodes = [input_node, node, second_node, bias_node, second_bias_node];
    record(SqueezeBackward, nodes, output, |_, gradient| State {
        input,
        operands,
        saved: Arc::new(saved),
        gradient,
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

#[derive(Clone, Debug)]
struct State {
    input: Input,
    operands: Operands,
    saved: Arc<SavedSqueeze>,
    gradient: GradientCell,
}

#[derive(Debug)]
struct SqueezeBackward;

impl Backward<Flex, 5> for SqueezeBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 5>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<Flex>(&ops.node);
        let State { input, operands, saved, gradient } = ops.state;
        let grad_output = gradient.take();
        let Operands { weights, biases } = &operands;
        let [mut grad_weights, mut grad_biases] =
            [weights, biases].map(|lists| lists.each_ref().map(|list| vec![0.0; values(list).len()]));
        let cell = input.gradient.as_ref().expect("a layer inside a network reads maps");
        cell.write(input.map().1, |map| {
            let to = SqueezeGradients {
                weights: grad_weights.each_mut().map(Vec::as_mut_slice),
                biases: grad_biases.each_mut().map(Vec::as_mut_slice),
                input: map,
            };
            let given = (&grad_output.buffer[..], grad_output.shape);
            squeeze_excitation_backward(context(), operands.parameters(), &saved, input.map(), given, to);
        });
        let [input_node, of_layers @ ..] = ops.parents;
        if let Some(node) = input_node {
            announce(gradients, node.id);
        }
        let found = grad_weights.into_iter().chain(grad_biases).zip(weights.iter().chain(biases));
        for ((found, of), node) in found.zip(of_layers) {
            if let Some(node) = node {
                gradients.register::<Flex>(node.id, small(found, of.shape()));
            }
        }
    }
}
