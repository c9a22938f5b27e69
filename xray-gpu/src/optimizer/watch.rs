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
///
/// With a scaled loss ([`Watch::scaled`]) gradients arrive multiplied by a factor, which keeps the small ones within the
/// range of 16 bits: [`Watch::judge`] divides it out of the norm and of what the optimizer sees. A gradient that is not
/// finite is then a factor too large: that one step changes nothing, and the factor is halved. Only at a factor of 1
/// does it end all steps, as a loss that is not finite always does.
#[derive(Debug)]
pub struct Watch {
    /// `[rows][4]`: loss, norm, what became of the step, and the factor of its loss.
    ring: Buffer,
    rows: usize,
    /// Seven floats: see `judge`.
    control: Buffer,
    scaled: bool,
}

/// What a loss is scaled by, and for how long: a checkpoint keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScale {
    /// The factor, a power of two from 1 to 2^24.
    pub factor: f32,
    /// Steps since it last changed; after [`LossScale::STEADY`] it is doubled.
    pub steps: u32,
    /// Steps that were skipped so far: they count in no correction of a moment's bias.
    pub skipped: u32,
}

impl LossScale {
    /// Steps with a finite gradient after which the factor is doubled, as PyTorch's `GradScaler` does.
    pub const STEADY: u32 = 2000;

    /// Of numbers that a file held, in the order of the fields; none if no loss is scaled so.
    pub fn new([factor, steps, skipped]: [f32; 3]) -> Option<Self> {
        let is_power_of_two = factor.to_bits() & 0x007f_ffff == 0;
        let is_factor = is_power_of_two && (1.0..=MOST_SCALE).contains(&factor);
        let is_count = |count: f32, end: f32| count.fract() == 0.0 && (0.0..end).contains(&count);
        let are_counts = is_count(steps, Self::STEADY as f32) && is_count(skipped, MOST_SKIPPED);
        (is_factor && are_counts).then_some(Self { factor, steps: steps as u32, skipped: skipped as u32 })
    }

    /// What [`LossScale::new`] takes.
    pub fn numbers(self) -> [f32; 3] {
        [self.factor, self.steps as f32, self.skipped as f32]
    }
}

impl Default for LossScale {
    /// 2^16, where PyTorch's `GradScaler` starts.
    fn default() -> Self {
        Self { factor: 65_536.0, steps: 0, skipped: 0 }
    }
}

/// The largest factor.
const MOST_SCALE: f32 = 16_777_216.0;

/// More steps than these are not counted one by one in float32.
const MOST_SKIPPED: f32 = 16_777_216.0;

/// What a step left in the ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRecord {
    /// The loss.
    pub loss: f32,
    /// The gradient's norm, before clipping.
    pub norm: f32,
    /// Whether the parameters were changed: both were finite, and steps had not ended before.
    pub applied: bool,
    /// Whether only this step changed nothing, because the scaled gradient was not finite; the next ones go on.
    pub skipped: bool,
    /// What the loss was multiplied by before it was propagated; 1 where it is not scaled.
    pub scale: f32,
}

/// What became of a step, as the ring holds it.
const APPLIED: f32 = 1.0;
const SKIPPED: f32 = 2.0;

const ROW: usize = 4;

/// Squares that a group adds up.
const CHUNK: usize = 4096;

/// The start and the length are in `N` floats.
#[cube(launch_unchecked)]
fn squares<N: Size>(gradient: &[Vector<f32, N>], partials: &mut [f32], at: usize, length: usize) {
    let mut place = Shared::<[f32]>::new_slice(REDUCE_UNITS);
    let group = CUBE_POS_X as usize;
    let unit = UNIT_POS as usize;
    let chunk = CHUNK / N::value();
    let last = ((group + 1) * chunk).min(length);
    let mut sums = Vector::<f32, N>::new(0.0f32);
    let mut i = group * chunk + unit;
    while i < last {
        let value = gradient[at + i];
        sums += value * value;
        i += REDUCE_UNITS;
    }
    let mut sum = 0.0f32;
    #[unroll]
    for lane in 0..N::value() {
        sum += sums.extract(lane);
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

/// One group: the norm, the factor of the gradient, and what becomes of the step.
///
/// `control`: the factor of the gradient, whether this step changes nothing, the loss's factor, steps since it changed,
/// whether all steps have ended, the most that the loss's factor grows to, and how many steps were skipped.
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
        let scale = control[2];
        let mut steps = control[3];
        let mut ended = control[4];
        // A power of two: nothing is rounded.
        let inverse = 1.0f32 / scale;
        let norm = sum.sqrt() * inverse;
        let mut factor = inverse;
        if clip > 0.0f32 && norm > clip {
            factor = clip / norm * inverse;
        }
        let loss = loss[loss_at];
        let mut next = scale;
        let mut skipped = 0.0f32;
        if !finite(loss) || (!finite(sum) && scale <= 1.0f32) {
            ended = 1.0f32;
        } else if !finite(sum) {
            skipped = 1.0f32;
            next = scale * 0.5f32;
            steps = 0.0f32;
        } else {
            steps += 1.0f32;
            if steps >= comptime!(LossScale::STEADY as f32) {
                steps = 0.0f32;
                if scale < control[5] {
                    next = scale * 2.0f32;
                }
            }
        }
        let mut verdict = APPLIED.runtime();
        if skipped > 0.0f32 {
            verdict = SKIPPED.runtime();
        }
        if ended > 0.0f32 {
            verdict = 0.0f32;
        }
        control[0] = factor;
        control[1] = ended.max(skipped);
        control[2] = next;
        control[3] = steps;
        control[4] = ended;
        if ended == 0.0f32 {
            control[6] += skipped;
        }
        ring[row] = loss;
        ring[row + 1] = norm;
        ring[row + 2] = verdict;
        ring[row + 3] = scale;
    }
}

