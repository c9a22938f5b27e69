//! The mean of each map: where a network's own operations end and burn's begin.

use super::gradient::HeldGradient;
use super::maps::{CpuMaps, Input, buffer};
use super::tape::Tape;
use super::values::{dense, small, values};
use super::{Tracked, context};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::{Device, Tensor};
use xray_kernels::global_average_backward;

/// `[n, channels]` of blocked maps. In training they are one operation of burn's graph, which leads back through all
/// layers.
pub(crate) fn global_average(maps: CpuMaps) -> Tensor<2> {
    let (input, tape) = maps.into_parts();
    let means = means(&input);
    match tape {
        None => Tensor::from_primitive::<Flex>(means),
        Some(tape) if tape.learns() => {
            let prepared = WayBack.prepare::<NoCheckpointing>([leaf()]).compute_bound().stateful();
            Tensor::from_primitive::<Tracked>(match prepared {
                OpsKind::Tracked(prepared) => prepared.finish((input, tape), means),
                OpsKind::UnTracked(_) => unreachable!("the leaf asks for its gradient"),
            })
        }
        Some(_) => Tensor::from_inner(Tensor::from_primitive::<Flex>(means)),
    }
}

/// burn calls an operation back that reads something whose gradient it was asked for.
fn leaf() -> NodeGuard {
    let leaf = Tensor::<1>::zeros([1], &Device::flex().autodiff()).require_grad();
    let leaf = leaf.try_into_primitive::<Tracked>().expect("made on the CPU just now");
    leaf.into_parts().1
}

fn means(input: &Input) -> FlexTensor {
    let (maps, shape) = input.map();
    let mut features = vec![0.0; shape.images * shape.channels];
    xray_kernels::global_average(context(), (maps, shape), &mut features);
    small(features, [shape.images, shape.channels])
}

#[derive(Debug)]
struct WayBack;

impl Backward<Flex, 1> for WayBack {
    type State = (Input, Tape);

    fn backward(self, ops: Ops<(Input, Tape), 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (input, tape) = ops.state;
        let grad_output = dense(gradients.consume::<Flex>(&ops.node));
        let shape = input.map().1.with_halo(0);
        let mut buffer = buffer(&shape);
        global_average_backward(values(&grad_output), (&mut buffer, shape));
        input.cell().give(HeldGradient { buffer, shape });
        drop(input);
        tape.go_back(gradients);
    }
}
