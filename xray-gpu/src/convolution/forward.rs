//! The forward pass, and the input gradient, which is the same product.

use super::gather::{Form, GatherNumbersLaunch, gather};
use super::matrix_gather::{self, gather_by_matrices};
use super::merge::{MERGE, merge_pass, merge_pieces};
use super::products::{Matrix, Products};
use super::tile::Plan;
use crate::buffer::{Buffer, Part};
use crate::curve::Curve;
use crate::epilogue::{Epilogue, folded_bytes, norm_sum_bytes};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::map::{GradientMap, Map, MapShape};
use crate::pass::{Pass, bytes};
use crate::precision::with_factor;
use crate::source::{Normalised, Source};
use crate::statistics::{NormSums, TileSums};
use xray_kernels::ConvSpec;

/// The map that a convolution makes of an input.
///
/// # Panics
/// If the input has other channels, or the kernel does not fit into it.
pub fn output_shape(spec: &ConvSpec, input: MapShape) -> MapShape {
    assert_eq!(input.channels, spec.in_channels, "channels of the input of {spec:?}");
    let [height, width] = [input.height, input.width].map(|size| spec.output_size(size));
    MapShape { height, width, channels: spec.out_channels, ..input }
}

/// Writes the convolution of `input` with `weights`, which are `[out][kernel][kernel][in]`. The input is a [`Map`], or
/// one [`Normalised`] on the way.
///
/// # Errors
/// If the device makes no buffer for pieces of it.
///
/// # Panics
/// If a shape does not fit.
pub fn convolve<'a>(
    gpu: &Gpu,
    spec: &ConvSpec,
    input: impl Into<Source<'a>>,
    weights: Part<'_>,
    output: Map<'_>,
) -> Result<(), Error> {
    let input = input.into();
    let product = Product::forward(gpu.products(), spec, input.map().shape(), input.map().in_fours());
    product.launch(gpu, input, weights, output.into(), Epilogue::Plain)
}

/// The same, with the channel sums of what is written, for the batch norm that follows.
///
/// # Errors
/// If the device makes no buffer for the sums, or for pieces of the output.
///
/// # Panics
/// If a shape does not fit.
pub fn convolve_with_sums<'a>(
    gpu: &Gpu,
    spec: &ConvSpec,
    input: impl Into<Source<'a>>,
    weights: Part<'_>,
    output: Map<'_>,
) -> Result<TileSums, Error> {
    let input = input.into();
    let product = Product::forward(gpu.products(), spec, input.map().shape(), input.map().in_fours());
    let sums = TileSums::empty(gpu, product.to, product.sum_rows())?;
    product.launch(gpu, input, weights, output.into(), Epilogue::Sums(&sums))?;
    Ok(sums)
}

/// Writes `function(convolution + bias + skip)`, with the weights and the bias that [`fold`](crate::fold) makes.
///
/// # Errors
/// If the device makes no buffer for pieces of it.
///
/// # Panics
/// If a shape does not fit.
#[expect(clippy::too_many_arguments, reason = "a whole block of a network")]
pub fn convolve_folded<'a>(
    gpu: &Gpu,
    spec: &ConvSpec,
    input: impl Into<Source<'a>>,
    weights: Part<'_>,
    bias: Part<'_>,
    function: impl Into<Curve>,
    skip: Option<Map<'_>>,
    output: Map<'_>,
) -> Result<(), Error> {
    let input = input.into();
    let epilogue = Epilogue::Folded { bias, skip, function: function.into() };
    let product = Product::forward(gpu.products(), spec, input.map().shape(), input.map().in_fours());
    product.launch(gpu, input, weights, output.into(), epilogue)
}

/// Writes or adds the gradient of the input, given that of the output.
///
/// # Errors
/// If the device makes no buffer for pieces of it.
///
/// # Panics
/// If a shape does not fit.
pub fn input_gradient(
    gpu: &Gpu,
    spec: &ConvSpec,
    grad_output: Map<'_>,
    weights: Part<'_>,
    grad_input: GradientMap<'_>,
) -> Result<(), Error> {
    let (shape, fours) = (grad_input.map.shape(), grad_output.in_fours());
    let product = Product::backward(gpu.products(), spec, shape, fours);
    product.launch(gpu, grad_output.into(), weights, grad_input, Epilogue::Plain)
}

