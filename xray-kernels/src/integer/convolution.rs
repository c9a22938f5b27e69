//! Convolutions of bytes, with all that follows on the way to the next map.
#![expect(
    unsafe_code,
    reason = "pointers handed to the register tiles; threads write disjoint pixels and blocks"
)]

use super::lookup::{Lookup, lookup_form};
use super::map::{ByteMap, BytePlanes};
use super::quantisation::Quantisation;
use super::requantisation::{Epilogue, Requantisation};
use super::tile::{TileRun, limits, size_for, tile_form};
use super::weights::{ByteWeights, QUAD};
use crate::context::Context;
use crate::convolution::ConvSpec;
use crate::isa::Form;
use crate::lanes::LANES;
use crate::nonlinearity::Nonlinearity;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::Split;
use std::ops::Range;
use std::ptr;
use std::sync::{Arc, OnceLock};

/// Bytes of weights that stay in the second cache while pixels pass by.
const WEIGHTS_IN_CACHE: usize = 256 * 1024;

/// Tiles after which other blocks of output channels have their turn: their input is then still in the first cache.
const TILES: usize = 8;

/// What a convolution of bytes reads.
#[derive(Clone, Copy, Debug)]
pub enum ByteInput<'a> {
    /// A blocked map whose halo is at least as wide as the padding.
    Map(&'a ByteMap),
    /// Images of few channels.
    Planes(&'a BytePlanes),
}

impl ByteInput<'_> {
    /// Images, channels, height and width.
    fn size(&self) -> [usize; 4] {
        match self {
            Self::Map(map) => map.shape().size(),
            Self::Planes(planes) => {
                [planes.shape.images, planes.shape.channels, planes.shape.height, planes.shape.width]
            }
        }
    }

    fn quantisation(&self) -> Quantisation {
        match self {
            Self::Map(map) => map.quantisation(),
            Self::Planes(planes) => planes.quantisation,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Map(map) => map.bytes(),
            Self::Planes(planes) => planes.buffer.bytes(),
        }
    }

    /// Bytes between images, rows, and pixels.
    fn distances(&self) -> [usize; 3] {
        match self {
            Self::Map(map) => [map.shape().image(), map.shape().row(), LANES],
            Self::Planes(planes) => [planes.shape.channels * planes.plane(), planes.row(), 1],
        }
    }
}

/// A convolution with its bias, perhaps a skip connection, its nonlinearity and perhaps 2 x 2 max pooling, whose weights
/// are bytes; made once per model.
#[derive(Debug)]
pub struct ByteConv {
    weights: ByteWeights,
    /// `[blocks * 16]`: a sum begins with what the input's zero point adds too much.
    start: Vec<i32>,
    epilogue: Epilogue,
    input: Quantisation,
    skip: Option<Quantisation>,
    output: Quantisation,
    pool: bool,
    /// Of the first forward pass: a network's images are nearly always of one size.
    places: OnceLock<Arc<Places>>,
}

impl ByteConv {
    /// Quantises weights `[out][in][kernel][kernel]`. `planar` says whether it will read planes; `skip` is what the bytes
    /// of a skip connection stand for, which is added before the nonlinearity.
    ///
    /// # Panics
    /// If weights or bias do not have the length that the convolution says, or it pools and has a skip connection or SiLU,
    /// which does not rise everywhere.
    #[expect(clippy::too_many_arguments, reason = "a layer, and what its maps stand for")]
    pub fn new(
        context: &Context,
        spec: ConvSpec,
        planar: bool,
        (weights, bias): (&[f32], &[f32]),
        input: Quantisation,
        skip: Option<Quantisation>,
        how: &Requantisation,
        pool: bool,
    ) -> Self {
        assert_eq!(bias.len(), spec.out_channels, "not a bias for each output channel");
        let is_pooled_last = skip.is_none() && how.function != Nonlinearity::Silu;
        assert!(!pool || is_pooled_last, "pooling behind a skip connection or SiLU");
        let weights = ByteWeights::new(context, spec, planar, weights);
        let scales: Vec<f32> = weights.scales.iter().map(|scale| scale * input.scale).collect();
        let epilogue = Epilogue::new(how, &scales, bias, skip);
        let zero = i32::from(input.zero_point);
        let mut start: Vec<i32> = weights.sums.iter().map(|sum| -zero * sum).collect();
        start.resize(epilogue.factor.len(), 0);
        let places = OnceLock::new();
        Self { weights, start, epilogue, input, skip, output: how.output, pool, places }
    }

