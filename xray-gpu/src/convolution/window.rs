//! Which pixels of a map a product reads and writes, and by which taps: the arithmetic of implicit products.
//!
//! Coordinates are unsigned, so they are compared before anything is subtracted.

use super::gather::GatherNumbers;
use crate::map::Sizes;
use cubecl::prelude::*;

/// The pixels that a launch's phase writes, and the taps that reach them. The forward pass has one phase, of all pixels
/// and taps; the input gradient has one for each remainder of a pixel's place by the stride.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Phase {
    /// The distance of its pixels along an axis, and of its taps.
    pub(super) every: usize,
    /// The place of its first pixel.
    pub(super) place_y: usize,
    pub(super) place_x: usize,
    /// Its pixels along an axis of an image, and in all images.
    pub(super) rows_y: usize,
    pub(super) rows_x: usize,
    pub(super) rows: usize,
    /// The first of its taps.
    pub(super) first_y: usize,
    pub(super) first_x: usize,
    /// Its taps along the second axis, and terms of its contraction.
    pub(super) taps_x: usize,
    pub(super) depth: usize,
}

#[cube]
pub(super) fn phase(
    index: usize,
    from: &Sizes,
    to: &Sizes,
    numbers: &GatherNumbers,
    #[comptime] backward: bool,
) -> Phase {
    let mut every = 1usize.runtime();
    if comptime!(backward) {
        every = numbers.stride;
    }
    let place_y = index / every;
    let place_x = index % every;
    let rows_y = (to.height + every - 1 - place_y) / every;
    let rows_x = (to.width + every - 1 - place_x) / every;
    let first_y = (place_y + numbers.padding) % every;
    let first_x = (place_x + numbers.padding) % every;
    let taps_y = (numbers.kernel + every - 1 - first_y) / every;
    let taps_x = (numbers.kernel + every - 1 - first_x) / every;
    Phase {
        every,
        place_y,
        place_x,
        rows_y,
        rows_x,
        rows: to.images * rows_y * rows_x,
        first_y,
        first_x,
        taps_x,
        depth: taps_y * taps_x * from.channels,
    }
}

/// What a row of the product reads.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Window {
    /// Its corner, counted from the padding's; past every border for a row that reads nothing.
    pub(super) y: usize,
    pub(super) x: usize,
    /// The first line of its image among the lines of all.
    pub(super) image_at: usize,
}

/// A row that reads nothing: past every border.
const OUTSIDE: usize = 1 << 30;

#[cube]
pub(super) fn window(
    row: usize,
    phase: &Phase,
    from: &Sizes,
    numbers: &GatherNumbers,
    #[comptime] backward: bool,
) -> Window {
    let mut y = row / phase.rows_x % phase.rows_y;
    let mut x = row % phase.rows_x;
    if comptime!(backward) {
        y += (phase.place_y + numbers.padding - phase.first_y) / phase.every;
        x += (phase.place_x + numbers.padding - phase.first_x) / phase.every;
    } else {
        y *= numbers.stride;
        x *= numbers.stride;
    }
    if row >= phase.rows {
        y = OUTSIDE.runtime();
    }
    Window { y, x, image_at: row / (phase.rows_x * phase.rows_y) * from.height }
}

/// A pixel that a tap reads.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Source {
    pub(super) inside: bool,
    /// Its place among all pixels, where it is inside.
    pub(super) pixel: usize,
}

#[cube]
pub(super) fn source(
    window: &Window,
    tap: usize,
    phase: &Phase,
    from: &Sizes,
    numbers: &GatherNumbers,
    #[comptime] backward: bool,
) -> Source {
    let tap_y = tap / phase.taps_x;
    let tap_x = tap % phase.taps_x;
    // What lies above and left of the place, as the map counts: taps go back from it, or forward from the padding.
    let mut y = window.y;
    let mut x = window.x;
    let mut less_y = tap_y;
    let mut less_x = tap_x;
    if comptime!(!backward) {
        y += tap_y;
        x += tap_x;
        less_y = numbers.padding;
        less_x = numbers.padding;
    }
    let inside = y >= less_y && y < from.height + less_y && x >= less_x && x < from.width + less_x;
    Source { inside, pixel: (window.image_at + y - less_y) * from.width + x - less_x }
}

/// The pixel that a row writes, among all pixels.
#[cube]
pub(super) fn written(row: usize, phase: &Phase, to: &Sizes, #[comptime] backward: bool) -> usize {
    let mut pixel = row;
    if comptime!(backward) {
        let y = row / phase.rows_x % phase.rows_y * phase.every + phase.place_y;
        let image = row / (phase.rows_x * phase.rows_y);
        pixel = (image * to.height + y) * to.width + row % phase.rows_x * phase.every + phase.place_x;
    }
    pixel
}
