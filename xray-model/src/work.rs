//! What a device was asked to do.

use serde::Serialize;
use std::fmt;

/// Sums over launches. A device that runs behind may not have done it yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceWork {
    /// Kernels launched.
    pub launches: u64,
    /// Their work groups.
    pub work_groups: u64,
    /// Multiplications with an addition.
    pub multiply_adds: u64,
    /// Bytes that memory must at least move.
    pub bytes: u64,
    /// Times that the host read something, and waited.
    pub reads: u64,
}

impl DeviceWork {
    /// This and more.
    #[cfg(feature = "wgpu")]
    pub(crate) fn and(self, more: Self) -> Self {
        DeviceWork {
            launches: self.launches + more.launches,
            work_groups: self.work_groups + more.work_groups,
            multiply_adds: self.multiply_adds + more.multiply_adds,
            bytes: self.bytes + more.bytes,
            reads: self.reads + more.reads,
        }
    }

    /// What was asked for since it was as `before`.
    pub fn since(self, before: Self) -> Self {
        DeviceWork {
            launches: self.launches - before.launches,
            work_groups: self.work_groups - before.work_groups,
            multiply_adds: self.multiply_adds - before.multiply_adds,
            bytes: self.bytes - before.bytes,
            reads: self.reads - before.reads,
        }
    }
}

impl fmt::Display for DeviceWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gigaflop, gigabytes) = (2e-9 * self.multiply_adds as f64, 1e-9 * self.bytes as f64);
        write!(f, "{} launches, {gigaflop:.2} GFLOP, {gigabytes:.2} GB", self.launches)
    }
}
