//! Backward: weight gradient and input gradient of a piece of an image while the gradient of its output is in the cache.
#![expect(unsafe_code, reason = "threads write disjoint planes of one buffer")]

use super::cut::{Cut, Piece};
use super::input_gradient::InputGradient;
use super::pack::{TransposedWeights, WeightLayout};
use super::spec::ConvSpec;
use super::taps::{gradient_halo, gradient_reach};
use super::tile::limits;
use super::weight_gradient::WeightGradient;
use super::weight_pass::WeightPass;
use super::winograd::{self, MinimalWeightGradient, Source};
use crate::arena::ArenaBuffer;
use crate::context::Context;
use crate::halo::clear_around;
use crate::lanes::LANES;
use crate::planes::{ConvInput, Planes};
use crate::shape::{GradientMap, MapShape};
use crate::shared::Shared;
use crate::tasks::{for_each, threads};
use std::ops::Range;

/// Floats of output gradient that should stay in the cache of a core: 512 KiB.
const CACHE: usize = 128 * 1024;

/// Makes the gradient of a convolution's output, some rows at a time.
pub(crate) trait MapGradient: Sync {
    /// Groups of blocks that are written together.
    fn tiles(&self) -> usize;
    /// What the first row must be a multiple of.
    fn step(&self) -> usize;
    /// Writes rows of an image's tile of blocks.
    ///
    /// # Safety
    /// The place has the blocks and room for the rows, and nobody else uses them meanwhile.
    unsafe fn write(&self, tile: [usize; 2], rows: Range<usize>, place: MapRows);
}

/// Where rows go: to an image of a map.
#[derive(Clone, Copy)]
pub(crate) struct MapRows<'a> {
    pub(crate) to: Shared<'a, f32>,
    pub(crate) shape: &'a MapShape,
    pub(crate) image: usize,
    /// The block that lies first in the map's planes.
    pub(crate) first_block: usize,
    /// The row of the plane, counted from the top of its halo, that the first of them goes to.
    pub(crate) first: usize,
}

impl MapRows<'_> {
    /// The first pixel of a row of a block, counted from the first that is written.
    pub(crate) fn at(&self, block: usize, row: usize) -> *mut f32 {
        let row = (self.first + row) * self.shape.row() + self.shape.halo * LANES;
        self.to.at(self.shape.corner(self.image, block - self.first_block) + row)
    }
}

/// The backward pass of a convolution.
pub(crate) struct Backward<'a> {
    pub(crate) context: &'a Context,
    pub(crate) spec: ConvSpec,
    pub(crate) input: ConvInput<'a>,
}

impl Backward<'_> {
    /// Writes the weight gradient in PyTorch's layout, and the input gradient where it is wanted.
    pub(crate) fn run(
        &self,
        output: &impl MapGradient,
        grad_weights: &mut [f32],
        target: Option<(&TransposedWeights, GradientMap)>,
    ) {
        let (context, spec) = (self.context, &self.spec);
        let [images, channels, height, width] = self.input.size();
        assert_eq!(channels, spec.in_channels, "the input's channels and those of {spec:?}");
        let planes = Planes::new(context, self.input, spec);
        let size = [spec.output_size(height), spec.output_size(width)];
        let planar = matches!(self.input, ConvInput::Planar(..));
        let layout = WeightLayout::new(spec, planar);
        let minimal = !planar && winograd::applies(context, spec, size, images);
        let sum = if minimal { winograd::sum_len(spec) } else { layout.len() };
        let floats = images * size[0] * size[1] * spec.out_channels.next_multiple_of(LANES);
        let cut = Cut::new(images, size, sum, floats);
        let all = cut.unwrap_or(Cut::whole(images, size[0]));
        // A piece has real rows around it, as many as its own lead to, and all that windows of pooling give together.
        let halo = match &target {
            None => 0,
            Some(_) if !all.is_in_pieces() => gradient_halo(spec, height, width),
            Some(_) => gradient_reach(spec, height, width).next_multiple_of(output.step()),
        };
        let gradient = MapShape::new(1, spec.out_channels, all.rows, size[1], halo);
        let input = target.map(|(transposed, map)| {
            map.check(self.input.size());
            InputGradient::new(context, spec, gradient, size, transposed, map)
        });
        let input = input.as_ref();
        let (rows, in_blocks) = (size[0], planes.blocks);
        let passes = if input.is_some() { 2 } else { 1 };
        // Winograd's way takes a quarter.
        let products = passes * spec.in_channels * spec.kernel * spec.kernel / if minimal { 4 } else { 1 };
        let work = Work { context, output, images, in_blocks, height: rows, products, gradient, input };
        let mut packed = if minimal {
            let source = Source::of_planes(&planes, [height, width]);
            let padding = spec.padding;
            let weights = MinimalWeightGradient {
                context,
                source,
                padding,
                layout,
                in_blocks,
                first_in_block: 0,
                gradient,
            };
            work.run(&weights, cut, all)
        } else {
            let pass = WeightPass::new(context.isa, spec, &planes, &gradient);
            let weights = WeightGradient { isa: context.isa, planes: &planes, pass, layout, gradient };
            work.run(&weights, cut, all)
        };
        layout.unpack_sum(&mut packed, grad_weights);
    }
}

