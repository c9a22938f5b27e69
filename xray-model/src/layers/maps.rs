//! What a network's layers hand on, wherever they run.

use crate::cpu::{self, CpuMaps};
use crate::gpu::GpuMaps;
use crate::integer::PlanMaps;
use crate::onnx::GraphMaps;
use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use xray_kernels::{Pool, PoolKind};

const OVERLAPPING: Pool = Pool { kind: PoolKind::Max, kernel: 3, stride: 2, padding: 1 };

const CLASSIFIED_THERE: &str = "maps on a GPU are classified there";
const NO_VALUES: &str = "maps that are written down have no values";

/// Feature maps.
#[derive(Clone, Debug)]
pub(crate) enum Maps {
    /// burn's own operations take them from here: `[n, channels, h, w]`.
    Nchw(Tensor<4>),
    /// The blocks of xray-kernels do.
    Cpu(CpuMaps),
    /// The kernels of xray-gpu do.
    #[cfg_attr(
        not(feature = "wgpu"),
        expect(dead_code, reason = "of a device that this build does not have")
    )]
    Gpu(GpuMaps),
    /// They are written down as ONNX operations, and have no values.
    Graph(GraphMaps),
    /// They are the steps of a plan, and have no values.
    Plan(PlanMaps),
}

impl Maps {
    /// The mean of each map, `[n, channels]`.
    pub(crate) fn global_average(self) -> Tensor<2> {
        match self {
            Maps::Nchw(maps_nchw) => maps_nchw.flatten::<3>(2, 3).mean_dim(2).squeeze_dim::<2>(2),
            Maps::Cpu(maps) => cpu::global_average(maps),
            Maps::Gpu(_) => unreachable!("{CLASSIFIED_THERE}"),
            Maps::Graph(_) | Maps::Plan(_) => unreachable!("{NO_VALUES}"),
        }
    }

    /// Each map times its factor, `[n, channels]`.
    pub(crate) fn scaled(self, factors_nc: Tensor<2>) -> Self {
        match self {
            Maps::Nchw(maps_nchw) => Maps::Nchw(maps_nchw * factors_nc.unsqueeze_dims(&[2, 3])),
            Maps::Cpu(_) | Maps::Gpu(_) => unreachable!("squeeze-and-excitation is one operation there"),
            Maps::Graph(_) | Maps::Plan(_) => unreachable!("{NO_VALUES}"),
        }
    }

    /// The largest of each 3×3 pixels, every second in both directions, as behind the first convolution of large
    /// networks.
    pub(crate) fn overlapping_max(self) -> Self {
        match self {
            Maps::Nchw(maps_nchw) => {
                let options = MaxPoolOptions::new([3, 3]).with_stride([2, 2]);
                Maps::Nchw(max_pool2d(maps_nchw, options.with_padding([1, 1])))
            }
            Maps::Cpu(maps) => Maps::Cpu(cpu::pool(OVERLAPPING, maps)),
            Maps::Gpu(maps) => maps.pool(OVERLAPPING),
            Maps::Graph(maps) => Maps::Graph(maps.max_pooled(3, 1)),
            Maps::Plan(maps) => Maps::Plan(maps.max_pooled(OVERLAPPING)),
        }
    }

    /// `[n, channels, h, w]`, without gradients.
    pub(crate) fn into_nchw(self) -> Tensor<4> {
        match self {
            Maps::Nchw(maps_nchw) => maps_nchw,
            Maps::Cpu(maps) => maps.into_nchw(),
            Maps::Gpu(_) => unreachable!("{CLASSIFIED_THERE}"),
            Maps::Graph(_) | Maps::Plan(_) => unreachable!("{NO_VALUES}"),
        }
    }
}
