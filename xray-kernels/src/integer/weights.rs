//! Weights as signed bytes, with a scale for each output channel, in the order in which the register tile reads them.

use super::map::{ByteBuffer, BytePlanes};
use crate::context::Context;
use crate::convolution::ConvSpec;
use crate::lanes::LANES;
use crate::shape::MapShape;

/// Input bytes that a lane multiplies at once.
pub(super) const QUAD: usize = 4;

/// Weights of so many output channels as bytes, and the scale of each: the same as those of a convolution of bytes, for
/// whoever writes them down.
pub fn quantised_weights(weights: &[f32], channels: usize) -> (Vec<i8>, Vec<f32>) {
    let filters = weights.chunks(weights.len() / channels).map(quantised);
    let (bytes, scales): (Vec<_>, Vec<_>) = filters.map(|Quantised { bytes, scale }| (bytes, scale)).unzip();
    (bytes.concat(), scales)
}

/// Of one output channel.
pub(super) struct Quantised {
    pub(super) bytes: Vec<i8>,
    pub(super) scale: f32,
}

/// Symmetric, from -127 to 127: the largest weight gets one of the ends.
pub(super) fn quantised(weights: &[f32]) -> Quantised {
    let scale = weights.iter().fold(0.0f32, |most, weight| most.max(weight.abs())) / 127.0;
    if !scale.is_normal() {
        return Quantised { bytes: vec![0; weights.len()], scale: 0.0 };
    }
    let byte = |weight: &f32| (weight / scale).round_ties_even().clamp(-127.0, 127.0) as i8;
    Quantised { bytes: weights.iter().map(byte).collect(), scale }
}

/// Four bytes of the input that lie side by side, and the weights that they meet: places in an output channel's
/// weights, or none where the bytes are of no channel or of no tap.
struct Step {
    channel: usize,
    tap: usize,
    places: [Option<usize>; QUAD],
}

/// `[out block][step][16 out][4]`.
#[derive(Debug)]
pub(super) struct ByteWeights {
    pub(super) spec: ConvSpec,
    /// Whether the input is planar: the four bytes are then of neighbours in a row, else of channels.
    pub(super) planar: bool,
    data: ByteBuffer,
    pub(super) steps: usize,
    /// The scale of each output channel.
    pub(super) scales: Vec<f32>,
    /// Of each output channel, the sum of its weights.
    pub(super) sums: Vec<i32>,
}

impl ByteWeights {
    /// Quantises and packs weights in PyTorch's order.
    pub(super) fn new(context: &Context, spec: ConvSpec, planar: bool, weights: &[f32]) -> Self {
        assert_eq!(weights.len(), spec.weight_len(), "weights do not have the length of {spec:?}");
        let filter = weights.len() / spec.out_channels;
        let steps = steps(&spec, planar);
        let blocks = spec.out_channels.div_ceil(LANES);
        let mut data = ByteBuffer::new(context, blocks * steps.len() * LANES * QUAD);
        let bytes = data.bytes_mut();
        bytes.fill(0);
        let (mut scales, mut sums) = (Vec::new(), Vec::new());
        for (out, filter) in weights.chunks(filter).enumerate() {
            let Quantised { bytes: quantised, scale } = quantised(filter);
            for (number, step) in steps.iter().enumerate() {
                let at = ((out / LANES * steps.len() + number) * LANES + out % LANES) * QUAD;
                for (byte, place) in bytes[at..at + QUAD].iter_mut().zip(step.places) {
                    *byte = place.map_or(0, |place| quantised[place].cast_unsigned());
                }
            }
            scales.push(scale);
            sums.push(quantised.iter().map(|&weight| i32::from(weight)).sum());
        }
        Self { spec, planar, data, steps: steps.len(), scales, sums }
    }

    /// Bytes of a block of output channels.
    pub(super) fn block(&self) -> usize {
        self.steps * LANES * QUAD
    }

    /// A block's weights and those behind it.
    pub(super) fn starting_at(&self, block: usize) -> &[u8] {
        &self.data.bytes()[block * self.block()..]
    }

    /// Where the bytes of each step lie in an image of a map, from the corner of its first halo on.
    pub(super) fn offsets_in_map(&self, shape: &MapShape) -> Vec<u32> {
        let spec = &self.spec;
        let first = (shape.halo - spec.padding) * (shape.row() + LANES);
        let offset = |step: Step| {
            let block = step.channel / LANES * shape.plane() + step.channel % LANES;
            let tap = step.tap / spec.kernel * shape.row() + step.tap % spec.kernel * LANES;
            (first + block + tap) as u32
        };
        steps(spec, false).into_iter().map(offset).collect()
    }

    /// The same in an image of planes.
    pub(super) fn offsets_in_planes(&self, planes: &BytePlanes) -> Vec<u32> {
        let kernel = self.spec.kernel;
        let offset = |step: Step| {
            (step.channel * planes.plane() + step.tap / kernel * planes.row() + step.tap % kernel) as u32
        };
        steps(&self.spec, true).into_iter().map(offset).collect()
    }
}

fn steps(spec: &ConvSpec, planar: bool) -> Vec<Step> {
    let (kernel, taps) = (spec.kernel, spec.kernel * spec.kernel);
    if planar {
        let first_of_quads = (0..taps).filter(|tap| tap % kernel % QUAD == 0);
        let quad = |channel: usize, tap: usize| {
            let left = kernel - tap % kernel;
            let places = std::array::from_fn(|at| (at < left).then_some(channel * taps + tap + at));
            Step { channel, tap, places }
        };
        let quads: Vec<_> = first_of_quads.collect();
        return (0..spec.in_channels).flat_map(|c| quads.iter().map(move |&tap| quad(c, tap))).collect();
    }
    // Block by block, so that the sixteen bytes of a pixel are used one after the other.
    let blocks = (0..spec.in_channels).step_by(LANES);
    let pixels = blocks.flat_map(|block| (0..taps).map(move |tap| (block, tap)));
    let quad = |channel: usize, tap: usize| {
        let place = |at| Some(channel + at).filter(|&c| c < spec.in_channels).map(|c| c * taps + tap);
        Step { channel, tap, places: std::array::from_fn(place) }
    };
    let channels = |block: usize| (block..(block + LANES).min(spec.in_channels)).step_by(QUAD);
    pixels.flat_map(|(block, tap)| channels(block).map(move |channel| quad(channel, tap))).collect()
}
