//! A plan whose maps are bytes.

use super::plan::{Gate, Operation, Plan, Step};
use crate::cpu::context;
use crate::{Error, Result};
use xray_kernels::{
    ByteAffine, ByteConv, ByteDepthwise, ByteInput, ByteMap, BytePlanes, ConvSpec, Nonlinearity, PlanarShape,
    Pool, Quantisation, Requantisation, byte_gate, byte_max_pool, byte_means, of_each_image,
};

/// A network up to its last maps, in integers.
#[derive(Debug)]
pub(crate) struct IntegerNetwork {
    steps: Vec<Layer>,
    images: Quantisation,
    /// The convolution that reads the images.
    first: ConvSpec,
    /// The lanes of the last map's channels.
    lanes: Vec<usize>,
    output: usize,
}

#[derive(Debug)]
struct Layer {
    inputs: Vec<usize>,
    work: Work,
    halo: usize,
    /// Maps that nothing reads any more.
    last_uses: Vec<usize>,
}

#[derive(Debug)]
enum Work {
    Conv { conv: ByteConv, skip: Option<usize> },
    Depthwise(ByteDepthwise),
    MaxPool(Pool),
    Gate { gate: Gate, output: Quantisation },
    NormRelu(ByteAffine),
}

impl IntegerNetwork {
    /// Of a plan, in bytes that reach over these ranges.
    ///
    /// # Errors
    /// If they are not as many as the plan asks for.
    pub(crate) fn new(plan: Plan, ranges: &[[f32; 2]]) -> Result<Self> {
        if ranges.len() != plan.ranges {
            return Err(Error::ActivationRanges { found: ranges.len(), expected: plan.ranges });
        }
        let bytes: Vec<_> = ranges.iter().map(|&[low, high]| Quantisation::of_range(low, high)).collect();
        let first = match &plan.steps[0].operation {
            Operation::Conv { conv, .. } => *conv,
            _ => unreachable!("a network begins with a convolution"),
        };
        let (lanes, output) = (plan.lanes(plan.output), plan.output);
        let (halos, last_uses) = (plan.halos(), plan.last_uses());
        let of_step = |number: usize, last_uses: Vec<usize>| {
            let step = &plan.steps[number];
            let work = Work::of(&plan, step, &bytes);
            Layer { inputs: step.inputs.clone(), work, halo: halos[number + 1], last_uses }
        };
        let steps = last_uses.into_iter().enumerate().map(|(number, uses)| of_step(number, uses)).collect();
        Ok(IntegerNetwork { steps, images: bytes[0], first, lanes, output })
    }

    /// The last maps of images, channel by channel.
    pub(crate) fn maps(&self, images: &[f32], shape: PlanarShape) -> LastMaps<'_> {
        let image = images.len() / shape.images.max(1);
        let one = PlanarShape { images: 1, ..shape };
        let of_image = |number: usize| self.last_map(&images[number * image..][..image], one);
        LastMaps { maps: of_each_image(shape.images, of_image), lanes: &self.lanes }
    }

    fn last_map(&self, image: &[f32], shape: PlanarShape) -> ByteMap {
        let planes = BytePlanes::new(context(), (image, shape), &self.first, self.images);
        let mut maps: Vec<Option<ByteMap>> = vec![None];
        for layer in &self.steps {
            let made = layer.work.run(&layer.inputs, &planes, &maps, layer.halo);
            maps.push(Some(made));
            layer.last_uses.iter().for_each(|&map| maps[map] = None);
        }
        maps[self.output].take().expect("kept to the end")
    }
}

/// The last map of each image.
pub(crate) struct LastMaps<'a> {
    maps: Vec<ByteMap>,
    lanes: &'a [usize],
}

impl LastMaps<'_> {
    pub(crate) fn images(&self) -> usize {
        self.maps.len()
    }

    pub(crate) fn channels(&self) -> usize {
        self.lanes.len()
    }

    /// `[n, channels]`.
    pub(crate) fn means(&self) -> Vec<f32> {
        let of_image = |map: &ByteMap| {
            let means = byte_means(map);
            self.lanes.iter().map(|&lane| means[lane]).collect::<Vec<_>>()
        };
        self.maps.iter().flat_map(of_image).collect()
    }

    /// `[n, channels, h, w]`, and these four.
    pub(crate) fn values(&self) -> (Vec<f32>, [usize; 4]) {
        let [height, width] = self.maps.first().map_or([0; 2], |map| [map.shape().height, map.shape().width]);
        let plane = height * width;
        let of_image = |map: &ByteMap| {
            let (values, _) = map.values(context());
            self.lanes.iter().flat_map(|lane| &values[lane * plane..][..plane]).copied().collect::<Vec<_>>()
        };
        let values = self.maps.iter().flat_map(of_image).collect();
        (values, [self.images(), self.lanes.len(), height, width])
    }
}

impl Work {
    fn of(plan: &Plan, step: &Step, bytes: &[Quantisation]) -> Self {
        let of_map = |map: usize| bytes[plan.range_of(map)];
        let input = of_map(step.inputs[0]);
        let output = bytes[step.ranges.output];
        let how = |function: Nonlinearity| Requantisation {
            function,
            argument: step.ranges.argument.map_or(output, |argument| bytes[argument]),
            output,
        };
        match &step.operation {
            Operation::Conv { conv, weights, bias, skip, activation } => {
                let from = step.inputs[0];
                let (conv, weights) = plan.spread(from, conv, weights);
                let conv = ByteConv::new(
                    context(),
                    conv,
                    from == 0,
                    (&weights, bias),
                    input,
                    skip.map(of_map),
                    &how(activation.function),
                    activation.pool,
                );
                Work::Conv { conv, skip: *skip }
            }
            Operation::Depthwise { conv, weights, bias, function } => {
                Work::Depthwise(ByteDepthwise::new(*conv, (weights, bias), input, &how(*function)))
            }
            Operation::MaxPool(pool) => Work::MaxPool(*pool),
            Operation::Gate(gate) => Work::Gate { gate: gate.clone(), output },
            Operation::NormRelu { scale, shift, average } => {
                let inputs = step.inputs.iter().map(|&map| (plan.channels[map], of_map(map)));
                let inputs: Vec<_> = inputs.collect();
                Work::NormRelu(ByteAffine::new([scale, shift], &inputs, output, *average))
            }
        }
    }

    fn run(&self, inputs: &[usize], planes: &BytePlanes, maps: &[Option<ByteMap>], halo: usize) -> ByteMap {
        let map = |number: usize| maps[number].as_ref().expect("made before, and still needed");
        let input = inputs[0];
        match self {
            Work::Conv { conv, skip } => {
                let from = if input == 0 { ByteInput::Planes(planes) } else { ByteInput::Map(map(input)) };
                conv.forward(context(), from, skip.map(map), halo)
            }
            Work::Depthwise(conv) => conv.forward(context(), map(input), halo),
            Work::MaxPool(pool) => byte_max_pool(context(), *pool, map(input), halo),
            Work::Gate { gate, output } => {
                let from = map(input);
                let factors = gate.factors(&byte_means(from), from.shape().channels);
                byte_gate(context(), from, &factors, *output, halo)
            }
            Work::NormRelu(affine) => {
                let inputs: Vec<_> = inputs.iter().map(|&number| map(number)).collect();
                affine.forward(context(), &inputs, halo)
            }
        }
    }
}
