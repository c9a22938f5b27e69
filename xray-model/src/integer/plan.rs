//! What a network computes, step by step, with batch norm in the weights.

use crate::layers::BatchNorm;
use crate::weights::to_host;
use burn::nn::conv::Conv2d;
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use xray_kernels::{Activation, ConvSpec, DepthwiseSpec, Nonlinearity, Normalisation, Pool};

/// Channels of a block.
const LANES: usize = 16;

/// Steps, each of which makes a map; the first makes that of number 1, for 0 are the images.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// Channels of each map, images included.
    pub(crate) channels: Vec<usize>,
    /// How many ranges of values it asks for. The first is that of the images.
    pub(crate) ranges: usize,
    /// The last map.
    pub(crate) output: usize,
}

#[derive(Debug)]
pub(crate) struct Step {
    /// The maps that it reads, which stand beside each other where there are several.
    pub(crate) inputs: Vec<usize>,
    pub(crate) operation: Operation,
    /// Numbers of ranges.
    pub(crate) ranges: StepRanges,
}

/// Which ranges are those of a step's values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepRanges {
    /// Of what a skip connection is added to.
    pub(crate) sum: Option<usize>,
    /// Of SiLU's argument.
    pub(crate) argument: Option<usize>,
    /// Of the map. A max pool has that of its input.
    pub(crate) output: usize,
}

#[derive(Debug)]
pub(crate) enum Operation {
    /// With bias, perhaps a skip connection, and what follows.
    Conv {
        conv: ConvSpec,
        weights: Vec<f32>,
        bias: Vec<f32>,
        skip: Option<usize>,
        activation: Activation,
    },
    Depthwise {
        conv: DepthwiseSpec,
        weights: Vec<f32>,
        bias: Vec<f32>,
        function: Nonlinearity,
    },
    MaxPool(Pool),
    Gate(Gate),
    /// `relu(scale * x + shift)`, and perhaps the mean of 2×2 pixels.
    NormRelu {
        scale: Vec<f32>,
        shift: Vec<f32>,
        average: bool,
    },
}

/// Squeeze and excitation: two layers `[out][in]` with biases.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) layers: [(Vec<f32>, Vec<f32>); 2],
}

/// Maps of a plan that is being written.
#[derive(Clone, Debug)]
pub(crate) struct PlanMaps {
    plan: Rc<RefCell<Plan>>,
    maps: Vec<usize>,
}

/// The weights of a convolution and the bias behind it, with its batch norm.
pub(crate) fn folded_weights(conv: &Conv2d, norm: &BatchNorm) -> (Vec<f32>, Vec<f32>) {
    let (scale, shift) = norm.affine();
    let mut weights = to_host(conv.weight.val()).values;
    let filter = weights.len() / scale.len();
    for (weights, scale) in weights.chunks_mut(filter).zip(&scale) {
        weights.iter_mut().for_each(|weight| *weight *= scale);
    }
    (weights, shift)
}

impl BatchNorm {
    /// The factor of each channel and what is added, by the running statistics.
    pub(crate) fn affine(&self) -> (Vec<f32>, Vec<f32>) {
        let [mean, variance] = self.statistics().map(|values| to_host(values).values);
        let [gamma, beta] = [&self.weight, &self.bias].map(|values| to_host(values.val()).values);
        let epsilon = BatchNorm::EPSILON as f32;
        let normalisation = Normalisation::of_statistics(&mean, &variance, &gamma, &beta, epsilon);
        let (scale, shift) = normalisation.affine();
        (scale.to_vec(), shift.to_vec())
    }
}

impl Plan {
    /// What `network` makes of images of so many channels.
    pub(crate) fn of(channels: usize, network: impl FnOnce(PlanMaps) -> PlanMaps) -> Self {
        let plan = Plan { channels: vec![channels], ranges: 1, ..Plan::default() };
        let plan = Rc::new(RefCell::new(plan));
        let last = network(PlanMaps { plan: Rc::clone(&plan), maps: vec![0] });
        let output = last.only();
        drop(last);
        let plan = Rc::try_unwrap(plan).expect("the network's maps are gone").into_inner();
        Plan { output, ..plan }
    }

    /// The halo of each map: the widest padding of what reads it.
    pub(crate) fn halos(&self) -> Vec<usize> {
        let mut halos = vec![0; self.channels.len()];
        for step in &self.steps {
            let padding = match &step.operation {
                Operation::Conv { conv, .. } => conv.padding,
                Operation::Depthwise { conv, .. } => conv.padding,
                _ => 0,
            };
            for &map in &step.inputs {
                halos[map] = padding.max(halos[map]);
            }
        }
        halos
    }

    /// The number of a map's range.
    pub(crate) fn range_of(&self, map: usize) -> usize {
        match map {
            0 => 0,
            map => self.steps[map - 1].ranges.output,
        }
    }

