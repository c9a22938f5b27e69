//! What the layers of a network hand on: images as they come, or blocked maps.

use super::values::{plain, values};
use burn::tensor::{Device, Tensor, TensorData};
use xray_kernels::{ConvInput, MapShape, PlanarShape, to_planar};

/// The halo of a block's output: what the padding of a 3×3 convolution takes.
pub(super) const HALO: usize = 1;

/// Feature maps on the CPU.
#[derive(Clone, Debug)]
pub(crate) enum CpuMaps {
    /// `[n, channels, h, w]`.
    Images(Tensor<4>),
    /// `[n, blocks, h + 2 halo, w + 2 halo, 16]`.
    Blocked {
        /// The values.
        maps: Tensor<5>,
        /// What of them is what.
        shape: MapShape,
    },
}

/// The layout of a [`CpuMaps`].
#[derive(Clone, Copy, Debug)]
pub(super) enum InputShape {
    Images(PlanarShape),
    Blocked(MapShape),
}

impl InputShape {
    pub(super) fn input(self, values: &[f32]) -> ConvInput<'_> {
        match self {
            InputShape::Images(shape) => ConvInput::Planar(values, shape),
            InputShape::Blocked(shape) => ConvInput::Map(values, shape),
        }
    }
}

impl CpuMaps {
    pub(crate) fn device(&self) -> Device {
        match self {
            CpuMaps::Images(images) => images.device(),
            CpuMaps::Blocked { maps, .. } => maps.device(),
        }
    }

    /// Whether no layer has read them yet.
    pub(crate) fn are_images(&self) -> bool {
        matches!(self, CpuMaps::Images(_))
    }

    pub(super) fn shape(&self) -> InputShape {
        match self {
            CpuMaps::Images(images_nchw) => {
                let [images, channels, height, width] = images_nchw.dims();
                InputShape::Images(PlanarShape { images, channels, height, width })
            }
            CpuMaps::Blocked { shape, .. } => InputShape::Blocked(*shape),
        }
    }

    /// `[n, channels, h, w]`, without gradients.
    pub(crate) fn into_nchw(self) -> Tensor<4> {
        match self {
            CpuMaps::Images(images) => images,
            CpuMaps::Blocked { maps, shape } => {
                let device = maps.device();
                let MapShape { images, channels, height, width, .. } = shape;
                let planar = PlanarShape { images, channels, height, width };
                let mut found = vec![0.0; planar.len()];
                to_planar((values(&plain(maps)), shape), (&mut found, planar));
                Tensor::from_data(TensorData::new(found, [images, channels, height, width]), &device)
            }
        }
    }
}

/// The dimensions of the tensor that holds a map.
pub(super) fn dimensions(shape: &MapShape) -> [usize; 5] {
    let [height, width] = [shape.height, shape.width].map(|size| size + 2 * shape.halo);
    [shape.images, shape.blocks(), height, width, 16]
}
