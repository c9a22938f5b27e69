//! A training step of SmallCNN, put together from kernels: four times convolution, batch norm, ReLU and pooling, then
//! a global average, the last layer, binary cross-entropy and Adam.

use xray_gpu::{
    Affine, Buffer, Error, Gpu, Linear, LossKind, MARKED, Map, MapShape, Mark, NormMaps, Parameters, Part,
    Pass, Rule, Running, Update, Watch, Width, convolve_with_sums, forward_passes, global_average,
    global_average_gradient, global_average_gradient_pass, global_average_pass, input_gradient,
    input_gradient_passes, judge_passes, loss, loss_pass, normalise, normalise_backward,
    normalise_backward_passes, normalise_pass, normalised_shape, statistics, statistics_pass, sum_rows,
    update_pass, weight_gradient, weight_gradient_passes,
};
use xray_kernels::{Activation, ConvSpec, Nonlinearity};

pub(crate) const WIDTHS: [usize; 5] = [1, 32, 64, 128, 256];
pub(crate) const CLASSES: usize = 14;
pub(crate) const EPSILON: f32 = 1e-5;
pub(crate) const ACTIVATION: Activation = Activation { function: Nonlinearity::Relu, pool: true };
pub(crate) const LINEAR: Linear = Linear { channels: WIDTHS[4], classes: CLASSES };

/// A layer's convolution, and where its weights and its batch norm's start among the parameters.
#[derive(Clone, Copy)]
pub(crate) struct Layer {
    pub(crate) spec: ConvSpec,
    pub(crate) from: MapShape,
    pub(crate) weights_at: usize,
    pub(crate) affine_at: usize,
    running_at: usize,
}

pub(crate) struct Plan {
    pub(crate) layers: Vec<Layer>,
    pub(crate) linear_at: usize,
    pub(crate) parameters: usize,
    running: usize,
}

/// Of images of `size` x `size`.
pub(crate) fn plan(images: usize, size: usize) -> Plan {
    let (mut at, mut running) = (0, 0);
    let layers = (0..4).map(|i| {
        let (in_channels, out_channels) = (WIDTHS[i], WIDTHS[i + 1]);
        let spec = ConvSpec { in_channels, out_channels, kernel: 3, stride: 1, padding: 1 };
        let from = MapShape { images, height: size >> i, width: size >> i, channels: in_channels };
        let affine_at = at + spec.weight_len();
        let layer = Layer { spec, from, weights_at: at, affine_at, running_at: running };
        (at, running) = (affine_at + 2 * out_channels, running + 2 * out_channels);
        layer
    });
    let layers = layers.collect();
    Plan { layers, linear_at: at, parameters: (at + LINEAR.parameters()).next_multiple_of(MARKED), running }
}

impl Plan {
    /// The loss lies behind the gradients.
    fn gradients_and_loss<'a>(&self, buffer: &'a Buffer) -> (Part<'a>, Part<'a>) {
        (buffer.part(0, self.parameters), buffer.part(self.parameters, 1))
    }

    /// Weight and bias of the last layer.
    fn linear<'a>(&self, buffer: &'a Buffer) -> [Part<'a>; 2] {
        let weights = LINEAR.channels * LINEAR.classes;
        [buffer.part(self.linear_at, weights), buffer.part(self.linear_at + weights, LINEAR.classes)]
    }
}

/// Parameters, what the optimizer keeps of them, and the maps of a step.
pub(crate) struct SmallCnn {
    plan: Plan,
    pub(crate) values: Buffer,
    pub(crate) gradients: Buffer,
    means: Buffer,
    squares: Buffer,
    marks: Buffer,
    running: Buffer,
    positive_weights: Buffer,
    pub(crate) watch: Watch,
    steps: u64,
}

impl Layer {
    fn weights<'a>(&self, buffer: &'a Buffer) -> Part<'a> {
        buffer.part(self.weights_at, self.spec.weight_len())
    }

    fn affine<'a>(&self, buffer: &'a Buffer) -> Affine<'a> {
        let [gamma, beta] = self.rows(buffer, self.affine_at);
        Affine { gamma, beta }
    }

    fn running<'a>(&self, buffer: &'a Buffer) -> Running<'a> {
        let [mean, variance] = self.rows(buffer, self.running_at);
        Running { mean, variance, momentum: 0.1 }
    }

    fn rows<'a>(&self, buffer: &'a Buffer, at: usize) -> [Part<'a>; 2] {
        let channels = self.spec.out_channels;
        [at, at + channels].map(|at| buffer.part(at, channels))
    }

    fn convolved(&self) -> MapShape {
        self.from.with_channels(self.spec.out_channels)
    }

    fn output(&self) -> MapShape {
        normalised_shape(ACTIVATION, self.convolved())
    }
}

/// Every launch of a step, known before any.
pub(crate) fn passes(plan: &Plan) -> Vec<Pass> {
    let mut all = Vec::new();
    for layer in &plan.layers {
        all.extend(forward_passes(&layer.spec, layer.from));
        all.push(statistics_pass(layer.convolved(), sum_rows(&layer.spec, layer.from)));
        all.push(normalise_pass(ACTIVATION, layer.convolved(), false));
    }
    let last = plan.layers[3].output();
    all.push(global_average_pass(last));
    all.push(LINEAR.forward_pass(last.images));
    all.push(loss_pass(last.images * CLASSES, CLASSES));
    all.extend(LINEAR.backward_passes(last.images));
    all.push(global_average_gradient_pass(last));
    for (i, layer) in plan.layers.iter().enumerate().rev() {
        all.extend(normalise_backward_passes(Width::Discrete, ACTIVATION, layer.convolved(), false));
        all.extend(weight_gradient_passes(&layer.spec, layer.from));
        if i > 0 {
            all.extend(input_gradient_passes(&layer.spec, layer.from));
        }
    }
    all.extend(judge_passes(plan.parameters));
    all.push(update_pass(plan.parameters));
    all
}