    /// Forward, with a halo of the next layer's choice.
    ///
    /// # Panics
    /// If the input, the skip connection or what their bytes stand for are not those the convolution was made for.
    pub fn forward(
        &self,
        context: &Context,
        input: ByteInput,
        skip: Option<&ByteMap>,
        halo: usize,
    ) -> ByteMap {
        let spec = &self.weights.spec;
        let [images, channels, height, width] = input.size();
        assert_eq!(channels, spec.in_channels, "the input's channels and those of {spec:?}");
        assert_eq!(input.quantisation(), self.input, "what the input's bytes stand for");
        assert_eq!(matches!(input, ByteInput::Planes(_)), self.weights.planar, "packed for another input");
        let size = [height, width].map(|size| spec.output_size(size));
        let [rows, columns] = if self.pool { size.map(|size| size / 2) } else { size };
        let shape = MapShape::new(images, spec.out_channels, rows, columns, halo);
        assert_eq!(skip.map(ByteMap::quantisation), self.skip, "what the skip connection's bytes stand for");
        assert!(skip.is_none_or(|skip| skip.shape().size() == shape.size()), "the skip connection's size");
        match input {
            ByteInput::Map(map) => assert!(map.shape().halo >= spec.padding, "the halo and {spec:?}"),
            ByteInput::Planes(planes) => assert_eq!(planes.padding, spec.padding, "the planes' padding"),
        }
        let mut output = ByteMap::new(context, shape, self.output);
        let places = self.places(&input, &shape, skip.map(ByteMap::shape));
        let pass = Pass { context, conv: self, input, skip, places, shape };
        pass.run(Shared::new(output.buffer.bytes_mut()));
        output
    }

    /// Where pixels lie in maps of these sizes.
    fn places(&self, input: &ByteInput, shape: &MapShape, skip: Option<MapShape>) -> Arc<Places> {
        let sizes = Sizes::new(input, shape, skip);
        let make = || Arc::new(Places::new(&self.weights, input, shape, skip, self.pool));
        let first = self.places.get_or_init(make);
        if first.sizes == sizes { Arc::clone(first) } else { make() }
    }
}

/// What places depend on: not on the number of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    /// Height, width, and the width of a halo: of input, output and skip connection.
    maps: [[usize; 3]; 3],
}

impl Sizes {
    fn new(input: &ByteInput, shape: &MapShape, skip: Option<MapShape>) -> Self {
        let of = |shape: &MapShape| [shape.height, shape.width, shape.halo];
        let input = match input {
            ByteInput::Map(map) => of(&map.shape()),
            ByteInput::Planes(planes) => [planes.shape.height, planes.shape.width, planes.padding],
        };
        Self { maps: [input, of(shape), skip.as_ref().map_or([0; 3], of)] }
    }
}

/// Where the pixels of an image lie, in the input, the output and the skip connection.
#[derive(Debug)]
struct Places {
    sizes: Sizes,
    /// Where the bytes of each step lie.
    steps: Vec<u32>,
    input: Vec<u32>,
    output: Vec<u32>,
    skip: Vec<u32>,
}

/// Pixels that a list goes on with behind its last, each of which is the last again: a tile of more pixels than are
/// left writes that one more often.
const SURPLUS: usize = 16;

