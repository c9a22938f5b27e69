//! The weight gradient: which kernel, how many pieces, and their sum in a fixed order.
#![expect(unsafe_code, reason = "launches without bounds checks; lengths are checked before")]

use super::add_pieces::{add_lanes, add_pieces};
use super::direct::{self, tap_sums};
use super::forward::output_shape;
use super::gather::GatherNumbersLaunch;
use super::matrix_weight::weights_by_matrices;
use super::products::{Matrix, Products};
use super::tile::{Plan, TERMS};
use super::weight_tile::{Form, WeightNumbersLaunch, weight_tiles};
use crate::buffer::{Buffer, Part};
use crate::error::Error;
use crate::gpu::Gpu;
use crate::map::{Map, MapShape};
use crate::pass::{ELEMENT_UNITS, Pass, bytes};
use crate::precision::with_factor;
use crate::source::Source;
use crate::width::Width;
use xray_kernels::ConvSpec;

/// Pixels below which a piece does not pay for its sums.
const LEAST_PIXELS: usize = 256;
/// Taps that a unit holds in registers.
const MOST_DIRECT_TAPS: usize = 49;

/// Writes the gradient of the weights, `[out][kernel][kernel][in]`, given the input and the output's gradient. The input
/// is a [`Map`], or one [`Normalised`](crate::Normalised) on the way, as the convolution read it. Several gradients add
/// up their pieces together in [`PendingGradients`](crate::PendingGradients).
///
/// # Errors
/// If the device makes no buffer for the pieces.
///
/// # Panics
/// If a shape does not fit.
pub fn weight_gradient<'a>(
    gpu: &Gpu,
    spec: &ConvSpec,
    input: impl Into<Source<'a>>,
    grad_output: Map<'_>,
    grad_weights: Part<'_>,
) -> Result<(), Error> {
    let input = input.into();
    let fours = input.map().in_fours() && grad_output.in_fours();
    let product = WeightGradient::new(gpu.products(), spec, input.map().shape(), fours);
    product.launch(gpu, input, grad_output, grad_weights)
}

/// The launches of [`weight_gradient`] in float32; those of a device are its [`Products`]'.
pub fn weight_gradient_passes(spec: &ConvSpec, input: MapShape) -> Vec<Pass> {
    Products::default().weight_gradient_passes(spec, input)
}

/// A weight gradient, planned.
pub(crate) struct WeightGradient {
    from: MapShape,
    to: MapShape,
    kernel: usize,
    stride: usize,
    padding: usize,
    way: Way,
    /// Weights.
    length: usize,
    multiply_adds: u64,
}

enum Way {
    Tiles(Plan, Option<Matrix>),
    Direct { depthwise: bool, pieces: usize, terms: usize },
}

impl Way {
    fn direct(to: MapShape, depthwise: bool, width: Width) -> Self {
        let across = to.channels.div_ceil(direct::CHANNELS);
        let pixels = to.pixels();
        // Four times as many groups as are enough: these read memory and wait for it.
        let pieces = (4 * width.groups()).div_ceil(across).min(pixels.div_ceil(LEAST_PIXELS));
        let terms = pixels.div_ceil(pieces);
        Self::Direct { depthwise, pieces: pixels.div_ceil(terms), terms }
    }
}

impl WeightGradient {
    /// `fours`: whether both maps are read in fours.
    pub(super) fn new(products: &Products, spec: &ConvSpec, input: MapShape, fours: bool) -> Self {
        let (to, taps) = (output_shape(spec, input), spec.kernel * spec.kernel);
        let way = if input.channels == 1 && taps <= MOST_DIRECT_TAPS {
            Way::direct(to, false, products.width())
        } else {
            let sides = [to.channels, taps * input.channels];
            let (plan, matrix) = products.plan(fours, sides, 1, to.pixels(), LEAST_PIXELS);
            Way::Tiles(plan, matrix)
        };
        let length = spec.weight_len();
        let multiply_adds = (length * to.pixels()) as u64;
        let ConvSpec { kernel, stride, padding, .. } = *spec;
        Self { from: input, to, kernel, stride, padding, way, length, multiply_adds }
    }

    /// Of a convolution with a kernel `[channels][kernel][kernel]`, one for each channel.
    pub(crate) fn depthwise(
        products: &Products,
        from: MapShape,
        to: MapShape,
        [kernel, stride, padding]: [usize; 3],
    ) -> Self {
        assert!(kernel * kernel <= MOST_DIRECT_TAPS, "a depthwise kernel of {kernel} x {kernel}");
        let length = to.channels * kernel * kernel;
        let multiply_adds = (to.len() * kernel * kernel) as u64;
        Self {
            from,
            to,
            kernel,
            stride,
            padding,
            way: Way::direct(to, true, products.width()),
            length,
            multiply_adds,
        }
    }

