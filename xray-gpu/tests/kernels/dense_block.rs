//! A dense block and a transition put together from kernels. No normalised map is written: products normalise what
//! they load.

use crate::dense_passes::{LayerShape, TransitionShape};
use xray_gpu::{
    Affine, Buffer, ChannelTable, Error, Gpu, GradientMap, Map, MapShape, Normalised, Part, PendingGradients,
    Running, Statistics, TileSums, average_normalised, average_normalised_gradient, convolve_with_sums,
    input_gradient, input_gradient_with_sums, normalised_gradient, statistics,
};
use xray_kernels::{ConvSpec, Nonlinearity};

pub(crate) const EPSILON: f32 = 1e-5;
pub(crate) const MOMENTUM: f32 = 0.1;
const RELU: Nonlinearity = Nonlinearity::Relu;

/// Parameters and running statistics of a network, each in a buffer, and gradients in one as long as the parameters.
#[derive(Clone, Copy)]
pub(crate) struct Store<'a> {
    pub(crate) values: &'a Buffer,
    pub(crate) gradients: &'a Buffer,
    pub(crate) running: &'a Buffer,
}

/// Gamma, beta and weights of a norm and the convolution behind it, one after the other, from `at`; mean and variance
/// from `running_at`.
#[derive(Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) spec: ConvSpec,
    pub(crate) at: usize,
    pub(crate) running_at: usize,
}

impl Unit {
    fn rows<'a>(&self, buffer: &'a Buffer, at: usize) -> [Part<'a>; 2] {
        let channels = self.spec.in_channels;
        [at, at + channels].map(|at| buffer.part(at, channels))
    }

    fn affine<'a>(&self, buffer: &'a Buffer) -> Affine<'a> {
        let [gamma, beta] = self.rows(buffer, self.at);
        Affine { gamma, beta }
    }

    fn weights<'a>(&self, buffer: &'a Buffer) -> Part<'a> {
        buffer.part(self.at + 2 * self.spec.in_channels, self.spec.weight_len())
    }

    fn running<'a>(&self, buffer: &'a Buffer) -> Running<'a> {
        let [mean, variance] = self.rows(buffer, self.running_at);
        Running { mean, variance, momentum: MOMENTUM }
    }

    pub(crate) fn parameters(&self) -> usize {
        2 * self.spec.in_channels + self.spec.weight_len()
    }
}

/// Units one after the other, from the start of both buffers.
pub(crate) fn units(specs: impl IntoIterator<Item = ConvSpec>) -> Vec<Unit> {
    let (mut at, mut running_at) = (0, 0);
    let unit = |spec: ConvSpec| {
        let unit = Unit { spec, at, running_at };
        (at, running_at) = (at + unit.parameters(), running_at + 2 * spec.in_channels);
        unit
    };
    specs.into_iter().map(unit).collect()
}

/// A map and its gradient, in buffers of `channels` for each pixel.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) map: &'a Buffer,
    pub(crate) gradient: &'a Buffer,
    pub(crate) channels: usize,
}

/// A layer of a dense block.
pub(crate) struct Layer {
    pub(crate) shape: LayerShape,
    pub(crate) units: [Unit; 2],
}

/// What the way back needs beside the block's map.
pub(crate) struct Kept {
    bottleneck: Buffer,
    statistics: [Statistics; 2],
}

