//! Backward: weight gradient and input gradient of an image while the gradient of its output is in the cache.
#![expect(unsafe_code, reason = "threads write disjoint images of one buffer")]

use super::input_gradient::InputGradient;
use super::pack::{TransposedWeights, WeightLayout};
use super::spec::ConvSpec;
use super::taps::gradient_halo;
use super::weight_gradient::{WeightGradient, run_range, runs_of_images};
use super::weight_pass::WeightPass;
use crate::context::Context;
use crate::planes::{ConvInput, Planes};
use crate::shape::{GradientMap, MapShape};
use crate::shared::Shared;
use rayon::prelude::*;
use std::ops::Range;

/// Floats of output gradient that should stay in the cache of a core: 512 KiB.
const CACHE: usize = 128 * 1024;

/// Makes the gradient of a convolution's output, image by image.
pub(crate) trait MapGradient: Sync {
    /// Writes all of an image, zero halo included, in the given shape (of one image).
    fn write(&self, image: usize, shape: &MapShape, to: &mut [f32]);
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
        let spec = &self.spec;
        let [images, channels, height, width] = self.input.size();
        assert_eq!(channels, spec.in_channels, "the input's channels and those of {spec:?}");
        assert_eq!(grad_weights.len(), spec.weight_len(), "the weight gradient of {spec:?}");
        let planes = Planes::new(self.context, self.input, spec.padding);
        let [rows, columns] = [spec.output_size(height), spec.output_size(width)];
        let gradient = MapShape::new(1, spec.out_channels, rows, columns, gradient_halo(spec, height, width));
        let layout = WeightLayout::new(spec, matches!(self.input, ConvInput::Planar(..)));
        let pass = WeightPass::new(self.context.isa, spec, &planes, &gradient);
        let weights = WeightGradient { isa: self.context.isa, planes: &planes, pass, layout, gradient };
        let input = target.map(|(transposed, map)| {
            map.check(self.input.size());
            InputGradient::new(self.context.isa, spec, gradient, transposed, map)
        });
        let work = Work { context: self.context, images, output, weights: &weights, input: input.as_ref() };
        let runs = runs_of_images(images, layout.len(), gradient.image());
        let mut parts = if runs == 1 { work.by_weights() } else { work.by_images(runs) };
        layout.unpack_sum(&mut parts, grad_weights);
    }
}

struct Work<'a, G> {
    context: &'a Context,
    images: usize,
    output: &'a G,
    weights: &'a WeightGradient<'a>,
    input: Option<&'a InputGradient<'a>>,
}

impl<G: MapGradient> Work<'_, G> {
    /// Threads take runs of images; each run has its own sum of weight gradients.
    fn by_images(&self, runs: usize) -> crate::arena::ArenaBuffer {
        let mut sums = self.context.arena.take(runs * self.weights.layout.len());
        sums.par_chunks_mut(self.weights.layout.len()).enumerate().for_each(|(run, sum)| {
            sum.fill(0.0);
            let sum = Shared::new(sum);
            let images = run_range(self.images, runs, run);
            // All weights and their gradients pass by once per group: it should outweigh them.
            let floats = CACHE.max(self.weights.layout.len());
            let group = (floats / self.weights.gradient.image()).clamp(1, images.len());
            let mut gradient = self.context.arena.take(group * self.weights.gradient.image());
            for start in images.clone().step_by(group) {
                let images = start..(start + group).min(images.end);
                self.write_gradients(images.clone(), &mut gradient);
                for tile in 0..self.weights.tiles() {
                    for in_block in 0..self.weights.planes.blocks {
                        // SAFETY: the sum is this task's.
                        unsafe { self.weights.add(images.clone(), &gradient, [tile, in_block], sum) };
                    }
                }
                if let Some(input) = self.input {
                    input.add(images, &gradient);
                }
            }
        });
        sums
    }

    /// The gradients of all images first; then threads take blocks of weights, each over all images in order.
    fn by_weights(&self) -> crate::arena::ArenaBuffer {
        let image = self.weights.gradient.image();
        let mut gradient = self.context.arena.take(self.images * image);
        gradient.par_chunks_mut(image).enumerate().for_each(|(number, to)| {
            self.write_gradients(number..number + 1, to);
        });
        let mut sum = self.context.arena.zeroed(self.weights.layout.len());
        let (shared, in_blocks) = (Shared::new(&mut sum), self.weights.planes.blocks);
        (0..self.weights.tiles() * in_blocks).into_par_iter().for_each(|number| {
            let place = [number / in_blocks, number % in_blocks];
            // SAFETY: each tile belongs to one task.
            unsafe { self.weights.add(0..self.images, &gradient, place, shared) };
        });
        if let Some(input) = self.input {
            input.add_all(self.images, &gradient);
        }
        sum
    }

    fn write_gradients(&self, images: Range<usize>, gradient: &mut [f32]) {
        let shape = &self.weights.gradient;
        for (image, to) in images.zip(gradient.chunks_mut(shape.image())) {
            self.output.write(image, shape, to);
        }
    }
}