    /// Weights.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn pieces(&self) -> usize {
        match self.way {
            Way::Tiles(plan, _) => plan.pieces,
            Way::Direct { pieces, .. } => pieces,
        }
    }

    /// Tiles of a piece, down and across.
    fn tiles(&self, plan: Plan) -> [usize; 2] {
        plan.tile.cover(self.to.channels, self.length / self.to.channels)
    }

    pub(crate) fn passes(&self) -> Vec<Pass> {
        let pieces = self.pieces();
        let (name, groups, units) = match self.way {
            Way::Tiles(plan, _) => {
                let [down, across] = self.tiles(plan);
                ("weight gradient", [down * across, pieces], plan.tile.units())
            }
            Way::Direct { .. } => {
                let across = self.to.channels.div_ceil(direct::CHANNELS);
                ("direct weight gradient", [across * pieces, 1], direct::UNITS)
            }
        };
        let bytes = bytes(self.from.len() + self.to.len() + pieces * self.length);
        let first = Pass { name, groups, units, multiply_adds: self.multiply_adds, bytes };
        [Some(first), (pieces > 1).then(|| self.add_pass())].into_iter().flatten().collect()
    }

    fn add_pass(&self) -> Pass {
        let groups = [self.length.div_ceil(add_lanes(self.pieces())), 1];
        let bytes = bytes((self.pieces() + 1) * self.length);
        Pass { name: "add pieces", groups, units: ELEMENT_UNITS, multiply_adds: 0, bytes }
    }

    pub(crate) fn launch(
        &self,
        gpu: &Gpu,
        input: Source<'_>,
        grad_output: Map<'_>,
        grad_weights: Part<'_>,
    ) -> Result<(), Error> {
        grad_weights.expect(self.length, "the weights' gradient");
        let pieces = self.pieces();
        if pieces == 1 {
            self.first(gpu, input, grad_output, grad_weights);
            return Ok(());
        }
        let scratch = Buffer::empty(gpu, pieces * self.length)?;
        self.first(gpu, input, grad_output, scratch.whole());
        let pass = self.add_pass();
        // SAFETY: the scratch buffer holds the pieces, and the gradient's length was checked.
        unsafe {
            add_pieces::launch_unchecked(
                gpu.launch(&pass),
                gpu.grid(&pass),
                pass.dim(),
                scratch.argument(),
                grad_weights.argument(),
                self.length,
                pieces,
                grad_weights.start(),
            );
        }
        Ok(())
    }

    /// The launch that multiplies: writes all pieces, one after the other, to `target`.
    ///
    /// # Panics
    /// If a shape does not fit.
    pub(super) fn first(&self, gpu: &Gpu, source: Source<'_>, grad_output: Map<'_>, target: Part<'_>) {
        let (input, norm) = (source.map(), source.curve());
        input.expect(self.from, "the input");
        grad_output.expect(self.to, "the output's gradient");
        target.expect(self.pieces() * self.length, "the pieces of the weights' gradient");
        let pass = self.passes()[0];
        // SAFETY: lengths were checked against shapes, the target holds all pieces, and the kernels leave out what
        // lies outside.
        unsafe {
            match self.way {
                Way::Tiles(plan, Some(matrix)) => {
                    let [down, across] = self.tiles(plan);
                    let numbers = GatherNumbersLaunch::new(
                        self.kernel,
                        self.stride,
                        self.padding,
                        target.start(),
                        down * across,
                        across,
                        plan.pieces,
                        plan.terms,
                    );
                    with_factor!(matrix.precision, Factor => weights_by_matrices::launch_unchecked::<Factor>(
                        gpu.launch(&pass),
                        gpu.grid(&pass),
                        pass.dim(),
                        input.argument(),
                        grad_output.argument(),
                        source.statistics(),
                        target.argument(),
                        input.sizes(),
                        grad_output.sizes(),
                        numbers,
                        matrix.fragments,
                        norm,
                    ));
                }
                Way::Tiles(plan, None) => {
                    let [down, across] = self.tiles(plan);
                    weight_tiles::launch_unchecked(
                        gpu.launch(&pass),
                        gpu.grid(&pass),
                        pass.dim(),
                        input.argument(),
                        input.argument(),
                        grad_output.argument(),
                        grad_output.argument(),
                        source.statistics(),
                        target.argument(),
                        input.sizes(),
                        grad_output.sizes(),
                        WeightNumbersLaunch::new(
                            self.kernel,
                            self.stride,
                            self.padding,
                            target.start(),
                            down * across,
                            across,
                            plan.terms,
                        ),
                        Form {
                            tile: plan.tile,
                            input_fours: input.in_fours(),
                            grad_fours: grad_output.in_fours(),
                            norm,
                        },
                    );
                }
                Way::Direct { depthwise, pieces, terms } => {
                    let across = self.to.channels.div_ceil(direct::CHANNELS);
                    tap_sums::launch_unchecked(
                        gpu.launch(&pass),
                        gpu.grid(&pass),
                        pass.dim(),
                        input.argument(),
                        grad_output.argument(),
                        source.statistics(),
                        target.argument(),
                        input.sizes(),
                        grad_output.sizes(),
                        self.stride,
                        self.padding,
                        target.start(),
                        across * pieces,
                        across,
                        terms,
                        direct::Form { kernel: self.kernel, depthwise, norm },
                    );
                }
            }
        }
    }
}

const _: () = assert!(TERMS == 16, "the kernels load sixteen terms at a time");
