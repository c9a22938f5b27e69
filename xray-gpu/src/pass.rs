//! A launch as a function of shapes, and what launches add up to.

use cubecl::prelude::*;
use std::ops::AddAssign;

/// Groups along an axis that every device allows (WebGPU's minimum).
const GROUPS_AN_AXIS: usize = 65_535;

/// One launch: how many groups of how many units, and what they do. Known from shapes, without a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The kernel.
    pub name: &'static str,
    /// Groups of the task; the third axis (phases, pieces) has its own.
    pub groups: [usize; 2],
    /// Units of a group.
    pub units: usize,
    /// Multiplications with an addition.
    pub multiply_adds: u64,
    /// Bytes of each map and parameter that is read or written, once each: the least that memory must move.
    pub bytes: u64,
}

impl Pass {
    /// One unit for each of `length` elements, each of which is read or written `floats` times.
    pub(crate) fn elements(name: &'static str, length: usize, floats: usize) -> Self {
        let groups = [length.div_ceil(ELEMENT_UNITS), 1];
        Self { name, groups, units: ELEMENT_UNITS, multiply_adds: 0, bytes: bytes(length * floats) }
    }

    /// One unit for every four of `length` elements, or for each where they are not taken in fours.
    pub(crate) fn in_lanes(name: &'static str, length: usize, fours: bool) -> Self {
        Self::elements(name, if fours { length / 4 } else { length }, 0)
    }

    /// All groups.
    pub fn work_groups(&self) -> usize {
        self.groups[0] * self.groups[1]
    }

    /// The grid: the first axis is folded into two where a device may not take it; kernels count along both.
    pub(crate) fn grid(&self) -> CubeCount {
        let [x, y] = fold(self.groups[0]);
        CubeCount::Static(x, y, u32::try_from(self.groups[1]).expect("pieces and phases are few"))
    }

    pub(crate) fn dim(&self) -> CubeDim {
        CubeDim::new_1d(self.units as u32)
    }
}

/// Units of a group of element-wise passes.
pub(crate) const ELEMENT_UNITS: usize = 256;

/// Bytes of floats.
pub(crate) fn bytes(floats: usize) -> u64 {
    4 * floats as u64
}

/// `groups` on two axes of at most 65,535 each; up to one row of groups more than asked for.
fn fold(groups: usize) -> [u32; 2] {
    let rows = groups.div_ceil(GROUPS_AN_AXIS).max(1);
    assert!(rows <= GROUPS_AN_AXIS, "{groups} groups are more than two axes hold");
    [groups.div_ceil(rows) as u32, rows as u32]
}

/// What launches added up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Launches.
    pub launches: u64,
    /// Work groups.
    pub work_groups: u64,
    /// Multiplications with an addition; two operations each, as GPUs are rated.
    pub multiply_adds: u64,
    /// Bytes that memory must at least move.
    pub bytes: u64,
    /// Times that the host waited for the device: reads, and [`Gpu::wait`](crate::Gpu::wait).
    pub reads: u64,
}

impl AddAssign<&Pass> for Counts {
    fn add_assign(&mut self, pass: &Pass) {
        self.launches += 1;
        self.work_groups += pass.work_groups() as u64;
        self.multiply_adds += pass.multiply_adds;
        self.bytes += pass.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_grids_fold_into_two_axes() {
        for groups in [0, 1, 264, 65_535, 65_536, 131_071, 1_000_003, 4_000_000_000] {
            let [x, y] = fold(groups).map(|n| n as usize);
            assert!(x <= GROUPS_AN_AXIS && y <= GROUPS_AN_AXIS && x * y >= groups, "{groups}: {x} x {y}");
            assert!(x * y < groups.max(1) + y, "{groups}: {x} x {y} leaves more than a row idle");
        }
    }

    #[test]
    fn passes_add_up() {
        let mut counts = Counts::default();
        counts += &Pass::elements("a", 1000, 3);
        counts += &Pass { name: "b", groups: [10, 4], units: 64, multiply_adds: 7, bytes: 8 };
        assert_eq!(
            counts,
            Counts { launches: 2, work_groups: 44, multiply_adds: 7, bytes: 12_008, reads: 0 }
        );
    }
}
