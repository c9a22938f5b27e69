//! The gradient's norm, clipping and the check for finite numbers, all on the device: the host reads a ring of past
//! steps when it writes a log line, and never waits in between.
#![expect(unsafe_code, reason = "launches without bounds checks; lengths are checked before")]

use crate::buffer::{Buffer, Part};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::pass::{Pass, bytes};
use crate::reduce::{REDUCE_UNITS, group_sum};
use cubecl::prelude::*;

/// What the device remembers of steps, and whether it goes on.
///
/// A step whose loss or gradient is not finite changes no parameter, nor does any after it, so the parameters stay
/// those before it however late the host looks.
#[derive(Debug)]
pub struct Watch {
    /// `[rows][3]`: loss, norm, whether both were finite.
    ring: Buffer,
    rows: usize,
    /// What gradients are multiplied by, and whether steps have ended.
    control: Buffer,
}

/// What a step left in the ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRecord {
    /// The loss.
    pub loss: f32,
    /// The gradient's norm, before clipping.
    pub norm: f32,
    /// Whether both were finite, and those of every step before.
    pub applied: bool,
}

const ROW: usize = 3;

/// Squares that a group adds up.
const CHUNK: usize = 4096;

#[cube(launch_unchecked)]
fn squares(gradient: &[f32], partials: &mut [f32], at: usize, length: usize) {
    let mut place = Shared::<[f32]>::new_slice(REDUCE_UNITS);
    let group = CUBE_POS_X as usize;
    let unit = UNIT_POS as usize;
    let last = ((group + 1) * CHUNK).min(length);
    let mut sum = 0.0f32;
    let mut i = group * CHUNK + unit;
    while i < last {
        let value = gradient[at + i];
        sum += value * value;
        i += REDUCE_UNITS;
    }
    let sum = group_sum(&mut place, sum);
    if unit == 0 {
        partials[group] = sum;
    }
}

/// Whether the exponent is not that of infinities and NaN. A comparison with itself may be compiled away.
#[cube]
fn finite(value: f32) -> bool {
    (u32::reinterpret(value) & 0x7f80_0000u32) != 0x7f80_0000u32
}

/// One group: the norm, the factor of clipping, and whether this step counts.
#[cube(launch_unchecked)]
fn judge(
    partials: &[f32],
    loss: &[f32],
    ring: &mut [f32],
    control: &mut [f32],
    loss_at: usize,
    groups: usize,
    row: usize,
    clip: f32,
) {
    let mut place = Shared::<[f32]>::new_slice(REDUCE_UNITS);
    let unit = UNIT_POS as usize;
    let mut sum = 0.0f32;
    let mut i = unit;
    while i < groups {
        sum += partials[i];
        i += REDUCE_UNITS;
    }
    let sum = group_sum(&mut place, sum);
    if unit == 0 {
        let norm = sum.sqrt();
        let mut scale = 1.0f32;
        if clip > 0.0f32 && norm > clip {
            scale = clip / norm;
        }
        let mut halted = control[1];
        let loss = loss[loss_at];
        if !finite(sum) || !finite(loss) {
            halted = 1.0f32;
        }
        control[0] = scale;
        control[1] = halted;
        ring[row] = loss;
        ring[row + 1] = norm;
        ring[row + 2] = 1.0f32 - halted;
    }
}

impl Watch {
    /// Room for `rows` steps.
    ///
    /// # Errors
    /// If the device makes no buffer.
    ///
    /// # Panics
    /// If there is no row.
    pub fn new(gpu: &Gpu, rows: usize) -> Result<Self, Error> {
        assert!(rows > 0, "a ring of no rows");
        Ok(Self {
            ring: Buffer::of(gpu, &vec![0.0; rows * ROW])?,
            rows,
            control: Buffer::of(gpu, &[1.0, 0.0])?,
        })
    }

    fn row(&self, step: u64) -> usize {
        (step % self.rows as u64) as usize * ROW
    }

    pub(super) fn control(&self) -> &Buffer {
        &self.control
    }

    /// Of the gradient and the loss, one float, of a step: the norm, the factor that clips it to `clip` (0: never), and
    /// whether both are finite. A norm above 1.8e19 counts as infinite, since its square is.
    ///
    /// # Errors
    /// If the device makes no buffer for the sums.
    ///
    /// # Panics
    /// If the loss is not one float.
    pub fn judge(
        &self,
        gpu: &Gpu,
        gradient: Part<'_>,
        loss: Part<'_>,
        step: u64,
        clip: f32,
    ) -> Result<(), Error> {
        loss.expect(1, "the loss");
        let [first, second] = judge_passes(gradient.len());
        let groups = first.groups[0];
        let partials = Buffer::empty(gpu, groups)?;
        // SAFETY: the parts have their lengths, and a group writes one partial sum.
        unsafe {
            squares::launch_unchecked(
                gpu.launch(&first),
                gpu.grid(&first),
                first.dim(),
                gradient.argument(),
                partials.argument(),
                gradient.start(),
                gradient.len(),
            );
            judge::launch_unchecked(
                gpu.launch(&second),
                gpu.grid(&second),
                second.dim(),
                partials.argument(),
                loss.argument(),
                self.ring.argument(),
                self.control.argument(),
                loss.start(),
                groups,
                self.row(step),
                clip,
            );
        }
        Ok(())
    }

    /// The records of `count` steps that end before step `end`, oldest first; waits for the last of them.
    ///
    /// # Errors
    /// If the device failed.
    ///
    /// # Panics
    /// If the ring does not hold as many.
    pub fn records(&self, gpu: &Gpu, end: u64, count: usize) -> Result<Vec<StepRecord>, Error> {
        assert!(count <= self.rows && count as u64 <= end, "{count} steps of a ring of {}", self.rows);
        let ring = self.ring.read(gpu)?;
        let record = |step| {
            let row = &ring[self.row(step)..][..ROW];
            StepRecord { loss: row[0], norm: row[1], applied: row[2] == 1.0 }
        };
        Ok((end - count as u64..end).map(record).collect())
    }
}

/// The launches of [`Watch::judge`] over a gradient of `length` floats.
///
/// # Panics
/// If it has more than 268 million.
pub fn judge_passes(length: usize) -> [Pass; 2] {
    let groups = length.div_ceil(CHUNK);
    assert!(groups <= 65_535, "a gradient of {length} floats");
    let pass = |name, groups, floats| Pass {
        name,
        groups: [groups, 1],
        units: REDUCE_UNITS,
        multiply_adds: 0,
        bytes: bytes(floats),
    };
    [pass("squares", groups, length + groups), pass("judge", 1, groups + 1)]
}
