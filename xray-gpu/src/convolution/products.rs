//! How a device makes products: from which tiles, and with which instructions.

use super::forward::Product;
use super::fragments::{BLOCKS, Block, Fragments};
use super::pending::pending_passes;
use super::tile::{Plan, TILES, Tile};
use super::weight_gradient::WeightGradient;
use crate::gpu::Limits;
use crate::map::MapShape;
use crate::pass::Pass;
use crate::precision::{Instruction, Precision};
use crate::width::Width;
use xray_kernels::ConvSpec;

/// Tables of tiles, of which each product takes one by its shape, and the precision of its factors.
///
/// By default those of a device that multiplies in float32.
#[derive(Clone, Debug)]
pub struct Products {
    tiles: Vec<(Tile, f64)>,
    width: Width,
    matrices: Option<Matrices>,
}

/// Products by matrix instructions.
#[derive(Clone, Debug)]
struct Matrices {
    precision: Precision,
    instruction: Instruction,
    /// What a group may take.
    limits: Limits,
    /// The blocks that fit, as tiles, and their fragments.
    tiles: Vec<(Tile, f64)>,
    fragments: Vec<Fragments>,
}

/// The instructions that one product is made by; none of them: registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matrix {
    pub(super) precision: Precision,
    pub(super) fragments: Fragments,
}

impl Default for Products {
    fn default() -> Self {
        Self::of(Width::default())
    }
}

impl Products {
    /// In float32, on a device so wide.
    pub(crate) fn of(width: Width) -> Self {
        Self { tiles: TILES.to_vec(), width, matrices: None }
    }

    /// On a device so wide.
    pub(crate) fn with_width(self, width: Width) -> Self {
        Self { width, ..self }
    }

    /// How many groups keep the device busy.
    pub fn width(&self) -> Width {
        self.width
    }

    /// With factors of another precision, where one of the blocks suits the instruction and the memory of a group.
    pub(crate) fn with_instruction(
        self,
        precision: Precision,
        instruction: Instruction,
        limits: Limits,
    ) -> Option<Self> {
        let matrices = Matrices::new(precision, instruction, limits, &BLOCKS)?;
        Some(Self { matrices: Some(matrices), ..self })
    }

    /// With factors of float32.
    pub(crate) fn in_registers(&self) -> Self {
        Self { matrices: None, ..self.clone() }
    }

    /// With another table of tiles for float32.
    ///
    /// # Panics
    /// If it is empty, or its units could not load a tile.
    pub(crate) fn with_tiles(self, tiles: &[(Tile, f64)]) -> Self {
        assert!(!tiles.is_empty(), "a table of no tiles");
        tiles.iter().for_each(|(tile, _)| tile.check());
        Self { tiles: tiles.to_vec(), ..self }
    }

    /// With another table of blocks for matrix instructions; none where no block suits them, or there are no
    /// instructions.
    pub(crate) fn with_blocks(self, blocks: &[(Block, f64)]) -> Option<Self> {
        let Matrices { precision, instruction, limits, .. } = self.matrices?;
        let matrices = Matrices::new(precision, instruction, limits, blocks)?;
        Some(Self { matrices: Some(matrices), ..self })
    }

    /// What factors are rounded to.
    pub fn precision(&self) -> Precision {
        self.matrices.as_ref().map_or(Precision::F32, |matrices| matrices.precision)
    }

    /// As [`Plan::choose`]. `fours`: whether what is read is read in fours, as matrix instructions need it.
    pub(super) fn plan(
        &self,
        fours: bool,
        [rows, columns]: [usize; 2],
        times: usize,
        depth: usize,
        least: usize,
    ) -> (Plan, Option<Matrix>) {
        let enough = self.width.groups();
        let Some(matrices) = self.matrices.as_ref().filter(|_| fours) else {
            return (Plan::choose(&self.tiles, rows, columns, times, depth, least, enough), None);
        };
        let plan = Plan::choose(&matrices.tiles, rows, columns, times, depth, least, enough);
        let place = matrices.tiles.iter().position(|(tile, _)| *tile == plan.tile);
        let fragments = matrices.fragments[place.expect("chosen from this table")];
        (plan, Some(Matrix { precision: matrices.precision, fragments }))
    }

    /// The launches of [`convolve`](crate::convolve) and [`convolve_with_sums`](crate::convolve_with_sums).
    pub fn forward_passes(&self, spec: &ConvSpec, input: MapShape) -> Vec<Pass> {
        Product::forward(self, spec, input, input.in_fours()).passes(0)
    }

    /// The launches of [`convolve_folded`](crate::convolve_folded).
    pub fn convolve_folded_passes(&self, spec: &ConvSpec, input: MapShape, skip: bool) -> Vec<Pass> {
        Product::forward(self, spec, input, input.in_fours()).folded_passes(skip)
    }

    /// Pixels of a tile of which [`convolve_with_sums`](crate::convolve_with_sums) takes sums.
    pub fn sum_rows(&self, spec: &ConvSpec, input: MapShape) -> usize {
        Product::forward(self, spec, input, input.in_fours()).sum_rows()
    }