/// Multiplies by the loss's factor.
#[cube(launch_unchecked)]
fn scale(gradient: &mut [f32], control: &[f32], at: usize, length: usize) {
    let i = ABSOLUTE_POS;
    if i < length {
        gradient[at + i] *= control[2];
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
        Self::with_control(gpu, rows, [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    }

    /// The same for gradients of a scaled loss.
    ///
    /// # Errors
    /// If the device makes no buffer.
    ///
    /// # Panics
    /// If there is no row, or [`LossScale::new`] does not make such a scale.
    pub fn scaled(gpu: &Gpu, rows: usize, scale: LossScale) -> Result<Self, Error> {
        let numbers @ [factor, steps, skipped] = scale.numbers();
        assert_eq!(LossScale::new(numbers), Some(scale), "a scale of losses");
        let control = [1.0, 0.0, factor, steps, 0.0, MOST_SCALE, skipped];
        Ok(Self { scaled: true, ..Self::with_control(gpu, rows, control)? })
    }

    fn with_control(gpu: &Gpu, rows: usize, control: [f32; 7]) -> Result<Self, Error> {
        assert!(rows > 0, "a ring of no rows");
        let ring = Buffer::of(gpu, &vec![0.0; rows * ROW])?;
        Ok(Self { ring, rows, control: Buffer::of(gpu, &control)?, scaled: false })
    }

    /// Whether the loss is scaled.
    pub fn is_scaled(&self) -> bool {
        self.scaled
    }

    /// Multiplies the loss's gradient, which is to be propagated, by the loss's factor: a launch where the loss is scaled,
    /// nothing otherwise.
    pub fn scale_gradient(&self, gpu: &Gpu, gradient: Part<'_>) {
        if !self.scaled {
            return;
        }
        let pass = scale_pass(gradient.len());
        // SAFETY: the part has its length.
        unsafe {
            scale::launch_unchecked(
                gpu.launch(&pass),
                gpu.grid(&pass),
                pass.dim(),
                gradient.argument(),
                self.control.argument(),
                gradient.start(),
                gradient.len(),
            );
        }
    }

    /// The loss's factor after everything launched before; waits for it.
    ///
    /// # Errors
    /// If the device failed.
    pub fn loss_scale(&self, gpu: &Gpu) -> Result<LossScale, Error> {
        let control = self.control.read(gpu)?;
        Ok(LossScale { factor: control[2], steps: control[3] as u32, skipped: control[6] as u32 })
    }

    fn row(&self, step: u64) -> usize {
        (step % self.rows as u64) as usize * ROW
    }

    pub(super) fn control(&self) -> &Buffer {
        &self.control
    }

    /// Of the gradient and the loss, one float, of a step: the norm, the factor that clips it to `clip` (0: never), and
    /// whether both are finite. A norm above 1.8e19 counts as infinite, since its square is. The loss is not scaled, and
    /// the gradient's scale is not part of norm and clipping.
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
        let fours = [gradient.start(), gradient.len()].iter().all(|floats| floats.is_multiple_of(4));
        let lanes = if fours { 4 } else { 1 };
        // SAFETY: the parts have their lengths, and a group writes one partial sum.
        unsafe {
            squares::launch_unchecked(
                gpu.launch(&first),
                gpu.grid(&first),
                first.dim(),
                lanes,
                gradient.argument(),
                partials.argument(),
                gradient.start() / lanes,
                gradient.len() / lanes,
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
            StepRecord {
                loss: row[0],
                norm: row[1],
                applied: row[2] == APPLIED,
                skipped: row[2] == SKIPPED,
                scale: row[3],
            }
        };
        Ok((end - count as u64..end).map(record).collect())
    }
}

/// The launch of [`Watch::scale_gradient`] of a scaled loss.
pub fn scale_pass(length: usize) -> Pass {
    Pass::elements("scale", length, 2)
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
