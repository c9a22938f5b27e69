//! Dense blocks and transitions (Huang et al., 2017): the features of all layers lie in one buffer that each layer reads
//! from the front.

use super::filter::Filter;
use super::given::{ConvIds, DenseLayer};
use super::maps::{GpuMaps, Made};
use super::run::{Back, Run};
use super::view::View;
use crate::layers::Maps;
use xray_gpu::{
    ChannelTable, Error, GradientMap, Normalised, Statistics, TileSums, average_normalised,
    average_normalised_gradient, averaged_shape, convolve, convolve_with_sums, input_gradient,
    input_gradient_with_sums, map_sums, normalised_gradient, pool, running_statistics, statistics,
};
use xray_kernels::{ConvSpec, Nonlinearity, Pool, PoolKind};

/// A window of one pixel.
const COPY: Pool = Pool { kind: PoolKind::Average, kernel: 1, stride: 1, padding: 0 };

/// What of a layer is kept for the way back. What its convolutions read is normalised again where it is loaded.
struct Kept {
    outer: Statistics,
    inner: View,
    statistics: Statistics,
}

impl DenseLayer {
    fn specs(&self, channels: usize) -> [ConvSpec; 2] {
        let DenseLayer { width, growth, .. } = *self;
        [
            ConvSpec { in_channels: channels, out_channels: width, kernel: 1, stride: 1, padding: 0 },
            ConvSpec { in_channels: width, out_channels: growth, kernel: 3, stride: 1, padding: 1 },
        ]
    }

    /// Writes the channels behind those of `statistics`, and takes their sums.
    fn train(
        &self,
        run: &Run,
        features: &View,
        outer: Statistics,
        epsilon: f32,
    ) -> Result<(Kept, TileSums), Error> {
        let (gpu, store, channels) = (&*run.gpu, &run.store, outer.channels());
        let [squeeze, grow] = self.specs(channels);
        let read = features.channels(0, channels);
        let inner = View::empty(gpu, read.shape().with_channels(self.width))?;
        let kernel = store.part(self.squeeze.kernel);
        let sums = convolve_with_sums(gpu, &squeeze, activated(&read, &outer), kernel, inner.map())?;
        let gamma = self.grow.gamma;
        let statistics = statistics(gpu, &sums, store.affine(gamma), store.running(gamma), epsilon)?;
        let (new, kernel) = (features.channels(channels, self.growth), store.part(self.grow.kernel));
        let sums = convolve_with_sums(gpu, &grow, activated(&inner, &statistics), kernel, new.map())?;
        Ok((Kept { outer, inner, statistics }, sums))
    }

    /// Adds to the gradient of the features that the layer read, but for what the table subtracts of it in the end.
    fn back(
        &self,
        back: &Back<'_>,
        kept: &Kept,
        table: &ChannelTable,
        features: &View,
        grad: &View,
    ) -> Result<(), Error> {
        let Kept { outer, inner, statistics } = kept;
        let (gpu, channels) = (back.gpu, outer.channels());
        let [squeeze, grow] = self.specs(channels);
        let [read, grad_read] = [features, grad].map(|view| view.channels(0, channels));
        let grad_new = grad.channels(channels, self.growth);

        let middle = activated(inner, statistics);
        back.weight_gradient(&grow, middle.into(), grad_new.map(), self.grow.kernel)?;
        let grad_inner = View::empty(gpu, inner.shape())?;
        let grad_inner = grad_inner.map();
        let kernel = back.store.part(self.grow.kernel);
        let sums = input_gradient_with_sums(gpu, &grow, grad_new.map(), kernel, middle, grad_inner.into())?;
        let affine = back.gradients.affine(self.grow.gamma);
        normalised_gradient(gpu, middle, &sums, grad_inner, affine);

        let outermost = activated(&read, outer);
        back.weight_gradient(&squeeze, outermost.into(), grad_inner, self.squeeze.kernel)?;
        let kernel = back.store.part(self.squeeze.kernel);
        let into = GradientMap { map: grad_read.map(), accumulate: true };
        let sums = input_gradient_with_sums(gpu, &squeeze, grad_inner, kernel, outermost, into)?;
        table.defer(gpu, outer, &sums, back.gradients.affine(self.squeeze.gamma));
        Ok(())
    }

    fn infer(&self, run: &Run, features: &View, channels: usize, epsilon: f32) -> Result<(), Error> {
        let (gpu, store) = (&*run.gpu, &run.store);
        let [squeeze, grow] = self.specs(channels);
        let read = features.channels(0, channels);
        let (affine, running) = (store.affine(self.squeeze.gamma), store.running(self.squeeze.gamma));
        let outer = running_statistics(gpu, channels, affine, running, epsilon)?;
        let inner = View::empty(gpu, read.shape().with_channels(self.width))?;
        // The second batch norm is part of the first convolution.
        let squeeze = Filter::Full(squeeze);
        let ids = ConvIds { kernel: self.squeeze.kernel, gamma: self.grow.gamma };
        let folded = run.folds().get(ids.kernel, || squeeze.fold(gpu, store, ids, epsilon))?;
        let read = activated(&read, &outer);
        squeeze.infer(gpu, read.into(), &folded, Nonlinearity::Relu, None, inner.map())?;
        let new = features.channels(channels, self.growth);
        convolve(gpu, &grow, inner.map(), store.part(self.grow.kernel), new.map())
    }
}

