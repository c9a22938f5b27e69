//! The mean of each map as one operation of burn.

use super::gradient::{HeldGradient, announce};
use super::maps::{CpuMaps, Input, buffer};
use super::values::{dense, small, values};
use super::{Tracked, context};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use xray_kernels::global_average_backward;

/// `[n, channels]` of blocked maps; records gradients where they do.
pub(crate) fn global_average(maps: CpuMaps) -> Tensor<2> {
    if !maps.device().is_autodiff() {
        return Tensor::from_primitive::<Flex>(means(&maps.plain()));
    }
    let (input, node) = maps.tracked();
    let output = means(&input);
    let prepared = GlobalAverageBackward.prepare::<NoCheckpointing>([node]).compute_bound().stateful();
    Tensor::from_primitive::<Tracked>(match prepared {
        OpsKind::Tracked(prepared) => prepared.finish(input, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    })
}

fn means(input: &Input) -> FlexTensor {
    let (maps, shape) = input.map();
    let mut features = vec![0.0; shape.images * shape.channels];
    xray_kernels::global_average(context(), (maps, shape), &mut features);
    small(features, [shape.images, shape.channels])
}

#[derive(Debug)]
struct GlobalAverageBackward;

impl Backward<Flex, 1> for GlobalAverageBackward {
    type State = Input;

    fn backward(self, ops: Ops<Input, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [node] = ops.parents;
        let grad_output = dense(gradients.consume::<Flex>(&ops.node));
        let (Some(node), Some(cell)) = (node, &ops.state.gradient) else { return };
        let shape = ops.state.map().1.with_halo(0);
        let mut buffer = buffer(&shape);
        global_average_backward(values(&grad_output), (&mut buffer, shape));
        cell.give(HeldGradient { buffer, shape });
        announce(gradients, node.id);
    }
}
