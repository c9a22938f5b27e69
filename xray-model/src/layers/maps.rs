//! What a network's layers hand on, wherever they run.

use crate::Backend;
use crate::cpu::{self, CpuMaps};
use burn::tensor::Tensor;

/// Feature maps.
#[derive(Clone, Debug)]
pub(crate) enum Maps {
    /// burn's own operations take them from here: `[n, channels, h, w]`.
    Nchw(Tensor<4>),
    /// The blocks of xray-kernels do.
    Cpu(CpuMaps),
}

impl Maps {
    /// Images `[n, channels, h, w]` of a device that `backend` opened.
    pub(crate) fn of_images(images_nchw: Tensor<4>, backend: Backend) -> Self {
        match backend {
            Backend::Cpu => Maps::Cpu(CpuMaps::Images(images_nchw)),
            _ => Maps::Nchw(images_nchw),
        }
    }

    /// The mean of each map, `[n, channels]`.
    pub(crate) fn global_average(self) -> Tensor<2> {
        match self {
            Maps::Nchw(maps_nchw) | Maps::Cpu(CpuMaps::Images(maps_nchw)) => {
                maps_nchw.flatten::<3>(2, 3).mean_dim(2).squeeze_dim::<2>(2)
            }
            Maps::Cpu(CpuMaps::Blocked { maps, shape }) => cpu::global_average(maps, shape),
        }
    }

    /// `[n, channels, h, w]`, without gradients.
    pub(crate) fn into_nchw(self) -> Tensor<4> {
        match self {
            Maps::Nchw(maps_nchw) => maps_nchw,
            Maps::Cpu(maps) => maps.into_nchw(),
        }
    }
}
