//! A factor for each channel of each image as one operation of burn.

use super::context;
use super::gradient::{GradientCell, announce};
use super::maps::{CpuMaps, Input, buffer, record, untracked};
use super::values::{dense, plain, small, tracked, values};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use xray_kernels::gate_backward;

/// Maps times factors `[n, channels]`; records gradients where the maps do.
pub(crate) fn gate(maps: CpuMaps, factors_nc: Tensor<2>) -> CpuMaps {
    if !maps.device().is_autodiff() {
        return untracked(gated(&maps.plain(), &plain(factors_nc)));
    }
    let (input, input_node) = maps.tracked();
    let (factors, factors_node) = tracked(factors_nc).into_parts();
    let factors = dense(factors);
    let output = gated(&input, &factors);
    record(GateBackward, [input_node, factors_node], output, |_, gradient| State { input, factors, gradient })
}

fn gated(input: &Input, factors: &FlexTensor) -> (xray_kernels::ArenaBuffer, xray_kernels::MapShape) {
    let shape = input.map().1.with_halo(0);
    let mut output = buffer(&shape);
    xray_kernels::gate(context(), input.map(), values(factors), (&mut output, shape));
    (output, shape)
}

#[derive(Clone, Debug)]
struct State {
    input: Input,
    factors: FlexTensor,
    gradient: GradientCell,
}

#[derive(Debug)]
struct GateBackward;

impl Backward<Flex, 2> for GateBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<Flex>(&ops.node);
        let [input_node, factors_node] = ops.parents;
        let State { input, factors, gradient } = ops.state;
        let grad_output = gradient.take();
        let shape = input.map().1;
        let mut grad_factors = vec![0.0; shape.images * shape.channels];
        let cell = input.gradient.as_ref().expect("a layer inside a network reads maps");
        cell.write(shape, |map| {
            let given = (&grad_output.buffer[..], grad_output.shape);
            gate_backward(context(), input.map(), values(&factors), given, &mut grad_factors, map);
        });
        if let Some(node) = input_node {
            announce(gradients, node.id);
        }
        if let Some(node) = factors_node {
            gradients.register::<Flex>(node.id, small(grad_factors, [shape.images, shape.channels]));
        }
    }
}
