//! The input gradient: the register tiles of the forward pass over transposed weights, one pass per pair of
//! parities.
#![expect(unsafe_code, reason = "threads write disjoint images and blocks of one buffer")]

use super::cut::Piece;
use super::pack::{TransposedWeights, parity_places};
use super::pass::{Pass, Target};
use super::spec::ConvSpec;
use super::taps::parities;
use super::tile::limits;
use super::winograd::{self, Epilogue, MinimalConvolution, Source};
use crate::context::Context;
use crate::isa::Isa;
use crate::lanes::LANES;
use crate::shape::{GradientMap, MapShape};
use crate::shared::Shared;
use crate::tasks::Split;
use std::ops::Range;
use std::ptr;

/// Writes or adds the input gradients of images.
pub(super) enum InputGradient<'a> {
    Direct(DirectGradient<'a>),
    Minimal(MinimalConvolution<'a>, MapShape),
}

impl<'a> InputGradient<'a> {
    /// For a map that has the input's size, and an output of `size`. `gradient` is the shape of the output's, as the
    /// caller holds it: of a piece.
    pub(super) fn new(
        context: &'a Context,
        spec: &ConvSpec,
        gradient: MapShape,
        size: [usize; 2],
        weights: &'a TransposedWeights,
        map: GradientMap<'a>,
    ) -> Self {
        assert_eq!(weights.spec, *spec, "weights of another convolution");
        if !winograd::applies(context, spec, size, map.shape.images) {
            return Self::Direct(DirectGradient::new(context.isa, spec, gradient, weights, map));
        }
        let epilogue = Epilogue {
            bias: None,
            clamp: None,
            pool: false,
            accumulate: map.accumulate,
            halo: false,
            sums: None,
        };
        let (points, size) =
            ((weights.points(context, size), gradient.blocks()), [map.shape.height, map.shape.width]);
        let map = (Shared::new(map.buffer), map.shape);
        let padding = spec.kernel - 1 - spec.padding;
        Self::Minimal(MinimalConvolution::new(context, padding, points, map, size, epilogue), gradient)
    }

    /// Those of some pieces, whose output gradients begin at `gradient[0]`, for some tiles of blocks.
    pub(super) fn add(&self, pieces: &[Piece], gradient: &[f32], tiles: Range<usize>) {
        match self {
            Self::Direct(direct) => direct.part(tiles, pieces, 0, gradient),
            Self::Minimal(minimal, shape) => {
                minimal.run_pieces(Source::of_map(gradient, shape), pieces, tiles)
            }
        }
    }

    /// Those of whole images, on the threads of the pool.
    pub(super) fn add_all(&self, images: &[Piece], gradient: &[f32]) {
        match self {
            Self::Direct(direct) => direct.add_all(images, gradient),
            Self::Minimal(minimal, shape) => minimal.run_all(Source::of_map(gradient, shape), images.len()),
        }
    }
}

/// The register tiles of the forward pass.
pub(super) struct DirectGradient<'a> {
    isa: Isa,
    /// The shape of the output's gradient, as the caller holds it.
    gradient: MapShape,
    /// Passes, and where the weights of each begin.
    passes: Vec<(Pass, usize)>,
    weights: &'a [f32],
    buffer: Shared<'a, f32>,
    shape: MapShape,
    accumulate: bool,
}

impl<'a> DirectGradient<'a> {
    fn new(
        isa: Isa,
        spec: &ConvSpec,
        gradient: MapShape,
        weights: &'a TransposedWeights,
        map: GradientMap<'a>,
    ) -> Self {
        Self {
            isa,
            gradient,
            passes: passes(spec, &gradient, &map.shape),
            weights: &weights.data,
            buffer: Shared::new(map.buffer),
            shape: map.shape,
            accumulate: map.accumulate,
        }
    }

    fn add_all(&self, images: &[Piece], gradient: &[f32]) {
        let weights = self.weights.len() / self.tiles();
        let split = Split::new(images.len(), self.gradient.image(), weights, self.tiles(), 1);
        split.for_each("input gradient", |part| {
            self.part(part.columns, &images[part.images.clone()], part.images.start, gradient);
        });
    }

    fn tiles(&self) -> usize {
        self.shape.blocks().div_ceil(limits(self.isa).1)
    }

    /// The first piece's gradient is that of so many pieces behind the beginning.
    fn part(&self, tiles: Range<usize>, pieces: &[Piece], first_number: usize, gradient: &[f32]) {
        let tile_blocks = limits(self.isa).1;
        for tile in tiles {
            let first = tile * tile_blocks;
            let blocks = tile_blocks.min(self.shape.blocks() - first);
            for (pass, start) in &self.passes {
                for (number, Piece { image, rows, is_last }) in pieces.iter().enumerate() {
                    // Where a parity has other rows than the output, the last piece has what is left.
                    let end = if *is_last { pass.height } else { rows.end.min(pass.height) };
                    let weights = &self.weights[start + first * pass.weight_block()..];
                    let target = Target {
                        input: gradient[self.gradient.corner(first_number + number, 0)..].as_ptr(),
                        input_first: rows.start,
                        weights: weights.as_ptr(),
                        output: self.buffer.at(self.shape.corner(*image, first)),
                        blocks,
                        rows: rows.start.min(end)..end,
                        bias: ptr::null(),
                        clamp: None,
                        accumulate: self.accumulate,
                        sums: ptr::null_mut(),
                    };
                    // SAFETY: lengths were checked against shapes; an image's blocks belong to one part.
                    unsafe { pass.run(self.isa, &target) };
                }
            }
        }
    }
}

fn passes(spec: &ConvSpec, gradient: &MapShape, shape: &MapShape) -> Vec<(Pass, usize)> {
    let (rows, columns) = (parities(spec, shape.height), parities(spec, shape.width));
    let (in_blocks, out_blocks) = (spec.in_channels.div_ceil(LANES), gradient.blocks());
    let mut start = 0;
    let mut passes = Vec::new();
    for (number, places) in parity_places(spec).iter().enumerate() {
        let here = start;
        start += in_blocks * out_blocks * places.len() * LANES * LANES;
        // A small image may lack a parity.
        let (Some(y), Some(x)) = (rows.get(number / spec.stride), columns.get(number % spec.stride)) else {
            continue;
        };
        let halo = gradient.halo as isize;
        let offset = |(y, x): (isize, isize)| {
            let place = (y + halo) * gradient.row() as isize + (x + halo) * LANES as isize;
            usize::try_from(place).expect("the halo is as wide as taps reach")
        };
        let taps = y.places.iter().flat_map(|&(_, y)| x.places.iter().map(move |&(_, x)| offset((y, x))));
        let pass = Pass {
            taps: taps.collect(),
            in_blocks: out_blocks,
            in_plane: gradient.plane(),
            depth: LANES,
            input_step: LANES,
            input_row: gradient.row(),
            height: y.count,
            width: x.count,
            output_first: shape.offset(0, 0, y.first, x.first) - shape.corner(0, 0),
            output_step: spec.stride * LANES,
            output_row: spec.stride * shape.row(),
            output_plane: shape.plane(),
        };
        passes.push((pass, here));
    }
    passes
}