/// The input gradient of a convolution that read a map normalised on the way, as far as one product knows it: writes or
/// adds `scale d` to the gradient of the map before the norm, with `d` the gradient before the activation, and takes the
/// sums from which batch norm's other terms follow. [`normalised_gradient`](crate::normalised_gradient) subtracts them,
/// or [`ChannelTable`](crate::ChannelTable), once for all layers that read a channel.
///
/// # Errors
/// If the device makes no buffer for the sums, or for pieces of the gradient.
///
/// # Panics
/// If a shape does not fit.
pub fn input_gradient_with_sums(
    gpu: &Gpu,
    spec: &ConvSpec,
    grad_output: Map<'_>,
    weights: Part<'_>,
    input: Normalised<'_>,
    grad_input: GradientMap<'_>,
) -> Result<NormSums, Error> {
    input.expect_channels();
    input.map.expect(grad_input.map.shape(), "the map that was normalised");
    let (shape, fours) = (grad_input.map.shape(), grad_output.in_fours());
    let product = Product::backward(gpu.products(), spec, shape, fours);
    let sums = NormSums::empty(gpu, product.to, product.sum_tiles())?;
    product.launch(gpu, grad_output.into(), weights, grad_input, Epilogue::NormSums(&sums, input))?;
    Ok(sums)
}

/// The launches of [`convolve`] and [`convolve_with_sums`] in float32; those of a device are its [`Products`]'.
pub fn forward_passes(spec: &ConvSpec, input: MapShape) -> Vec<Pass> {
    Products::default().forward_passes(spec, input)
}

/// The launches of [`convolve_folded`] in float32.
pub fn convolve_folded_passes(spec: &ConvSpec, input: MapShape, skip: bool) -> Vec<Pass> {
    Products::default().convolve_folded_passes(spec, input, skip)
}

/// Pixels of a tile of which [`convolve_with_sums`] takes sums, in float32.
pub fn sum_rows(spec: &ConvSpec, input: MapShape) -> usize {
    Products::default().sum_rows(spec, input)
}

/// The launches of [`input_gradient`] in float32.
pub fn input_gradient_passes(spec: &ConvSpec, input: MapShape) -> Vec<Pass> {
    Products::default().input_gradient_passes(spec, input)
}

/// The launches of [`input_gradient_with_sums`] in float32, the last of which also reads the normalised map, and what it
/// adds to if it does.
pub fn input_gradient_with_sums_passes(spec: &ConvSpec, input: MapShape, accumulate: bool) -> Vec<Pass> {
    Products::default().input_gradient_with_sums_passes(spec, input, accumulate)
}

/// Tiles of which [`input_gradient_with_sums`] takes sums, in float32.
pub fn gradient_sum_tiles(spec: &ConvSpec, input: MapShape) -> usize {
    Products::default().gradient_sum_tiles(spec, input)
}

/// Terms below which a contraction is not cut.
const LEAST_TERMS: usize = 128;

/// One of the two products, planned.
pub(super) struct Product {
    spec: ConvSpec,
    from: MapShape,
    to: MapShape,
    backward: bool,
    phases: usize,
    plan: Plan,
    matrix: Option<Matrix>,
}

impl Product {
    /// `fours`: whether the map that is read is read in fours.
    pub(super) fn forward(products: &Products, spec: &ConvSpec, input: MapShape, fours: bool) -> Self {
        Self::new(products, spec, [input, output_shape(spec, input)], false, fours)
    }

    /// `input` is the map whose gradient is written.
    pub(super) fn backward(products: &Products, spec: &ConvSpec, input: MapShape, fours: bool) -> Self {
        Self::new(products, spec, [output_shape(spec, input), input], true, fours)
    }

    fn new(
        products: &Products,
        spec: &ConvSpec,
        [from, to]: [MapShape; 2],
        backward: bool,
        fours: bool,
    ) -> Self {
        let every = if backward { spec.stride } else { 1 };
        // The first phase has the most pixels. Its taps may be one fewer an axis than another's.
        let rows = to.images * to.height.div_ceil(every) * to.width.div_ceil(every);
        let depth = spec.kernel.div_ceil(every).pow(2) * from.channels;
        let phases = every * every;
        let (plan, matrix) = products.plan(fours, [rows, to.channels], phases, depth, LEAST_TERMS);
        Self { spec: *spec, from, to, backward, phases, plan, matrix }
    }

    fn tiles(&self) -> [usize; 2] {
        let every = if self.backward { self.spec.stride } else { 1 };
        let rows = self.to.images * self.to.height.div_ceil(every) * self.to.width.div_ceil(every);
        self.plan.tile.cover(rows, self.to.channels)
    }

    /// Pixels of a tile of which sums are taken.
    pub(super) fn sum_rows(&self) -> usize {
        if self.plan.pieces == 1 { self.plan.tile.rows } else { MERGE.rows }
    }

    /// Those tiles, of all phases.
    pub(super) fn sum_tiles(&self) -> usize {
        if self.plan.pieces == 1 {
            self.phases * self.tiles()[0]
        } else {
            self.to.pixels().div_ceil(MERGE.rows)
        }
    }

