//! A network in integers, on the CPU: maps of bytes, weights of signed bytes, sums of 32 bits (module `integer` of
//! xray-kernels). The means of the last maps, the factors of squeeze-and-excitation and the last layer are float32.
//!
//! The layers' own `forward` writes a [`Plan`] when it is given [`Maps::Plan`](crate::layers::Maps), with batch norm in the
//! weights. A [`Calibration`] computes the plan in float32 and watches the range of each map; [`IntegerNetwork`] computes
//! it in integers that reach over those ranges, and `onnx` writes it down for other programs.

mod calibration;
mod network;
mod plan;
mod spread;

pub(crate) use calibration::Calibration;
pub(crate) use network::{IntegerNetwork, LastMaps};
pub(crate) use plan::{Gate, Operation, Plan, PlanMaps, Step, folded_weights};
pub use spread::RangeRule;
