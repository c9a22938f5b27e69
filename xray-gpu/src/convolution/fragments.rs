//! Products by matrix instructions. A plane multiplies fragments of a group's tile that all of its units hold together;
//! which unit holds which number is the driver's secret, so sums leave through shared memory.
#![expect(unsafe_code, reason = "fragments that are loaded before they are read")]

use super::tile::Tile;
use crate::precision::{Instruction, Precision};
use cubecl::cmma::{self, Matrix, MatrixIdent, MatrixLayout};
use cubecl::prelude::*;

/// A group's tile and its planes, whatever the size of an instruction.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub struct Block {
    /// Rows of a group's tile.
    pub rows: usize,
    /// Columns of a group's tile.
    pub columns: usize,
    /// Planes along the rows and along the columns.
    pub planes: [usize; 2],
}

/// The blocks there are, and how fast one multiplies where nothing is wasted, against the first.
pub const BLOCKS: [(Block, f64); 6] = [
    (Block { rows: 128, columns: 128, planes: [2, 4] }, 1.0),
    (Block { rows: 128, columns: 64, planes: [2, 2] }, 0.9),
    (Block { rows: 64, columns: 128, planes: [2, 2] }, 0.9),
    (Block { rows: 64, columns: 64, planes: [2, 2] }, 0.75),
    (Block { rows: 128, columns: 32, planes: [4, 1] }, 0.65),
    (Block { rows: 32, columns: 32, planes: [2, 2] }, 0.4),
];

/// Terms of the contraction that a group loads at a time.
pub(super) const STEP: usize = 32;

/// Sums that a unit holds at most: as many as in the largest register tile.
const MOST_SUMS: usize = 64;

/// Factors between one row of a tile in shared memory and the next, beyond those it holds: without them the rows of a
/// fragment would lie in the same banks.
const PADDING: usize = 8;

/// A [`Block`] cut into fragments of an instruction.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) struct Fragments {
    instruction: Instruction,
    block: Block,
}

impl Fragments {
    /// None where the instruction's fragments do not fill the block, or a unit would hold too many sums.
    pub(super) fn new(block: Block, instruction: Instruction) -> Option<Self> {
        let fragments = Self { instruction, block };
        let Block { rows, columns, planes: [down, across] } = block;
        let units = fragments.units();
        let filled =
            rows.is_multiple_of(down * instruction.m) && columns.is_multiple_of(across * instruction.n);
        let held = rows * columns <= MOST_SUMS * units;
        // Units load fours of a row's terms or of a term's rows, and all load as many.
        let loaded = units.is_multiple_of(STEP / 4)
            && [rows, columns].iter().all(|side| (side * STEP / 4).is_multiple_of(units));
        let stepped = STEP.is_multiple_of(instruction.k) && instruction.k.is_multiple_of(4);
        let left = columns.max(units).is_multiple_of(columns.min(units))
            && fragments.strip().is_multiple_of(fragments.tile().down());
        (filled && held && loaded && stepped && left).then_some(fragments)
    }

    /// Units of a group.
    pub(crate) fn units(self) -> usize {
        self.instruction.plane * self.block.planes[0] * self.block.planes[1]
    }

    /// The tile, as units share its sums when they have left the fragments: neighbours take neighbouring columns.
    pub(crate) fn tile(self) -> Tile {
        let Block { rows, columns, .. } = self.block;
        let across = columns.min(self.units());
        let down = self.units() / across;
        Tile { rows, columns, register_rows: rows / down, register_columns: columns / across }
    }

    /// Bytes that a group shares: both tiles of factors, a strip of sums, and what channel sums take, of which those of
    /// batch norm's backward pass take most: two a column of each line of units.
    pub(super) fn shared_memory(self, precision: Precision) -> usize {
        let Block { rows, columns, .. } = self.block;
        let factors = precision.bytes() * (rows + columns) * (STEP + PADDING);
        factors + 4 * columns * (self.strip() + 2 * self.tile().down())
    }

    /// Fragments of a plane along the rows.
    const fn down(self) -> usize {
        self.block.rows / self.block.planes[0] / self.instruction.m
    }

    /// Fragments of a plane along the columns.
    const fn across(self) -> usize {
        self.block.columns / self.block.planes[1] / self.instruction.n
    }

    /// Rows of the tile that leave at a time: one fragment of each plane.
    const fn strip(self) -> usize {
        self.block.planes[0] * self.instruction.m
    }

    /// Distance of a side's rows in shared memory, of which each holds a side's terms.
    pub(super) const fn by_terms() -> usize {
        STEP + PADDING
    }

