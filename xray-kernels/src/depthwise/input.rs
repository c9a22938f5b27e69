//! What a depthwise convolution reads: a map, or one that is normalised and activated row by row while it is read. Such
//! a map is never written: of all maps of a network of inverted bottlenecks these are the largest.
#![expect(unsafe_code, reason = "vector instructions")]

use crate::arena::{Arena, ArenaBuffer};
use crate::batch_norm::{Activation, ApplyRows, Normalisation, apply_form};
use crate::halo::clear_halo;
use crate::isa::{Form, Isa};
use crate::lanes::LANES;
use crate::nonlinearity::Nonlinearity;
use crate::shape::MapShape;
use crate::shared::Shared;

/// What a depthwise convolution in training reads.
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseInput<'a> {
    data: &'a [f32],
    shape: MapShape,
    by: Option<(&'a Normalisation, Nonlinearity)>,
}

impl<'a> DepthwiseInput<'a> {
    /// A map whose halo of zeros is at least as wide as the padding.
    ///
    /// # Panics
    /// If the slice does not have the shape's length.
    pub fn map(data: &'a [f32], shape: MapShape) -> Self {
        shape.check(data, "the input");
        Self { data, shape, by: None }
    }

    /// `function(batch_norm(z))` of a map `z`.
    ///
    /// # Panics
    /// If the slice does not have the shape's length, or the normalisation not its channels.
    pub fn normalised(
        (data, shape): (&'a [f32], MapShape),
        normalisation: &'a Normalisation,
        function: Nonlinearity,
    ) -> Self {
        normalisation.check(&shape);
        Self { by: Some((normalisation, function)), ..Self::map(data, shape) }
    }

    /// Images, channels and pixels.
    pub fn shape(&self) -> MapShape {
        self.shape
    }
}

/// The planes of an input in a padding of zeros.
pub(super) struct Planes<'a> {
    input: DepthwiseInput<'a>,
    /// Where pixels lie in a plane.
    pub(super) shape: MapShape,
    form: Option<Form<ApplyRows>>,
}

impl<'a> Planes<'a> {
    pub(super) fn new(isa: Isa, input: DepthwiseInput<'a>, padding: usize) -> Self {
        let DepthwiseInput { shape, by, .. } = input;
        match by {
            None => Self { input, shape, form: None },
            Some((_, function)) => {
                let shape = MapShape::new(1, LANES, shape.height, shape.width, padding);
                Self { input, shape, form: Some(apply_form(isa, Activation::of(function))) }
            }
        }
    }

    /// A plane, from its first row on.
    pub(super) fn plane(&self, arena: &Arena, [image, block]: [usize; 2]) -> Plane<'_> {
        let scratch = self.form.map(|_| {
            let mut scratch = arena.take(self.shape.len());
            // SAFETY: this plane's alone.
            unsafe { clear_halo(Shared::new(&mut scratch), &self.shape, 0, 0..1) };
            scratch
        });
        Plane { planes: self, image, block, scratch, ready: 0 }
    }
}

/// A plane while it is read.
pub(super) struct Plane<'a> {
    planes: &'a Planes<'a>,
    image: usize,
    block: usize,
    scratch: Option<ArenaBuffer>,
    /// Rows that were normalised.
    ready: usize,
}

impl Plane<'_> {
    /// The plane from the corner of its padding on, of which the pixels of all rows before `end` have their values.
    pub(super) fn up_to(&mut self, end: usize) -> &[f32] {
        let Planes { input, shape, form } = self.planes;
        let (Some(form), Some((by, _)), Some(scratch)) = (form, input.by, &mut self.scratch) else {
            return &input.data[shape.corner(self.image, self.block)..];
        };
        let (from, end) = (input.shape, end.min(shape.height));
        if self.ready < end {
            let rows = ApplyRows {
                input: input.data[from.offset(self.image, self.block, self.ready, 0)..].as_ptr(),
                input_row: from.row(),
                output: scratch[shape.offset(0, 0, self.ready, 0)..].as_mut_ptr(),
                output_row: shape.row(),
                rows: end - self.ready,
                columns: shape.width,
                scale: by.lanes()[0][self.block * LANES..].as_ptr(),
                shift: by.lanes()[1][self.block * LANES..].as_ptr(),
            };
            // SAFETY: both have these rows, and a vector of each for every block.
            unsafe { form(&rows) };
            self.ready = end;
        }
        scratch
    }
}
