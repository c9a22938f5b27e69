//! A training step of the small network (four blocks of convolution, batch norm, ReLU and pooling), by phase:
//! `cargo run --release -p xray-kernels --example small_cnn -- [THREADS] [SIZE] [BATCH] [STEPS]`.
//! All instruction sets of the processor, or the one that `XRAY_ISA` names; Winograd's convolutions and direct ones.
//! Operations are those of direct convolutions, so that Winograd's may exceed the peak.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::time::Instant;
use xray_kernels::{
    Activation, AdamStep, ArenaBuffer, BlockGradients, BlockParameters, Context, ConvBlock, ConvInput,
    ConvSpec, FoldedBlock, GradientMap, ISA_VARIABLE, Isa, MapShape, Nonlinearity, PlanarShape, SavedBlock,
    global_average, global_average_backward, multiply_add_peak,
};
use xray_random::Random;

struct Layer {
    block: ConvBlock,
    /// Weights, gamma and beta, and for each its gradient and moments.
    parameters: [[Vec<f32>; 4]; 3],
}

fn layer(in_channels: usize, out_channels: usize) -> Layer {
    let conv = ConvSpec { in_channels, out_channels, kernel: 3, stride: 1, padding: 1 };
    let mut random = Random::keyed(&[out_channels as u64]);
    let bound = (6.0 / (in_channels * 9) as f64).sqrt();
    let weight = |_| random.between(-bound, bound) as f32;
    let with_state = |values: Vec<f32>| {
        let zeros = vec![0.0; values.len()];
        [values, zeros.clone(), zeros.clone(), zeros]
    };
    let weights = (0..conv.weight_len()).map(weight).collect();
    let parameters = [weights, vec![1.0; out_channels], vec![0.0; out_channels]].map(with_state);
    let block = ConvBlock {
        conv,
        activation: Activation { function: Nonlinearity::Relu, pool: true },
        epsilon: 1e-5,
    };
    Layer { block, parameters }
}

impl Layer {
    fn parameters(&self) -> BlockParameters<'_> {
        let [weights, gamma, beta] = &self.parameters;
        BlockParameters { weights: &weights[0], gamma: &gamma[0], beta: &beta[0] }
    }
}

struct Output {
    data: ArenaBuffer,
    shape: MapShape,
    saved: SavedBlock,
}

fn step(context: &Context, layers: &mut [Layer], images: (&[f32], PlanarShape), number: u64) -> [f64; 3] {
    let start = Instant::now();
    let mut outputs: Vec<Output> = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let input = input(images, outputs.last());
        let shape = layer.block.output_shape(&input, usize::from(index + 1 < layers.len()));
        let mut data = context.arena.take(shape.len());
        let saved = layer.block.forward_training(context, input, layer.parameters(), (&mut data, shape));
        outputs.push(Output { data, shape, saved });
    }
    let last = outputs.last().expect("four layers");
    let mut features = vec![0.0; last.shape.images * last.shape.channels];
    global_average(context, (&last.data, last.shape), &mut features);
    let forward = start.elapsed().as_secs_f64();

    features.iter_mut().for_each(|value| *value *= 1e-3);
    let mut gradient = context.arena.take(last.shape.len());
    let mut grad_shape = last.shape;
    global_average_backward(&features, (&mut gradient, grad_shape));
    for index in (0..layers.len()).rev() {
        let (before, output) = outputs.split_at(index);
        let input = input(images, before.last());
        let in_shape = before.last().map(|output| output.shape.with_halo(0));
        let mut grad_input = context.arena.take(in_shape.map_or(0, |shape| shape.len()));
        let Layer { block, parameters: [weights, gamma, beta] } = &mut layers[index];
        let ([weights, grad_weights, ..], [gamma, grad_gamma, ..], [beta, grad_beta, ..]) =
            (weights, gamma, beta);
        let gradients = BlockGradients {
            weights: grad_weights,
            gamma: grad_gamma,
            beta: grad_beta,
            input: in_shape.map(|shape| GradientMap::new(&mut grad_input, shape)),
        };
        let parameters = BlockParameters { weights, gamma, beta };
        let given = (&gradient[..], grad_shape);
        block.backward(context, input, parameters, &output[0].saved, given, gradients);
        gradient = grad_input;
        if let Some(shape) = in_shape {
            grad_shape = shape;
        }
    }
    let backward = start.elapsed().as_secs_f64();

    let rule = AdamStep { step: number, ..AdamStep::default() };
    for [weights, gradient, mean, square] in layers.iter_mut().flat_map(|layer| &mut layer.parameters) {
        rule.apply(context, weights, gradient, mean, square);
    }
    let all = start.elapsed().as_secs_f64();
    [forward, backward - forward, all - backward]
}

fn input<'a>(images: (&'a [f32], PlanarShape), before: Option<&'a Output>) -> ConvInput<'a> {
    before.map_or(ConvInput::Planar(images.0, images.1), |output| ConvInput::Map(&output.data, output.shape))
}

