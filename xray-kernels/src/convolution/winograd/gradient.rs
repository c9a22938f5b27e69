//! Tiles of 4 x 4 gradients of outputs to their 36 points, and sums over points back to 3 x 3 gradients of weights.
#![expect(unsafe_code, reason = "vector instructions and pointers")]

use super::input::InputStrip;
use super::{PATCH, POINTS, TILE, transform};
use crate::lanes::{Kernel, LANES, Lanes};

/// As for inputs, with tiles that do not overlap.
pub(super) struct GradientTransform<const ROWS: usize, const PART: usize>;

impl<const ROWS: usize, const PART: usize> Kernel for GradientTransform<ROWS, PART> {
    type Arguments = InputStrip;

    #[inline(always)]
    unsafe fn run<L: Lanes>(strip: &InputStrip) {
        // SAFETY: the caller's pointers are good for the strip's tiles and points.
        unsafe {
            for tile in 0..strip.tiles {
                let from = strip.from.add(tile * TILE * LANES);
                let mut columns = [[L::zero(); ROWS]; TILE];
                for (x, column) in columns.iter_mut().enumerate() {
                    *column = transform::gradient_part::<L, ROWS, PART>(transform::column(
                        from.add(x * LANES),
                        strip.row,
                    ));
                }
                let to = strip.to.add(tile * strip.tile);
                let [first, second, third, fourth] = columns;
                for y in 0..ROWS {
                    let points = transform::gradient([first[y], second[y], third[y], fourth[y]]);
                    transform::store(points, to.add(y * PATCH * strip.point), strip.point);
                }
            }
        }
    }
}

/// The sums of a block of output channels with some input channels.
pub(super) struct PointSums {
    /// The first channel's first point (in the order of pairs of rows), and the floats to the next point's.
    pub(super) from: *const f32,
    pub(super) point: usize,
    pub(super) channels: usize,
    /// The first channel's first tap, and the floats to the next tap's.
    pub(super) to: *mut f32,
    pub(super) tap: usize,
}

pub(super) struct WeightGradientTransform;

impl Kernel for WeightGradientTransform {
    type Arguments = PointSums;

    #[inline(always)]
    unsafe fn run<L: Lanes>(sums: &PointSums) {
        // SAFETY: the caller's pointers are good for the channels' points and taps.
        unsafe {
            for channel in 0..sums.channels {
                let from = sums.from.add(channel * LANES);
                let mut points = [[L::zero(); PATCH]; PATCH];
                for number in 0..POINTS {
                    let sum = L::load(from.add(number * sums.point));
                    points[number % PATCH][transform::PAIRS[number / PATCH]] = sum;
                }
                let mut columns = [[L::zero(); 3]; PATCH];
                for (column, points) in columns.iter_mut().zip(&points) {
                    *column = transform::weight_gradient(*points);
                }
                for y in 0..3 {
                    let to = sums.to.add(channel * LANES + y * 3 * sums.tap);
                    let [left, middle, right] = transform::weight_gradient(transform::row(&columns, y));
                    left.store(to);
                    middle.store(to.add(sums.tap));
                    right.store(to.add(2 * sums.tap));
                }
            }
        }
    }
}
