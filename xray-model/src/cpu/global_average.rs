//! The mean of each map as one operation of burn.

use super::maps::dimensions;
use super::values::{dense, plain, small, tensor, tracked, values};
use super::{Tracked, context};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use xray_kernels::{MapShape, global_average_backward};

/// `[n, channels]` of blocked maps; records gradients where they do.
pub(crate) fn global_average(maps: Tensor<5>, shape: MapShape) -> Tensor<2> {
    if !maps.device().is_autodiff() {
        return Tensor::from_primitive::<Flex>(means(&plain(maps), shape));
    }
    let (maps, node) = tracked(maps).into_parts();
    let output = means(&dense(maps), shape);
    let prepared = GlobalAverageBackward.prepare::<NoCheckpointing>([node]).compute_bound().stateful();
    Tensor::from_primitive::<Tracked>(match prepared {
        OpsKind::Tracked(prepared) => prepared.finish(shape, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    })
}

fn means(maps: &FlexTensor, shape: MapShape) -> FlexTensor {
    let mut features = vec![0.0; shape.images * shape.channels];
    xray_kernels::global_average((values(maps), shape), &mut features);
    small(features, [shape.images, shape.channels])
}

#[derive(Debug)]
struct GlobalAverageBackward;

impl Backward<Flex, 1> for GlobalAverageBackward {
    type State = MapShape;

    fn backward(self, ops: Ops<MapShape, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [node] = ops.parents;
        let shape = ops.state;
        let grad_output = dense(gradients.consume::<Flex>(&ops.node));
        let Some(node) = node else { return };
        let mut buffer = context().arena.take(shape.len());
        global_average_backward(values(&grad_output), (&mut buffer, shape));
        gradients.register::<Flex>(node.id, tensor(buffer, dimensions(&shape)));
    }
}
