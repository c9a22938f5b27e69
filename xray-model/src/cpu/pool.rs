//! Max and average pools as one operation of burn.

use super::context;
use super::gradient::{GradientCell, announce};
use super::maps::{CpuMaps, Input, buffer, record, untracked};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use xray_kernels::{MapShape, Pool};

/// The output has a halo of one.
const HALO: usize = 1;

/// Pools; records gradients where the maps do.
pub(crate) fn pool(pool: Pool, maps: CpuMaps) -> CpuMaps {
    if !maps.device().is_autodiff() {
        return untracked(pooled(&pool, &maps.plain()));
    }
    let (input, node) = maps.tracked();
    let output = pooled(&pool, &input);
    record(PoolBackward, [node], output, |_, gradient| State { pool, input, gradient })
}

fn pooled(pool: &Pool, input: &Input) -> (xray_kernels::ArenaBuffer, MapShape) {
    let (values, MapShape { images, channels, height, width, .. }) = input.map();
    let [rows, columns] = [height, width].map(|size| pool.output_size(size));
    let shape = MapShape::new(images, channels, rows, columns, HALO);
    let mut output = buffer(&shape);
    pool.forward(context(), (values, input.map().1), (&mut output, shape));
    (output, shape)
}

#[derive(Clone, Debug)]
struct State {
    pool: Pool,
    input: Input,
    gradient: GradientCell,
}

#[derive(Debug)]
struct PoolBackward;

impl Backward<Flex, 1> for PoolBackward {
    type State = State;

    fn backward(self, ops: Ops<State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        gradients.consume::<Flex>(&ops.node);
        let [node] = ops.parents;
        let State { pool, input, gradient } = ops.state;
        let grad_output = gradient.take();
        let (Some(node), Some(cell)) = (node, &input.gradient) else { return };
        let given = (&grad_output.buffer[..], grad_output.shape);
        cell.write(input.map().1, |map| pool.backward(context(), input.map(), given, map));
        announce(gradients, node.id);
    }
}