    /// The lanes of a map's channels: those of maps beside each other each begin a block of 16, also when they were
    /// normalised.
    pub(crate) fn lanes(&self, map: usize) -> Vec<usize> {
        let parts = match map.checked_sub(1).map(|step| &self.steps[step]) {
            Some(Step { operation: Operation::NormRelu { .. }, inputs, .. }) => {
                inputs.iter().map(|&map| self.channels[map]).collect()
            }
            _ => vec![self.channels[map]],
        };
        let mut lanes = Vec::new();
        let mut first = 0;
        for channels in parts {
            lanes.extend(first..first + channels);
            first += channels.next_multiple_of(LANES);
        }
        lanes
    }

    /// A convolution of a map as one of its lanes, with weights of zero for those between channels.
    pub(crate) fn spread<'a>(
        &self,
        map: usize,
        conv: &ConvSpec,
        weights: &'a [f32],
    ) -> (ConvSpec, Cow<'a, [f32]>) {
        let is_normalised = map > 0 && matches!(self.steps[map - 1].operation, Operation::NormRelu { .. });
        if !is_normalised {
            return (*conv, Cow::Borrowed(weights));
        }
        let lanes = self.lanes(map);
        let count = lanes.last().map_or(0, |last| last + 1).next_multiple_of(LANES);
        let taps = conv.kernel * conv.kernel;
        let mut spread = vec![0.0; conv.out_channels * count * taps];
        for (number, weights) in weights.chunks(taps).enumerate() {
            let (out, channel) = (number / conv.in_channels, number % conv.in_channels);
            spread[(out * count + lanes[channel]) * taps..][..taps].copy_from_slice(weights);
        }
        (ConvSpec { in_channels: count, ..*conv }, Cow::Owned(spread))
    }

    /// The maps that nothing reads after each step.
    pub(crate) fn last_uses(&self) -> Vec<Vec<usize>> {
        let mut found = vec![Vec::new(); self.steps.len()];
        for map in (0..self.channels.len()).filter(|&map| map != self.output) {
            let reads = |step: &Step| {
                let skip = match step.operation {
                    Operation::Conv { skip, .. } => skip,
                    _ => None,
                };
                step.inputs.contains(&map) || skip == Some(map)
            };
            if let Some(last) = self.steps.iter().rposition(reads) {
                found[last].push(map);
            }
        }
        found
    }
}

impl PlanMaps {
    fn only(&self) -> usize {
        let [map] = self.maps[..] else { unreachable!("maps beside each other are normalised first") };
        map
    }

    fn step(&self, channels: usize, operation: Operation, ranges: [bool; 3]) -> Self {
        let mut plan = self.plan.borrow_mut();
        let [sum, argument, output] = ranges.map(|is_wanted| {
            let number = plan.ranges;
            plan.ranges += usize::from(is_wanted);
            is_wanted.then_some(number)
        });
        let output = output.unwrap_or_else(|| plan.range_of(self.only()));
        let ranges = StepRanges { sum, argument, output };
        plan.steps.push(Step { inputs: self.maps.clone(), operation, ranges });
        plan.channels.push(channels);
        PlanMaps { plan: Rc::clone(&self.plan), maps: vec![plan.steps.len()] }
    }

    pub(crate) fn convolved(
        &self,
        conv: ConvSpec,
        (weights, bias): (Vec<f32>, Vec<f32>),
        skip: Option<&Self>,
        activation: Activation,
    ) -> Self {
        let is_looked_up = activation.function == Nonlinearity::Silu;
        let ranges = [skip.is_some(), is_looked_up, true];
        let skip = skip.map(Self::only);
        let channels = conv.out_channels;
        self.step(channels, Operation::Conv { conv, weights, bias, skip, activation }, ranges)
    }

    pub(crate) fn filtered(
        &self,
        conv: DepthwiseSpec,
        (weights, bias): (Vec<f32>, Vec<f32>),
        function: Nonlinearity,
    ) -> Self {
        let is_looked_up = function == Nonlinearity::Silu;
        let operation = Operation::Depthwise { conv, weights, bias, function };
        self.step(conv.channels, operation, [false, is_looked_up, true])
    }

    pub(crate) fn max_pooled(&self, pool: Pool) -> Self {
        self.step(self.channels(), Operation::MaxPool(pool), [false; 3])
    }

    pub(crate) fn gated(&self, layers: [&Conv2d; 2]) -> Self {
        let layers = layers.map(|layer| {
            let bias = layer.bias.as_ref().expect("made with a bias").val();
            (to_host(layer.weight.val()).values, to_host(bias).values)
        });
        self.step(self.channels(), Operation::Gate(Gate { layers }), [false, false, true])
    }

    pub(crate) fn norm_relu(&self, (scale, shift): (Vec<f32>, Vec<f32>), average: bool) -> Self {
        self.step(scale.len(), Operation::NormRelu { scale, shift, average }, [false, false, true])
    }

    /// The channels of both.
    pub(crate) fn beside(&self, other: &Self) -> Self {
        let maps = self.maps.iter().chain(&other.maps).copied().collect();
        PlanMaps { plan: Rc::clone(&self.plan), maps }
    }

    fn channels(&self) -> usize {
        let plan = self.plan.borrow();
        self.maps.iter().map(|&map| plan.channels[map]).sum()
    }
}