impl Layer {
    fn input<'a>(&self, buffer: &'a Buffer, channels: usize) -> Map<'a> {
        Map::channels_of(buffer, self.shape.input, 0, channels)
    }

    fn output<'a>(&self, buffer: &'a Buffer, channels: usize) -> Map<'a> {
        let LayerShape { input, growth } = self.shape;
        Map::channels_of(buffer, input.with_channels(growth), input.channels, channels)
    }

    /// Writes the layer's channels of the block, given the sums of those that the layer before wrote.
    pub(crate) fn forward(
        &self,
        gpu: &Gpu,
        store: Store<'_>,
        block: Block<'_>,
        table: &mut ChannelTable,
        sums: &TileSums,
    ) -> Result<(Kept, TileSums), Error> {
        let [first, second] = &self.units;
        let (affine, running) = (first.affine(store.values), first.running(store.running));
        let outer = table.statistics(gpu, sums, affine, running, EPSILON)?;
        let map = self.input(block.map, block.channels);
        let input = Normalised { map, statistics: &outer, function: RELU };
        let bottleneck = Buffer::empty(gpu, self.shape.bottleneck().len())?;
        let map = Map::new(&bottleneck, self.shape.bottleneck());
        let sums = convolve_with_sums(gpu, &first.spec, input, first.weights(store.values), map)?;
        let (affine, running) = (second.affine(store.values), second.running(store.running));
        let inner = statistics(gpu, &sums, affine, running, EPSILON)?;
        let input = Normalised { map, statistics: &inner, function: RELU };
        let output = self.output(block.map, block.channels);
        let sums = convolve_with_sums(gpu, &second.spec, input, second.weights(store.values), output)?;
        Ok((Kept { bottleneck, statistics: [outer, inner] }, sums))
    }

    /// Adds to the gradient of the layer's input, given that of its output, both in the block's. `settled`: no layer
    /// has added to the output's gradient.
    pub(crate) fn backward(
        &self,
        gpu: &Gpu,
        store: Store<'_>,
        block: Block<'_>,
        (kept, table, settled): (&Kept, &ChannelTable, bool),
        pending: &mut PendingGradients,
    ) -> Result<(), Error> {
        let ([first, second], [outer, inner]) = (&self.units, &kept.statistics);
        let grad_output = self.output(block.gradient, block.channels);
        if !settled {
            table.settle(gpu, self.output(block.map, block.channels), grad_output);
        }
        let map = Map::new(&kept.bottleneck, self.shape.bottleneck());
        let middle = Normalised { map, statistics: inner, function: RELU };
        pending.weight_gradient(gpu, &second.spec, middle, grad_output, second.weights(store.gradients))?;
        let grad_middle = Buffer::empty(gpu, map.shape().len())?;
        let grad = Map::new(&grad_middle, map.shape());
        let weights = second.weights(store.values);
        let sums = input_gradient_with_sums(gpu, &second.spec, grad_output, weights, middle, grad.into())?;
        normalised_gradient(gpu, middle, &sums, grad, second.affine(store.gradients));

        let map = self.input(block.map, block.channels);
        let input = Normalised { map, statistics: outer, function: RELU };
        pending.weight_gradient(gpu, &first.spec, input, grad, first.weights(store.gradients))?;
        let weights = first.weights(store.values);
        let target = GradientMap { map: self.input(block.gradient, block.channels), accumulate: true };
        let sums = input_gradient_with_sums(gpu, &first.spec, grad, weights, input, target)?;
        table.defer(gpu, outer, &sums, first.affine(store.gradients));
        Ok(())
    }
}

/// What follows a dense block.
pub(crate) struct Transition {
    pub(crate) shape: TransitionShape,
    pub(crate) unit: Unit,
}

impl Transition {
    /// Writes the first channels of the block after. The averaged map and the statistics are kept for the way back.
    pub(crate) fn forward(
        &self,
        gpu: &Gpu,
        store: Store<'_>,
        [before, after]: [Block<'_>; 2],
        table: &mut ChannelTable,
        sums: &TileSums,
    ) -> Result<(Buffer, Statistics, TileSums), Error> {
        let (affine, running) = (self.unit.affine(store.values), self.unit.running(store.running));
        let statistics = table.statistics(gpu, sums, affine, running, EPSILON)?;
        let map = Map::new(before.map, self.shape.input);
        let averaged = Buffer::empty(gpu, self.shape.averaged().len())?;
        let means = Map::new(&averaged, self.shape.averaged());
        average_normalised(gpu, Normalised { map, statistics: &statistics, function: RELU }, means);
        let output = Map::channels_of(after.map, self.output(), 0, after.channels);
        let weights = self.unit.weights(store.values);
        let sums = convolve_with_sums(gpu, &self.unit.spec, means, weights, output)?;
        Ok((averaged, statistics, sums))
    }

    pub(crate) fn output(&self) -> MapShape {
        self.shape.averaged().with_channels(self.unit.spec.out_channels)
    }

    /// Writes the gradient of the block before.
    pub(crate) fn backward(
        &self,
        gpu: &Gpu,
        store: Store<'_>,
        [before, after]: [Block<'_>; 2],
        (averaged, statistics): (&Buffer, &Statistics),
        pending: &mut PendingGradients,
    ) -> Result<(), Error> {
        let means = Map::new(averaged, self.shape.averaged());
        let grad_output = Map::channels_of(after.gradient, self.output(), 0, after.channels);
        let spec = &self.unit.spec;
        pending.weight_gradient(gpu, spec, means, grad_output, self.unit.weights(store.gradients))?;
        let grad_means = Buffer::empty(gpu, means.shape().len())?;
        let grad = Map::new(&grad_means, means.shape());
        input_gradient(gpu, spec, grad_output, self.unit.weights(store.values), grad.into())?;
        let map = Map::new(before.map, self.shape.input);
        let input = Normalised { map, statistics, function: RELU };
        let target = Map::new(before.gradient, self.shape.input).into();
        average_normalised_gradient(gpu, input, grad, target, self.unit.affine(store.gradients))
    }
}