    /// Distance of a side's terms in shared memory, of which each holds `side` rows or columns.
    pub(super) const fn by_side(side: usize) -> usize {
        side + PADDING
    }
}

/// Sums of zero, for the fragments of a plane.
#[cube]
pub(super) fn zeros(#[comptime] fragments: Fragments) -> Sequence<Matrix<f32>> {
    let m = comptime!(fragments.instruction.m);
    let n = comptime!(fragments.instruction.n);
    let k = comptime!(fragments.instruction.k);
    let mut sums = Sequence::<Matrix<f32>>::new();
    #[unroll]
    for _i in 0..comptime!(fragments.down() * fragments.across()) {
        sums.push(Matrix::<f32>::from_value(
            MatrixIdent::Accumulator,
            m,
            n,
            k,
            MatrixLayout::Undefined,
            0.0f32,
        ));
    }
    sums
}

/// How a side's factors lie in shared memory.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) enum Layout {
    /// `[side][terms]`.
    ByTerms,
    /// `[terms][side]`.
    BySide,
}

impl Layout {
    /// Fours that a side of `side` rows or columns takes.
    pub(super) const fn fours(self, side: usize) -> usize {
        match self {
            Self::ByTerms => side * Fragments::by_terms() / 4,
            Self::BySide => STEP * Fragments::by_side(side) / 4,
        }
    }

    /// The distance between neighbours of the outer axis.
    const fn stride(self, side: usize) -> usize {
        match self {
            Self::ByTerms => Fragments::by_terms(),
            Self::BySide => Fragments::by_side(side),
        }
    }

    /// The layout of a fragment of the left side; `transposed`: of the right side.
    const fn matrix(self, transposed: bool) -> MatrixLayout {
        match (self, transposed) {
            (Self::ByTerms, false) | (Self::BySide, true) => MatrixLayout::RowMajor,
            (Self::BySide, false) | (Self::ByTerms, true) => MatrixLayout::ColMajor,
        }
    }
}

/// Where a fragment starts, in fours.
#[cube]
fn start(place: usize, term: usize, #[comptime] layout: Layout, #[comptime] side: usize) -> usize {
    if comptime!(layout == Layout::ByTerms) {
        (place * comptime!(Fragments::by_terms()) + term) / 4
    } else {
        (place + term * comptime!(Fragments::by_side(side))) / 4
    }
}

/// Adds the products of all [`STEP`] terms that lie in shared memory.
#[cube]
pub(super) fn multiply<E: Numeric>(
    left: &Shared<[Vector<E, Const<4>>]>,
    right: &Shared<[Vector<E, Const<4>>]>,
    sums: &Sequence<Matrix<f32>>,
    #[comptime] layouts: [Layout; 2],
    #[comptime] fragments: Fragments,
) {
    let rows = comptime!(fragments.block.rows);
    let columns = comptime!(fragments.block.columns);
    let planes = comptime!(fragments.block.planes);
    let m = comptime!(fragments.instruction.m);
    let n = comptime!(fragments.instruction.n);
    let k = comptime!(fragments.instruction.k);
    let across = comptime!(fragments.across());
    let plane = PLANE_POS as usize;
    let plane_y = plane / comptime!(planes[1]);
    let plane_x = plane % comptime!(planes[1]);
    // Not unrolled: drivers take long to compile the fragments of all steps.
    for step in 0..comptime!(STEP / k) {
        let mut held = Sequence::<Matrix<E>>::new();
        #[unroll]
        for j in 0..across {
            let place = (plane_x + j * comptime!(planes[1])) * n;
            let at = start(place, step * k, comptime!(layouts[1]), columns);
            let layout = comptime!(layouts[1].matrix(true));
            // SAFETY: it is loaded in the next line.
            let mut factor = unsafe { Matrix::<E>::uninitialized(MatrixIdent::B, m, n, k, layout) };
            let end = comptime!(layouts[1].fours(columns));
            cmma::load(&mut factor, &right[at..end], comptime!(layouts[1].stride(columns) as u32));
            held.push(factor);
        }
        #[unroll]
        for i in 0..comptime!(fragments.down()) {
            let place = (plane_y + i * comptime!(planes[0])) * m;
            let at = start(place, step * k, comptime!(layouts[0]), rows);
            let layout = comptime!(layouts[0].matrix(false));
            // SAFETY: it is loaded in the next line.
            let mut factor = unsafe { Matrix::<E>::uninitialized(MatrixIdent::A, m, n, k, layout) };
            let end = comptime!(layouts[0].fours(rows));
            cmma::load(&mut factor, &left[at..end], comptime!(layouts[0].stride(rows) as u32));
            #[unroll]
            for j in 0..across {
                let sum = &sums[comptime!(i * across + j)];
                cmma::execute(&factor, &held[j], sum, sum);
            }
        }
    }
}