/// How weight gradients are summed.
pub(super) trait WeightSums: Sync {
    /// Floats of a sum, which is packed.
    fn len(&self) -> usize;
    /// Floats of what a sum of some blocks of input channels grows in, where that is not its place.
    fn growing(&self, in_blocks: usize) -> Option<usize>;
    /// Zeroes the place of some blocks of input channels, where a sum grows there.
    ///
    /// # Safety
    /// Nobody else uses these blocks of the sums meanwhile. So for all that follow.
    unsafe fn start(&self, in_blocks: Range<usize>, packed: Shared<f32>);
    /// Adds some pieces, whose output gradients begin at `gradient[0]`, one after the other, on this thread, to what
    /// the blocks' sums grow in.
    unsafe fn add(&self, pieces: &[Piece], gradient: &[f32], in_blocks: Range<usize>, sums: Shared<f32>);
    /// Writes the sums of all of these pieces, on the threads of the pool, each weight's piece after piece.
    fn write_all(&self, pieces: &[Piece], gradient: &[f32], packed: &mut [f32]);
    /// Puts what has grown for some blocks of input channels into its place, for one block of output channels.
    unsafe fn finish(&self, block: usize, in_blocks: Range<usize>, grown: &[f32], packed: Shared<f32>);
}

struct Work<'a, G> {
    context: &'a Context,
    output: &'a G,
    images: usize,
    /// Blocks of input channels, or 1 where the input is planar.
    in_blocks: usize,
    /// Rows of an image of the output.
    height: usize,
    /// Of each element of the output's gradient.
    products: usize,
    /// The shape of the output's gradient, for one piece.
    gradient: MapShape,
    input: Option<&'a InputGradient<'a>>,
}

/// What it takes to make an element of the output's gradient, as so many products: an estimate, from the two floats that are
/// read for it and the one that is written.
const GRADIENT: usize = 48;

/// Parts of each run, so that the thread with the most to do ends first: it takes the same number of parts as others, or
/// one more, and each makes the gradient anew. An element of the gradient has so many products.
fn parts_of_a_run(runs: usize, tiles: usize, threads: usize, products: usize) -> usize {
    let longest = |parts: usize| {
        (runs * parts).div_ceil(threads) * (GRADIENT * tiles + products * tiles.div_ceil(parts))
    };
    (1..=tiles).min_by_key(|&parts| longest(parts)).unwrap_or(1)
}