    /// The launches of [`input_gradient`](crate::input_gradient).
    pub fn input_gradient_passes(&self, spec: &ConvSpec, input: MapShape) -> Vec<Pass> {
        let fours = spec.out_channels.is_multiple_of(4);
        Product::backward(self, spec, input, fours).passes(0)
    }

    /// The launches of [`input_gradient_with_sums`](crate::input_gradient_with_sums).
    pub fn input_gradient_with_sums_passes(
        &self,
        spec: &ConvSpec,
        input: MapShape,
        accumulate: bool,
    ) -> Vec<Pass> {
        let fours = spec.out_channels.is_multiple_of(4);
        Product::backward(self, spec, input, fours).passes_with_sums(accumulate)
    }

    /// Tiles of which [`input_gradient_with_sums`](crate::input_gradient_with_sums) takes sums.
    pub fn gradient_sum_tiles(&self, spec: &ConvSpec, input: MapShape) -> usize {
        let fours = spec.out_channels.is_multiple_of(4);
        Product::backward(self, spec, input, fours).sum_tiles()
    }

    /// The launches of [`weight_gradient`](crate::weight_gradient).
    pub fn weight_gradient_passes(&self, spec: &ConvSpec, input: MapShape) -> Vec<Pass> {
        self.weights(spec, input).passes()
    }

    /// The launches of weight gradients that are pushed in this order to a
    /// [`PendingGradients`](crate::PendingGradients) of that limit, and of the flush at the end.
    pub fn pending_gradients_passes(
        &self,
        limit: usize,
        layers: impl IntoIterator<Item = (ConvSpec, MapShape)>,
    ) -> Vec<Pass> {
        pending_passes(limit, layers.into_iter().map(|(spec, input)| self.weights(&spec, input)))
    }

    fn weights(&self, spec: &ConvSpec, input: MapShape) -> WeightGradient {
        let fours = input.in_fours() && spec.out_channels.is_multiple_of(4);
        WeightGradient::new(self, spec, input, fours)
    }
}

impl Matrices {
    fn new(
        precision: Precision,
        instruction: Instruction,
        limits: Limits,
        blocks: &[(Block, f64)],
    ) -> Option<Self> {
        let (mut tiles, mut fragments) = (Vec::new(), Vec::new());
        for &(block, speed) in blocks {
            let Some(fits) = Fragments::new(block, instruction) else { continue };
            // Two blocks of a size are one tile: the first of them is taken.
            let known = tiles.iter().any(|&(tile, _)| tile == fits.tile());
            let allowed =
                fits.shared_memory(precision) <= limits.shared_memory && fits.units() <= limits.units;
            if allowed && !known {
                tiles.push((fits.tile(), speed));
                fragments.push(fits);
            }
        }
        (!tiles.is_empty()).then_some(Self { precision, instruction, limits, tiles, fragments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOPPER: Instruction = Instruction { m: 16, n: 16, k: 16, plane: 32 };

    fn limits(shared_memory: usize, units: usize) -> Limits {
        Limits { shared_memory, units, groups: [65_535; 3], buffer: 1 << 30, plane: [32, 32] }
    }

    fn products(precision: Precision, shared_memory: usize) -> Products {
        let limits = limits(shared_memory, 1024);
        Products::default().with_instruction(precision, HOPPER, limits).expect("blocks that fit")
    }

    fn group(products: &Products, input: MapShape, spec: &ConvSpec) -> (usize, usize) {
        let pass = products.forward_passes(spec, input)[0];
        (pass.work_groups(), pass.units)
    }

    const SPEC: ConvSpec = ConvSpec { in_channels: 64, out_channels: 128, kernel: 3, stride: 1, padding: 1 };

    #[test]
    fn blocks_follow_shape_and_memory() {
        let input = MapShape { images: 64, height: 56, width: 56, channels: 64 };
        assert_eq!(group(&products(Precision::F16, 48 << 10), input, &SPEC), (1568, 256));
        // 128 x 128 shares 38 KiB: factors take 20, a strip of sums 16, and sums of two lines of 128 units 2.
        assert_eq!(group(&products(Precision::F16, 38 << 10), input, &SPEC), (1568, 256));
        assert_eq!(group(&products(Precision::F16, (38 << 10) - 1), input, &SPEC), (3136, 128));
    }

    #[test]
    fn what_is_not_read_in_fours_is_multiplied_in_registers() {
        let (spec, products) = (ConvSpec { in_channels: 3, ..SPEC }, products(Precision::Bf16, 48 << 10));
        let input = MapShape { images: 2, height: 30, width: 30, channels: 3 };
        assert_eq!(products.forward_passes(&spec, input), Products::default().forward_passes(&spec, input));
        assert_eq!(products.precision(), Precision::Bf16);
        assert_eq!(products.in_registers().precision(), Precision::F32);
    }

    #[test]
    fn too_little_leaves_no_block() {
        let with = |shared_memory, units| {
            let limits = limits(shared_memory, units);
            Products::default().with_instruction(Precision::F16, HOPPER, limits)
        };
        assert!(with(16 << 10, 128).is_some());
        assert!(with(4 << 10, 128).is_none());
        assert!(with(16 << 10, 64).is_none());
    }
}