impl SmallCnn {
    pub(crate) fn new(gpu: &Gpu, plan: Plan, values: &[f32]) -> Result<Self, Error> {
        assert_eq!(values.len(), plan.parameters);
        let zeros = vec![0.0; plan.parameters];
        // Every gradient is written, except of what fills up the last group of marked parameters.
        let mut gradients = vec![f32::NAN; plan.parameters + 1];
        gradients[plan.linear_at + LINEAR.parameters()..plan.parameters].fill(0.0);
        Ok(Self {
            values: Buffer::of(gpu, values)?,
            gradients: Buffer::of(gpu, &gradients)?,
            means: Buffer::of(gpu, &zeros)?,
            squares: Buffer::of(gpu, &zeros)?,
            marks: Buffer::of(gpu, &vec![Mark::DECAY; plan.parameters / MARKED])?,
            running: Buffer::of(gpu, &vec![0.0; plan.running])?,
            positive_weights: Buffer::of(gpu, &[1.0; CLASSES])?,
            watch: Watch::new(gpu, 64)?,
            plan,
            steps: 0,
        })
    }

    /// One step; nothing is read. `images` are `[image][y][x]`, `labels` `[image][class]`.
    pub(crate) fn step(&mut self, gpu: &Gpu, images: &Buffer, labels: &Buffer) -> Result<(), Error> {
        self.steps += 1;
        let (layers, last) = (&self.plan.layers, self.plan.layers[3].output());
        // Forward: convolved maps, statistics and outputs are kept for the way back.
        let mut kept: Vec<(Buffer, _, Buffer)> = Vec::new();
        for layer in layers {
            let input = Map::new(kept.last().map_or(images, |kept| &kept.2), layer.from);
            let convolved = Buffer::empty(gpu, layer.convolved().len())?;
            let output = Buffer::empty(gpu, layer.output().len())?;
            let z = Map::new(&convolved, layer.convolved());
            let sums = convolve_with_sums(gpu, &layer.spec, input, layer.weights(&self.values), z)?;
            let (affine, running) = (layer.affine(&self.values), layer.running(&self.running));
            let statistics = statistics(gpu, &sums, affine, running, EPSILON)?;
            normalise(gpu, ACTIVATION, &statistics, z, None, Map::new(&output, layer.output()));
            kept.push((convolved, statistics, output));
        }
        let [features, grad_features] = [(); 2].map(|()| Buffer::empty(gpu, last.images * last.channels));
        let [logits, grad_logits] = [(); 2].map(|()| Buffer::empty(gpu, labels.len()));
        let (features, grad_features) = (features?, grad_features?);
        let (logits, grad_logits) = (logits?, grad_logits?);
        let [weight, bias] = self.plan.linear(&self.values);
        let [grad_weight, grad_bias] = self.plan.linear(&self.gradients);
        global_average(gpu, Map::new(&kept[3].2, last), features.whole());
        LINEAR.forward(gpu, features.whole(), weight, bias, logits.whole());
        let (gradients, own_loss) = self.plan.gradients_and_loss(&self.gradients);
        loss(
            gpu,
            &LossKind::Bce,
            logits.whole(),
            labels.whole(),
            self.positive_weights.whole(),
            0.0,
            1.0,
            own_loss,
            grad_logits.whole(),
        );
        // And back.
        LINEAR.backward(
            gpu,
            (features.whole(), weight),
            grad_logits.whole(),
            grad_weight,
            grad_bias,
            grad_features.whole(),
        );
        let mut grad_output = Buffer::empty(gpu, last.len())?;
        global_average_gradient(gpu, grad_features.whole(), Map::new(&grad_output, last).into());
        for (i, layer) in layers.iter().enumerate().rev() {
            let (convolved, statistics, _) = &kept[i];
            let grad = Buffer::empty(gpu, convolved.len())?;
            let grad_z = Map::new(&grad, layer.convolved());
            let maps = NormMaps {
                input: Map::new(convolved, layer.convolved()),
                grad_output: Map::new(&grad_output, layer.output()),
                grad_input: grad_z.into(),
                skip: None,
            };
            normalise_backward(gpu, ACTIVATION, statistics, maps, layer.affine(&self.gradients))?;
            let input = Map::new(if i == 0 { images } else { &kept[i - 1].2 }, layer.from);
            weight_gradient(gpu, &layer.spec, input, grad_z, layer.weights(&self.gradients))?;
            if i > 0 {
                let next = Buffer::empty(gpu, layer.from.len())?;
                let weights = layer.weights(&self.values);
                input_gradient(gpu, &layer.spec, grad_z, weights, Map::new(&next, layer.from).into())?;
                grad_output = next;
            }
        }
        self.watch.judge(gpu, gradients, own_loss, self.steps, 0.0)?;
        let parameters = Parameters {
            values: &self.values,
            gradients: &self.gradients,
            means: &self.means,
            squares: &self.squares,
            marks: &self.marks,
        };
        adam(self.steps).apply(gpu, parameters, &self.watch);
        Ok(())
    }
}

pub(crate) fn adam(step: u64) -> Update {
    Update {
        rule: Rule::Adam,
        step,
        learning_rates: [1e-3, 1e-3],
        frozen: false,
        momentum: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
    }
}