impl<G: MapGradient> Work<'_, G> {
    /// Packed sums, one behind the other.
    fn run(&self, weights: &impl WeightSums, cut: Option<Cut>, all: Cut) -> ArenaBuffer {
        if cut.is_some() { self.by_runs(weights, all) } else { self.by_weights(weights, &all.all()) }
    }

    /// Threads take runs of pieces; each run has its own sum of weight gradients. Where runs do not share out evenly, each is
    /// cut into parts by blocks of input channels, for each of which the output's gradient is made anew: that changes no
    /// sum, so it may depend on the number of threads.
    fn by_runs(&self, weights: &impl WeightSums, cut: Cut) -> ArenaBuffer {
        let mut sums = self.context.arena.take(cut.runs * weights.len());
        let tile = limits(self.context.isa).1;
        let tiles = self.in_blocks.div_ceil(tile);
        let parts = parts_of_a_run(cut.runs, tiles, threads(), self.products);
        let floats = self.images * self.gradient.blocks() * self.height * self.gradient.width * LANES;
        let shared = Shared::new(&mut sums);
        for_each("convolution, backward", floats, cut.runs * parts, |number| {
            let (run, part) = (number / parts, number % parts);
            let tiles = tiles * part / parts..tiles * (part + 1) / parts;
            let in_blocks = tiles.start * tile..(tiles.end * tile).min(self.in_blocks);
            // SAFETY: each run's sums of some blocks are one task's.
            unsafe {
                let sum = shared.from(run * weights.len());
                self.run_part(weights, &cut.run(run), in_blocks, tiles, sum);
            }
        });
        sums
    }

    /// Some blocks of input channels of a run.
    ///
    /// # Safety
    /// Nobody else uses these blocks of the sums meanwhile.
    unsafe fn run_part(
        &self,
        weights: &impl WeightSums,
        pieces: &[Piece],
        in_blocks: Range<usize>,
        tiles: Range<usize>,
        sum: Shared<f32>,
    ) {
        let arena = &self.context.arena;
        let mut grown = weights.growing(in_blocks.len()).map(|len| arena.zeroed(len));
        // SAFETY: the caller's blocks.
        unsafe { weights.start(in_blocks.clone(), sum) };
        let to = grown.as_deref_mut().map_or(sum, Shared::new);
        // All weights and their gradients pass by once per group: it should outweigh them.
        let floats = CACHE.max(weights.growing(in_blocks.len()).unwrap_or(weights.len()));
        let group = (floats / self.gradient.image()).clamp(1, pieces.len());
        let mut gradient = arena.take(group * self.gradient.image());
        for pieces in pieces.chunks(group) {
            let shared = Shared::new(&mut gradient);
            for (number, piece) in pieces.iter().enumerate() {
                for tile in 0..self.output.tiles() {
                    // SAFETY: this task's alone.
                    unsafe { self.write(piece, number, tile, shared) };
                }
            }
            // SAFETY: the caller's blocks, or this task's alone.
            unsafe { weights.add(pieces, &gradient, in_blocks.clone(), to) };
            if let Some(input) = self.input {
                input.add(pieces, &gradient, tiles.clone());
            }
        }
        if let Some(grown) = &grown {
            for block in 0..self.gradient.blocks() {
                // SAFETY: the caller's blocks.
                unsafe { weights.finish(block, in_blocks.clone(), grown, sum) };
            }
        }
    }

    /// The gradients of all images first; then threads take blocks of weights, each over all images in order.
    fn by_weights(&self, weights: &impl WeightSums, images: &[Piece]) -> ArenaBuffer {
        let mut gradient = self.context.arena.take(images.len() * self.gradient.image());
        let (shared, tiles) = (Shared::new(&mut gradient), self.output.tiles());
        let floats = images.len() * self.gradient.image();
        for_each("gradient of a convolution's output", floats, images.len() * tiles, |number| {
            // SAFETY: each tile of an image is one task's.
            unsafe { self.write(&images[number / tiles], number / tiles, number % tiles, shared) };
        });
        let mut packed = self.context.arena.take(weights.len());
        weights.write_all(images, &gradient, &mut packed);
        if let Some(input) = self.input {
            input.add_all(images, &gradient);
        }
        packed
    }

    /// A tile of a piece, with the rows that lie around it in its image, and zeros beyond.
    ///
    /// # Safety
    /// Nobody else uses these planes meanwhile.
    unsafe fn write(&self, Piece { image, rows, .. }: &Piece, number: usize, tile: usize, to: Shared<f32>) {
        let (shape, halo) = (&self.gradient, self.gradient.halo);
        let within = rows.start.saturating_sub(halo)..(rows.end + halo).min(self.height);
        let first = within.start + halo - rows.start;
        let blocks = shape.blocks().div_ceil(self.output.tiles());
        let blocks = tile * blocks..((tile + 1) * blocks).min(shape.blocks());
        // SAFETY: the planes are the caller's.
        unsafe {
            for block in blocks {
                clear_around(to, shape, [number, block], first..first + within.len());
            }
            self.output.write(
                [*image, tile],
                within,
                MapRows { to, shape, image: number, first_block: 0, first },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_cut_where_the_last_thread_ends_earlier() {
        assert_eq!(parts_of_a_run(64, 8, 1, 1000), 1);
        assert_eq!(parts_of_a_run(64, 8, 16, 1000), 1, "four runs each");
        assert_eq!(parts_of_a_run(8, 5, 64, 1000), 5, "as many as there are tiles");
        assert_eq!(parts_of_a_run(11, 18, 16, 1152), 4, "44 parts are nearly three each");
        assert_eq!(parts_of_a_run(11, 18, 16, 20), 1, "the gradient would outweigh the products");
        assert_eq!(parts_of_a_run(8, 1, 64, 1000), 1);
    }
}
