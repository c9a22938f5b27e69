//! What the layers of a network hand on: images as they come, or blocked maps.

use super::gradient::GradientCell;
use super::values::{dense, plain, tensor, tracked, values};
use super::{Tracked, context};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::ops::{Backward, NodeGuard, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::{Device, Tensor, TensorData};
use xray_kernels::{ArenaBuffer, ConvInput, MapShape, PlanarShape, to_planar};

/// Feature maps on the CPU.
#[derive(Clone, Debug)]
pub(crate) enum CpuMaps {
    /// `[n, channels, h, w]`.
    Images(Tensor<4>),
    /// Channels in blocks of 16.
    Blocked(BlockedMaps),
}

/// Maps that an operation made.
#[derive(Clone, Debug)]
pub(crate) struct BlockedMaps {
    /// `[n, blocks, h + 2 halo, w + 2 halo, 16]`.
    tensor: Tensor<5>,
    shape: MapShape,
    gradient: GradientCell,
}

/// What an operation reads, apart from the graph that it came from.
#[derive(Clone, Debug)]
pub(super) struct Input {
    values: FlexTensor,
    shape: InputShape,
    /// Where its gradient goes: nothing learns from that of an image.
    pub(super) gradient: Option<GradientCell>,
}

#[derive(Clone, Copy, Debug)]
enum InputShape {
    Images(PlanarShape),
    Blocked(MapShape),
}

impl Input {
    pub(super) fn conv_input(&self) -> ConvInput<'_> {
        match self.shape {
            InputShape::Images(shape) => ConvInput::Planar(values(&self.values), shape),
            InputShape::Blocked(shape) => ConvInput::Map(values(&self.values), shape),
        }
    }

    /// The values and shape of maps.
    pub(super) fn map(&self) -> (&[f32], MapShape) {
        match self.shape {
            InputShape::Blocked(shape) => (values(&self.values), shape),
            InputShape::Images(_) => unreachable!("only a first convolution reads images"),
        }
    }
}

impl CpuMaps {
    pub(crate) fn device(&self) -> Device {
        match self {
            CpuMaps::Images(images) => images.device(),
            CpuMaps::Blocked(maps) => maps.tensor.device(),
        }
    }

    /// For an operation that records gradients.
    pub(super) fn tracked(self) -> (Input, NodeGuard) {
        let (tensor, shape, gradient) = match self {
            CpuMaps::Images(images) => {
                let shape = InputShape::Images(planar(&images));
                (tracked(images), shape, None)
            }
            CpuMaps::Blocked(BlockedMaps { tensor, shape, gradient }) => {
                (tracked(tensor), InputShape::Blocked(shape), Some(gradient))
            }
        };
        // Taken apart, so that nothing is kept alive that the backward pass does not need.
        let (values, node) = tensor.into_parts();
        (Input { values: dense(values), shape, gradient }, node)
    }

    /// For an operation that does not.
    pub(super) fn plain(self) -> Input {
        match self {
            CpuMaps::Images(images) => {
                let shape = InputShape::Images(planar(&images));
                Input { values: plain(images), shape, gradient: None }
            }
            CpuMaps::Blocked(BlockedMaps { tensor, shape, .. }) => {
                Input { values: plain(tensor), shape: InputShape::Blocked(shape), gradient: None }
            }
        }
    }

    /// `[n, channels, h, w]`, without gradients.
    pub(crate) fn into_nchw(self) -> Tensor<4> {
        match self {
            CpuMaps::Images(images) => images,
            CpuMaps::Blocked(BlockedMaps { tensor, shape, .. }) => {
                let device = tensor.device();
                let MapShape { images, channels, height, width, .. } = shape;
                let planar = PlanarShape { images, channels, height, width };
                let mut found = vec![0.0; planar.len()];
                to_planar((values(&plain(tensor)), shape), (&mut found, planar));
                Tensor::from_data(TensorData::new(found, [images, channels, height, width]), &device)
            }
        }
    }
}

/// Memory for maps of a shape.
pub(super) fn buffer(shape: &MapShape) -> ArenaBuffer {
    context().arena.take(shape.len())
}

/// An operation that made maps, as a step of burn's graph. What it needs in its backward pass is said by `state`, which
/// is given the maps' values and the cell of their gradient.
pub(super) fn record<O: Backward<Flex, N>, const N: usize>(
    operation: O,
    nodes: [NodeGuard; N],
    (buffer, shape): (ArenaBuffer, MapShape),
    state: impl FnOnce(&FlexTensor, GradientCell) -> O::State,
) -> CpuMaps {
    let (output, gradient) = (tensor(buffer, dimensions(&shape)), GradientCell::default());
    let prepared = operation.prepare::<NoCheckpointing>(nodes).compute_bound().stateful();
    let maps = match prepared {
        OpsKind::Tracked(prepared) => {
            let state = state(&output, gradient.clone());
            prepared.finish(state, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    CpuMaps::Blocked(BlockedMaps { tensor: Tensor::from_primitive::<Tracked>(maps), shape, gradient })
}

/// Maps without gradients.
pub(super) fn untracked((buffer, shape): (ArenaBuffer, MapShape)) -> CpuMaps {
    let tensor = Tensor::from_primitive::<Flex>(tensor(buffer, dimensions(&shape)));
    CpuMaps::Blocked(BlockedMaps { tensor, shape, gradient: GradientCell::default() })
}

fn planar(images_nchw: &Tensor<4>) -> PlanarShape {
    let [images, channels, height, width] = images_nchw.dims();
    PlanarShape { images, channels, height, width }
}

/// The dimensions of the tensor that holds a map.
fn dimensions(shape: &MapShape) -> [usize; 5] {
    let [height, width] = [shape.height, shape.width].map(|size| size + 2 * shape.halo);
    [shape.images, shape.blocks(), height, width, 16]
}