/// Inference on one batch, in seconds.
fn infer(context: &Context, folded: &[FoldedBlock], layers: &[Layer], images: (&[f32], PlanarShape)) -> f64 {
    let start = Instant::now();
    let mut current: Option<(ArenaBuffer, MapShape)> = None;
    for (index, (folded, layer)) in folded.iter().zip(layers).enumerate() {
        let input = match &current {
            None => ConvInput::Planar(images.0, images.1),
            Some((data, shape)) => ConvInput::Map(data, *shape),
        };
        let shape = layer.block.output_shape(&input, usize::from(index + 1 < layers.len()));
        let mut data = context.arena.take(shape.len());
        folded.forward(context, input, (&mut data, shape));
        current = Some((data, shape));
    }
    start.elapsed().as_secs_f64()
}

/// Multiplications and additions of the convolutions: forward, and backward, which has no first input gradient.
fn operations(layers: &[Layer], size: usize, batch: usize) -> [f64; 2] {
    let pixels = |layer: usize| batch * (size >> layer) * (size >> layer);
    let each = layers.iter().enumerate().map(|(index, layer)| layer.block.conv.operations(pixels(index)));
    let each: Vec<f64> = each.collect();
    let forward: f64 = each.iter().sum();
    [forward, 2.0 * forward - each[0]]
}

/// Shortest and middle of some times in seconds, in milliseconds.
fn summary(mut times: Vec<f64>) -> [f64; 2] {
    times.sort_by(f64::total_cmp);
    [times[0] * 1e3, times[times.len() / 2] * 1e3]
}

fn measure(context: &Context, threads: usize, images: (&[f32], PlanarShape), steps: usize) {
    let mut layers = [layer(1, 32), layer(32, 64), layer(64, 128), layer(128, 256)];
    let shape = images.1;
    let times: Vec<[f64; 3]> =
        (1..=steps).map(|number| step(context, &mut layers, images, number as u64)).collect();
    let [forward_work, backward_work] = operations(&layers, shape.height, shape.images);
    let peak = multiply_add_peak(context.isa) * threads as f64;
    let report = |what: &str, [least, middle]: [f64; 2], work: f64| {
        let speed = work / least / 1e6;
        let share = 100.0 * speed / peak;
        println!(
            "  {what:9} {least:8.2} ms (median {middle:8.2}), {speed:6.1} GFLOP/s, {share:3.0} % of the peak"
        );
    };
    let form = if context.winograd { "Winograd's convolutions" } else { "direct convolutions" };
    println!("{}, {form}, {threads} threads: peak {peak:.1} GFLOP/s", context.isa);
    report("forward", summary(times.iter().map(|times| times[0]).collect()), forward_work);
    report("backward", summary(times.iter().map(|times| times[1]).collect()), backward_work);
    report(
        "step",
        summary(times.iter().map(|times| times.iter().sum()).collect()),
        forward_work + backward_work,
    );
    let folded = fold(context, &layers, images);
    let one = PlanarShape { images: 1, ..shape };
    let single = (&images.0[..one.len()], one);
    let times = (0..steps).map(|_| infer(context, &folded, &layers, single)).collect();
    report("infer 1", summary(times), forward_work / shape.images as f64);
    let times = (0..steps.div_ceil(4)).map(|_| infer(context, &folded, &layers, images)).collect();
    report("infer all", summary(times), forward_work);
    println!("  buffers   {:8.1} MB", context.arena.most_lent_bytes() as f64 / 1e6);
}

fn main() {
    let numbers: Vec<usize> =
        std::env::args().skip(1).map(|argument| argument.parse().expect("a number")).collect();
    let number = |index: usize, default: usize| numbers.get(index).copied().unwrap_or(default);
    let [threads, size, batch, steps] = [number(0, 1), number(1, 128), number(2, 32), number(3, 20)];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let shape = PlanarShape { images: batch, channels: 1, height: size, width: size };
    let images: Vec<f32> =
        (0..shape.len()).map(|index| ((index * 7919) % 1000) as f32 / 250.0 - 2.0).collect();
    let sets = match std::env::var_os(ISA_VARIABLE) {
        Some(_) => vec![Isa::detected().expect("an instruction set of this processor")],
        None => Isa::available().into_iter().rev().collect(),
    };
    for isa in sets {
        // The portable form is a tenth as fast.
        let steps = if isa == Isa::PORTABLE { 3 } else { steps };
        for winograd in [true, false] {
            let context = Context { winograd, ..Context::new(isa) };
            pool.install(|| measure(&context, threads, (&images, shape), steps));
        }
    }
}

/// With the statistics of one training batch.
fn fold(context: &Context, layers: &[Layer], images: (&[f32], PlanarShape)) -> Vec<FoldedBlock> {
    let mut last: Option<Output> = None;
    let mut folded = Vec::new();
    for layer in layers {
        let input = input(images, last.as_ref());
        let planar = matches!(input, ConvInput::Planar(..));
        let shape = layer.block.output_shape(&input, 1);
        let mut data = context.arena.take(shape.len());
        let saved = layer.block.forward_training(context, input, layer.parameters(), (&mut data, shape));
        let weights = layer.parameters().weights;
        folded.push(FoldedBlock::new(context, layer.block, planar, weights, &saved.normalisation));
        last = Some(Output { data, shape, saved });
    }
    folded
}