/// Batch norm and ReLU of what is read.
fn activated<'a>(read: &'a View, statistics: &'a Statistics) -> Normalised<'a> {
    Normalised { map: read.map(), statistics, function: Nonlinearity::Relu }
}

impl GpuMaps {
    pub(crate) fn dense_block(self, layers: Vec<DenseLayer>, epsilon: f32) -> Maps {
        self.then(|Made { run, read: input }| {
            let (gpu, shape) = (&*run.gpu, input.view.shape());
            let grown = layers.iter().map(|layer| layer.growth).sum::<usize>();
            let features = View::empty(gpu, shape.with_channels(shape.channels + grown))?;
            let given = features.channels(0, shape.channels);
            pool(gpu, &COPY, input.view.map(), given.map());
            let mut kept = Vec::new();
            let mut table = ChannelTable::new(gpu, features.shape())?;
            if run.learns() {
                let mut sums = map_sums(gpu, given.map())?;
                for layer in &layers {
                    let gamma = layer.squeeze.gamma;
                    let (affine, running) = (run.store.affine(gamma), run.store.running(gamma));
                    let outer = table.statistics(gpu, &sums, affine, running, epsilon)?;
                    let (of_layer, new) = layer.train(&run, &features, outer, epsilon)?;
                    kept.push(of_layer);
                    sums = new;
                }
            } else {
                let mut channels = shape.channels;
                for layer in &layers {
                    layer.infer(&run, &features, channels, epsilon)?;
                    channels += layer.growth;
                }
            }
            let (made, gradient) = Made::by(run.clone(), features.clone());
            run.record(move |back| {
                let grad = gradient.take();
                let settle = |first, channels| {
                    let [map, grad] = [&features, &grad].map(|view| view.channels(first, channels));
                    table.settle(back.gpu, map.map(), grad.map());
                };
                let mut is_last = true;
                for (layer, kept) in layers.iter().zip(kept).rev() {
                    // Nobody in the block reads what the last layer writes.
                    if !std::mem::take(&mut is_last) {
                        settle(kept.outer.channels(), layer.growth);
                    }
                    layer.back(back, &kept, &table, &features, &grad)?;
                }
                settle(0, shape.channels);
                input.give_gradient(grad.channels(0, shape.channels));
                Ok(())
            });
            Ok(made)
        })
    }

    /// Batch norm, ReLU, 1×1 convolution and the mean of 2×2 pixels, which is taken before the convolution: they commute,
    /// and it is a quarter of the work. The gamma belongs to the batch norm before the kernel.
    pub(crate) fn transition(self, ids: ConvIds, out_channels: usize, epsilon: f32) -> Maps {
        self.then(|Made { run, read: input }| {
            let (gpu, store, shape) = (&*run.gpu, &run.store, input.view.shape());
            let (affine, running) = (store.affine(ids.gamma), store.running(ids.gamma));
            let statistics = if run.learns() {
                statistics(gpu, &map_sums(gpu, input.view.map())?, affine, running, epsilon)?
            } else {
                running_statistics(gpu, shape.channels, affine, running, epsilon)?
            };
            let means = View::empty(gpu, averaged_shape(shape))?;
            average_normalised(gpu, activated(&input.view, &statistics), means.map());
            let in_channels = shape.channels;
            let spec = ConvSpec { in_channels, out_channels, kernel: 1, stride: 1, padding: 0 };
            let output = View::empty(gpu, means.shape().with_channels(out_channels))?;
            convolve(gpu, &spec, means.map(), store.part(ids.kernel), output.map())?;
            let (made, gradient) = Made::by(run.clone(), output);
            run.record(move |back| {
                let (gpu, grad_output) = (back.gpu, gradient.take());
                back.weight_gradient(&spec, means.map().into(), grad_output.map(), ids.kernel)?;
                let grad_means = View::empty(gpu, means.shape())?;
                let kernel = back.store.part(ids.kernel);
                input_gradient(gpu, &spec, grad_output.map(), kernel, grad_means.map().into())?;
                input.write_gradient(gpu, |grad_input| {
                    let read = activated(&input.view, &statistics);
                    let affine = back.gradients.affine(ids.gamma);
                    average_normalised_gradient(gpu, read, grad_means.map(), grad_input, affine)
                })
            });
            Ok(made)
        })
    }
}