impl Places {
    fn new(
        weights: &ByteWeights,
        input: &ByteInput,
        shape: &MapShape,
        skip: Option<MapShape>,
        pool: bool,
    ) -> Self {
        let sizes = Sizes::new(input, shape, skip);
        let steps = match input {
            ByteInput::Map(map) => weights.offsets_in_map(&map.shape()),
            ByteInput::Planes(planes) => weights.offsets_in_planes(planes),
        };
        let stride = weights.spec.stride;
        let [_, row, step] = input.distances();
        let (window, row, step) = (if pool { 2 } else { 1 }, stride * row, stride * step);
        let mut places = Vec::with_capacity(shape.height * shape.width * window * window + 4 * SURPLUS);
        for y in 0..shape.height {
            for x in 0..shape.width {
                let first = window * (y * row + x * step);
                places.push(first as u32);
                if pool {
                    places.extend([first + step, first + row, first + row + step].map(|place| place as u32));
                }
            }
        }
        let input = places;
        let in_map = |shape: &MapShape| {
            let mut places = Vec::with_capacity(shape.height * shape.width + SURPLUS);
            for y in 0..shape.height {
                let first = (y + shape.halo) * shape.row() + shape.halo * LANES;
                places.extend((0..shape.width).map(|x| (first + x * LANES) as u32));
            }
            places
        };
        let output = in_map(shape);
        let skip = skip.as_ref().map(in_map).unwrap_or_default();
        let mut places = Self { sizes, steps, input, output, skip };
        for list in [&mut places.output, &mut places.skip] {
            list.extend(list.last().copied().map(|last| [last; SURPLUS]).into_iter().flatten());
        }
        let last = places.input[places.input.len() - window * window..].to_vec();
        (0..SURPLUS).for_each(|_| places.input.extend(&last));
        places
    }
}

/// A forward pass.
struct Pass<'a> {
    context: &'a Context,
    conv: &'a ByteConv,
    input: ByteInput<'a>,
    skip: Option<&'a ByteMap>,
    places: Arc<Places>,
    shape: MapShape,
}

/// One or two blocks of output channels of an image.
struct Target<'a> {
    image: usize,
    blocks: Range<usize>,
    output: Shared<'a, u8>,
}

