//! Backward: weight gradient and input gradient of an image while the gradient of its output is in the cache.

use super::input_gradient::InputGradient;
use super::pack::{TransposedWeights, WeightLayout};
use super::spec::ConvSpec;
use super::taps::gradient_halo;
use super::weight_gradient::{WeightGradient, run_range, runs_of_images};
use super::weight_pass::WeightPass;
use super::winograd::{self, MinimalWeightGradient, Source};
use crate::context::Context;
use crate::planes::{ConvInput, Planes};
use crate::shape::{GradientMap, MapShape};
use crate::tasks::for_each_chunk;
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
        let planar = matches!(self.input, ConvInput::Planar(..));
        let layout = WeightLayout::new(spec, planar);
        let input = target.map(|(transposed, map)| {
            map.check(self.input.size());
            InputGradient::new(self.context, spec, gradient, transposed, map)
        });
        let (context, input) = (self.context, input.as_ref());
        if !planar && winograd::applies_to_weight_gradient(context, spec, [rows, columns], images) {
            let source = Source::of_planes(&planes, [height, width]);
            let (padding, in_blocks) = (spec.padding, planes.blocks);
            let weights = MinimalWeightGradient { context, source, padding, layout, in_blocks, gradient };
            Work { context, images, output, gradient, weights: &weights, input }.run(grad_weights);
        } else {
            let pass = WeightPass::new(context.isa, spec, &planes, &gradient);
            let weights = WeightGradient { isa: context.isa, planes: &planes, pass, layout, gradient };
            Work { context, images, output, gradient, weights: &weights, input }.run(grad_weights);
        }
    }
}

/// How weight gradients are summed, in whatever order of weights suits.
pub(super) trait WeightSums: Sync {
    /// Floats of a sum.
    fn len(&self) -> usize;
    /// Adds some images, whose output gradients begin at `gradient[0]`, image after image, on this thread.
    fn add(&self, images: Range<usize>, gradient: &[f32], sums: &mut [f32]);
    /// Adds all images on the threads of the pool, each weight's image after image.
    fn add_all(&self, images: usize, gradient: &[f32], sums: &mut [f32]);
    /// Adds up sums that lie one behind the other, in their order, and puts the gradients in PyTorch's.
    fn finish(&self, parts: &mut [f32], grad_weights: &mut [f32]);
}

struct Work<'a, G, W> {
    context: &'a Context,
    images: usize,
    output: &'a G,
    /// The shape of the output's gradient, for one image.
    gradient: MapShape,
    weights: &'a W,
    input: Option<&'a InputGradient<'a>>,
}

impl<G: MapGradient, W: WeightSums> Work<'_, G, W> {
    fn run(&self, grad_weights: &mut [f32]) {
        let runs = runs_of_images(self.images, self.weights.len(), self.gradient.image());
        let mut parts = if runs == 1 { self.by_weights() } else { self.by_images(runs) };
        self.weights.finish(&mut parts, grad_weights);
    }

    /// Threads take runs of images; each run has its own sum of weight gradients.
    fn by_images(&self, runs: usize) -> crate::arena::ArenaBuffer {
        let mut sums = self.context.arena.take(runs * self.weights.len());
        for_each_chunk("convolution, backward", &mut sums, self.weights.len(), |run, sum| {
            sum.fill(0.0);
            let images = run_range(self.images, runs, run);
            // All weights and their gradients pass by once per group: it should outweigh them.
            let floats = CACHE.max(self.weights.len());
            let group = (floats / self.gradient.image()).clamp(1, images.len());
            let mut gradient = self.context.arena.take(group * self.gradient.image());
            for start in images.clone().step_by(group) {
                let images = start..(start + group).min(images.end);
                self.write_gradients(images.clone(), &mut gradient);
                self.weights.add(images.clone(), &gradient, sum);
                if let Some(input) = self.input {
                    input.add(images, &gradient);
                }
            }
        });
        sums
    }

    /// The gradients of all images first; then threads take blocks of weights, each over all images in order.
    fn by_weights(&self) -> crate::arena::ArenaBuffer {
        let image = self.gradient.image();
        let mut gradient = self.context.arena.take(self.images * image);
        for_each_chunk("gradient of a convolution's output", &mut gradient, image, |number, to| {
            self.write_gradients(number..number + 1, to);
        });
        let mut sum = self.context.arena.zeroed(self.weights.len());
        self.weights.add_all(self.images, &gradient, &mut sum);
        if let Some(input) = self.input {
            input.add_all(self.images, &gradient);
        }
        sum
    }

    fn write_gradients(&self, images: Range<usize>, gradient: &mut [f32]) {
        let shape = &self.gradient;
        for (image, to) in images.zip(gradient.chunks_mut(shape.image())) {
            self.output.write(image, shape, to);
        }
    }
}