/// The sums, each with the unit that has it by [`Fragments::tile`]: strip by strip through shared memory.
#[cube]
pub(super) fn leave(sums: &Sequence<Matrix<f32>>, #[comptime] fragments: Fragments) -> Array<f32> {
    let columns = comptime!(fragments.block.columns);
    let planes = comptime!(fragments.block.planes);
    let m = comptime!(fragments.instruction.m);
    let n = comptime!(fragments.instruction.n);
    let tile = comptime!(fragments.tile());
    let down = comptime!(tile.down());
    let across = comptime!(tile.across());
    let held_columns = comptime!(tile.register_columns);
    let strip_rows = comptime!(fragments.strip() / tile.down());
    let length = comptime!(fragments.strip() * columns);
    let mut strip = Shared::<[f32]>::new_slice(length);
    let mut own = Array::<f32>::new(comptime!(tile.register_rows * tile.register_columns));
    let unit = UNIT_POS as usize;
    let ux = unit % across;
    let uy = unit / across;
    let plane = PLANE_POS as usize;
    let plane_y = plane / comptime!(planes[1]);
    let plane_x = plane % comptime!(planes[1]);
    #[unroll]
    for i in 0..comptime!(fragments.down()) {
        sync_cube();
        #[unroll]
        for j in 0..comptime!(fragments.across()) {
            let at = plane_y * comptime!(m * columns) + (plane_x + j * comptime!(planes[1])) * n;
            let sum = &sums[comptime!(i * fragments.across() + j)];
            cmma::store(&mut strip[at..length], sum, comptime!(columns as u32), MatrixLayout::RowMajor);
        }
        sync_cube();
        #[unroll]
        for r in 0..strip_rows {
            #[unroll]
            for j in 0..held_columns {
                own[comptime!((i * strip_rows + r) * held_columns + j)] =
                    strip[(uy + r * down) * columns + ux + j * across];
            }
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hardware lists: NVIDIA, AMD and Apple, and lavapipe.
    const INSTRUCTIONS: [[usize; 4]; 6] =
        [[16, 16, 16, 32], [16, 8, 16, 32], [16, 8, 8, 32], [16, 16, 16, 64], [8, 8, 8, 32], [8, 8, 8, 8]];

    fn fitting(instruction: [usize; 4]) -> Vec<Fragments> {
        let [m, n, k, plane] = instruction;
        let instruction = Instruction { m, n, k, plane };
        BLOCKS.iter().filter_map(|(block, _)| Fragments::new(*block, instruction)).collect()
    }

    #[test]
    fn every_instruction_has_blocks() {
        for instruction in INSTRUCTIONS {
            let rows: Vec<_> = fitting(instruction).iter().map(|f| f.block.rows).collect();
            assert!(rows.contains(&32), "{instruction:?}: {rows:?}");
            // A plane of eight units holds few sums.
            assert_eq!(rows.contains(&128), instruction[3] > 8, "{instruction:?}: {rows:?}");
        }
    }

    #[test]
    fn fragments_and_units_both_fill_the_tile() {
        for fragments in INSTRUCTIONS.into_iter().flat_map(fitting) {
            let (tile, Block { rows, columns, planes }) = (fragments.tile(), fragments.block);
            let Instruction { m, n, .. } = fragments.instruction;
            assert_eq!([tile.rows, tile.columns, tile.units()], [rows, columns, fragments.units()]);
            assert_eq!(fragments.down() * planes[0] * m, rows, "{fragments:?}");
            assert_eq!(fragments.across() * planes[1] * n, columns, "{fragments:?}");
            assert_eq!(tile.down() * tile.register_rows, rows, "{fragments:?}");
            assert_eq!(tile.across() * tile.register_columns, columns, "{fragments:?}");
        }
    }

    #[test]
    fn blocks_that_fragments_do_not_fill_are_refused() {
        let instruction = Instruction { m: 16, n: 16, k: 16, plane: 32 };
        let check = |rows, columns, planes| Fragments::new(Block { rows, columns, planes }, instruction);
        assert!(check(64, 64, [2, 2]).is_some());
        assert_eq!(check(64, 40, [2, 2]), None); // half a fragment
        assert_eq!(check(32, 32, [4, 1]), None); // fewer rows than planes have
        assert_eq!(check(128, 128, [2, 2]), None); // 128 sums a unit
        assert_eq!(check(32, 32, [2, 2]).map(Fragments::units), Some(128));
    }
}
