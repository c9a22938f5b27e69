//! The weight gradient of some images and blocks: patches of pixels that stay in the first cache while all taps
//! pass over them.
#![expect(unsafe_code, reason = "pointers into planes, handed to the register tile")]

use super::spec::ConvSpec;
use super::taps::forward_taps;
use super::weight_tile::{WeightRun, weight_form, weight_tile_limit};
use crate::isa::{Form, Isa};
use crate::lanes::LANES;
use crate::planes::Planes;
use crate::shape::MapShape;

/// Pixels of a patch: two blocks of the gradient take 8 KiB, the input about as much.
const PATCH: usize = 64;

/// Neighbouring inputs: channels of a pixel, or pixels of a planar row.
struct Neighbours {
    /// From the corner of the input block.
    offset: usize,
    /// Where their vectors begin in a block of the packed gradient.
    target: usize,
    /// The tile of one and of two blocks of output channels.
    forms: [Form<WeightRun>; 2],
}

/// The inner loops of a weight gradient.
pub(super) struct WeightPass {
    neighbours: Vec<Neighbours>,
    input_step: usize,
    /// Floats between the inputs of two rows of the gradient.
    pub(super) input_row: usize,
    gradient_first: usize,
    gradient_row: usize,
    width: usize,
}

/// One image, one block of input channels, one or two of output channels.
pub(super) struct WeightTarget {
    /// The corner of the input block.
    pub(super) input: *const f32,
    /// The corner of each block of the output's gradient.
    pub(super) gradient: [*const f32; 2],
    /// The packed gradient of each block of output channels for this block of input channels.
    pub(super) output: [*mut f32; 2],
    pub(super) blocks: usize,
    /// Rows of the gradient.
    pub(super) rows: usize,
}

impl WeightPass {
    pub(super) fn new(isa: Isa, spec: &ConvSpec, planes: &Planes, gradient: &MapShape) -> Self {
        let taps = forward_taps(spec, planes.halo, planes.row, planes.step);
        let most = weight_tile_limit(isa);
        let mut neighbours = Vec::new();
        // Pieces of nearly equal length: a short one would not keep the arithmetic units busy.
        let mut push = |offset: usize, target: usize, length: usize| {
            let pieces = length.div_ceil(most);
            for piece in 0..pieces {
                let (start, end) = (length * piece / pieces, length * (piece + 1) / pieces);
                let forms = [1, 2].map(|blocks| weight_form(isa, end - start, blocks.min(tile_blocks(isa))));
                neighbours.push(Neighbours { offset: offset + start, target: target + start * LANES, forms });
            }
        };
        if planes.step == LANES {
            // The channels of neighbouring pixels follow each other, here and in the packed gradient: a row of
            // the kernel is one list.
            for (y, line) in taps.chunks(spec.kernel).enumerate() {
                let target = y * spec.kernel * LANES * LANES;
                push(line[0].offset, target, spec.kernel * LANES);
            }
        } else {
            for channel in 0..planes.planar_channels {
                for (y, line) in taps.chunks(spec.kernel).enumerate() {
                    let target = (channel * spec.kernel + y) * spec.kernel * LANES;
                    push(channel * planes.plane + line[0].offset, target, spec.kernel);
                }
            }
        }
        Self {
            neighbours,
            input_step: planes.stride * planes.step,
            input_row: planes.stride * planes.row,
            gradient_first: gradient.offset(0, 0, 0, 0) - gradient.corner(0, 0),
            gradient_row: gradient.row(),
            width: gradient.width,
        }
    }

    /// Adds an image's products.
    ///
    /// # Safety
    /// The target's pointers are good for the planes that this pass describes, and nobody else uses its output
    /// meanwhile.
    pub(super) unsafe fn run(&self, target: &WeightTarget) {
        let strips = self.width.div_ceil(PATCH + PATCH / 2);
        let columns = self.width.div_ceil(strips);
        let rows = (PATCH / columns).max(1);
        for y in (0..target.rows).step_by(rows) {
            for x in (0..self.width).step_by(columns) {
                let patch = [y, x, rows.min(target.rows - y), columns.min(self.width - x)];
                // SAFETY: the patch lies in the planes.
                unsafe { self.patch(target, patch) };
            }
        }
    }

    unsafe fn patch(&self, target: &WeightTarget, [y, x, rows, columns]: [usize; 4]) {
        for neighbours in &self.neighbours {
            let other = target.blocks - 1;
            let gradient = self.gradient_first + y * self.gradient_row + x * LANES;
            // SAFETY: inside the planes and the packed gradient; with one block, both pointers are the first.
            unsafe {
                let run = WeightRun {
                    input: target.input.add(neighbours.offset + y * self.input_row + x * self.input_step),
                    input_step: self.input_step,
                    input_row: self.input_row,
                    gradient: [target.gradient[0].add(gradient), target.gradient[other].add(gradient)],
                    gradient_row: self.gradient_row,
                    rows,
                    columns,
                    output: [
                        target.output[0].add(neighbours.target),
                        target.output[other].add(neighbours.target),
                    ],
                    accumulate: true,
                };
                (neighbours.forms[other])(&run);
            }
        }
    }
}

/// Blocks of output channels that a tile takes.
pub(super) fn tile_blocks(isa: Isa) -> usize {
    super::tile::limits(isa).1
}