    /// Launches, the last of which also reads a bias and a skip connection.
    pub(super) fn folded_passes(&self, skip: bool) -> Vec<Pass> {
        self.passes(folded_bytes(self.to, skip))
    }

    /// Launches, the last of which also takes the sums of batch norm's backward pass.
    pub(super) fn passes_with_sums(&self, accumulate: bool) -> Vec<Pass> {
        self.passes(norm_sum_bytes(self.to, self.sum_tiles(), accumulate))
    }

    /// The last pass moves so many bytes `besides`, in its epilogue.
    pub(super) fn passes(&self, besides: u64) -> Vec<Pass> {
        let [down, across] = self.tiles();
        let pieces = self.plan.pieces;
        let output = if self.backward { self.from } else { self.to };
        let product = Pass {
            name: if self.backward { "input gradient" } else { "convolution" },
            groups: [down * across, self.phases * pieces],
            units: self.plan.tile.units(),
            multiply_adds: (self.spec.weight_len() * output.pixels()) as u64,
            bytes: bytes(self.from.len() + self.spec.weight_len() + pieces * self.to.len()),
        };
        let second = (pieces > 1).then(|| merge_pass(self.to, pieces));
        let mut all: Vec<_> = [Some(product), second].into_iter().flatten().collect();
        all.last_mut().expect("a product").bytes += besides;
        all
    }

    fn launch(
        &self,
        gpu: &Gpu,
        source: Source<'_>,
        weights: Part<'_>,
        target: GradientMap<'_>,
        epilogue: Epilogue<'_>,
    ) -> Result<(), Error> {
        let pieces = self.plan.pieces;
        source.map().expect(self.from, "the map that is read");
        target.map.expect(self.to, "the map that is written");
        weights.expect(self.spec.weight_len(), "weights");
        epilogue.expect(self.to);
        let passes = self.passes(epilogue.bytes(self.to, target.accumulate));
        if pieces == 1 {
            self.product(gpu, source, weights, target, (epilogue, &passes[0]));
        } else {
            let scratch = Buffer::empty(gpu, pieces * self.to.len())?;
            let all = Map::pieces(&scratch, self.to, pieces);
            self.product(gpu, source, weights, all.into(), (Epilogue::Plain, &passes[0]));
            merge_pieces(gpu, &scratch, pieces, target, epilogue, &passes[1]);
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "a launch without bounds checks; shapes were checked against lengths")]
    fn product(
        &self,
        gpu: &Gpu,
        source: Source<'_>,
        weights: Part<'_>,
        GradientMap { map: target, accumulate }: GradientMap<'_>,
        (epilogue, pass): (Epilogue<'_>, &Pass),
    ) {
        let (spec, plan, [down, across]) = (&self.spec, self.plan, self.tiles());
        let numbers = GatherNumbersLaunch::new(
            spec.kernel,
            spec.stride,
            spec.padding,
            weights.start(),
            down * across,
            across,
            plan.pieces,
            plan.terms,
        );
        let (map, norm) = (source.map(), source.curve());
        let ending = epilogue.ending(accumulate);
        // One norm at most: of what is read going forward, of what is written going back.
        let statistics = || if norm.is_some() { source.statistics() } else { epilogue.statistics(target) };
        if let Some(Matrix { precision, fragments }) = self.matrix {
            let form = matrix_gather::Form { fragments, backward: self.backward, norm, ending };
            // SAFETY: as below; the map was planned to be read in fours.
            with_factor!(precision, Factor => unsafe {
                gather_by_matrices::launch_unchecked::<Factor>(
                    gpu.launch(pass),
                    gpu.grid(pass),
                    pass.dim(),
                    map.argument(),
                    statistics(),
                    statistics(),
                    weights.argument(),
                    epilogue.beside(target),
                    target.argument(),
                    epilogue.aside(target),
                    map.sizes(),
                    target.sizes(),
                    numbers,
                    epilogue.places(target),
                    form,
                );
            });
            return;
        }
        let form = Form { tile: plan.tile, backward: self.backward, fours: map.in_fours(), norm, ending };
        // SAFETY: maps, weights, bias and sums have the lengths of these shapes, and the kernel leaves out what lies
        // outside.
        unsafe {
            gather::launch_unchecked(
                gpu.launch(pass),
                gpu.grid(pass),
                pass.dim(),
                map.argument(),
                map.argument(),
                statistics(),
                statistics(),
                weights.argument(),
                epilogue.beside(target),
                target.argument(),
                epilogue.aside(target),
                map.sizes(),
                target.sizes(),
                numbers,
                epilogue.places(target),
                form,
            );
        }
    }
}