impl Pass<'_> {
    fn run(&self, output: Shared<u8>) {
        let Self { context, conv, shape, .. } = self;
        let (pixels, most_blocks) = limits(context.isa, conv.pool);
        // Of the output: a tile's pixels, or its windows.
        let tile = if conv.pool { pixels / 4 } else { pixels };
        let tiles = (shape.height * shape.width).div_ceil(tile);
        let columns = shape.blocks().div_ceil(most_blocks);
        let column = conv.weights.block() * most_blocks;
        let [image, ..] = self.input.distances();
        // A split counts in floats.
        let split = Split::new(shape.images, image / 4, column / 4, columns, tiles);
        split.for_each("convolution of bytes", |part| {
            let keeps_weights = part.columns.len() * column <= WEIGHTS_IN_CACHE;
            let (column_group, tile_group) =
                if keeps_weights { (part.columns.len(), TILES) } else { (1, part.rows.len()) };
            for columns in groups(&part.columns, column_group) {
                for image in part.images.clone() {
                    for tiles in groups(&part.rows, tile_group) {
                        for column in columns.clone() {
                            let blocks =
                                column * most_blocks..((column + 1) * most_blocks).min(shape.blocks());
                            let target = Target { image, blocks, output };
                            let end = (tiles.end * tile).min(shape.height * shape.width);
                            // SAFETY: each image, column and tile is one part's.
                            unsafe { self.tiles(&target, tiles.start * tile..end) };
                        }
                    }
                }
            }
        });
    }

    /// Pixels of the output, or windows, in whole tiles and one smaller tile.
    ///
    /// # Safety
    /// Nobody else uses these pixels of the output meanwhile.
    unsafe fn tiles(&self, target: &Target, pixels: Range<usize>) {
        let Self { context, conv, places, .. } = self;
        let (most, _) = limits(context.isa, conv.pool);
        let window = if conv.pool { 4 } else { 1 };
        let inputs = pixels.start * window..pixels.end * window;
        let whole = inputs.len() / most;
        // SAFETY: the pixels lie in the map, and behind the last one the lists repeat it.
        unsafe {
            let form = |size| tile_form(context.isa, size, target.blocks.len(), conv.pool);
            self.tile(target, inputs.start, whole, form(most));
            let rest = inputs.len() - whole * most;
            if rest > 0 {
                let size = size_for(context.isa, rest, conv.pool);
                self.tile(target, inputs.start + whole * most, 1, form(size));
            }
            if let Some(table) = &conv.epilogue.table {
                for block in target.blocks.clone() {
                    let lookup = Lookup {
                        table: table.as_ptr(),
                        bytes: target.output.at(self.shape.corner(target.image, block)),
                        places: places.output[pixels.clone()].as_ptr(),
                        count: pixels.len(),
                    };
                    lookup_form(context.isa)(&lookup);
                }
            }
        }
    }

    /// So many tiles from a place of the list of inputs on.
    ///
    /// # Safety
    /// As for `tiles`.
    unsafe fn tile(&self, target: &Target, first: usize, count: usize, form: Form<TileRun>) {
        let Self { conv, places, shape, .. } = self;
        let [image, ..] = self.input.distances();
        let Target { blocks, output, .. } = target;
        let (start, last) = (blocks.start, blocks.end - 1);
        let lanes = start * LANES;
        let window = if conv.pool { 4 } else { 1 };
        let weights = [start, last].map(|block| conv.weights.starting_at(block).as_ptr().cast::<i8>());
        let skip = |block| {
            self.skip
                .map_or(ptr::null(), |skip| skip.bytes()[skip.shape().corner(target.image, block)..].as_ptr())
        };
        let run = TileRun {
            input: self.input.bytes()[self.first() + target.image * image..].as_ptr(),
            steps: places.steps.as_ptr(),
            step_count: places.steps.len(),
            pixels: places.input[first..].as_ptr(),
            weights,
            start: conv.start[lanes..].as_ptr(),
            factor: conv.epilogue.factor[lanes..].as_ptr(),
            summand: conv.epilogue.summand[lanes..].as_ptr(),
            low: conv.epilogue.low,
            high: conv.epilogue.high,
            output: [start, last].map(|block| output.at(shape.corner(target.image, block))),
            places: places.output[first / window..].as_ptr(),
            skip: [skip(start), skip(last)],
            skip_places: places.skip.get(first / window..).map_or(ptr::null(), <[u32]>::as_ptr),
            skip_factor: conv.epilogue.skip_factor,
            count,
        };
        debug_assert!(conv.weights.block() == places.steps.len() * LANES * QUAD);
        // SAFETY: steps lie in the image, as the input has the padding's halo, and weights have as many; the caller
        // vouches for the output.
        unsafe { form(&run) }
    }

    /// Where the first image begins in the input.
    fn first(&self) -> usize {
        match self.input {
            ByteInput::Map(map) => map.shape().corner(0, 0),
            ByteInput::Planes(_) => 0,
        }
    }
}

fn groups(range: &Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = range.end;
    range.clone().step_by(size.max(1)).map(move |start| start..(start + size.max(1)).min(end))
}

impl Requantisation {
    /// Without a table: of what clamps.
    ///
    /// # Panics
    /// If the function is SiLU, which needs its argument's bytes.
    pub fn clamped(function: Nonlinearity, output: Quantisation) -> Self {
        assert_ne!(function, Nonlinearity::Silu, "SiLU is looked up");
        Self { function, argument: output, output }
    }
}
