//! How fast the kernels are here, and what share of the multiply-add peak that is; and how long it takes to pack
//! weights for both directions, as every step does; by Winograd's convolutions, where they apply, and by direct ones:
//! `cargo run --release -p xray-kernels --example measure -- [FILTER] [THREADS]`, where the filter is a part of
//! "avx512 small 2 winograd". Operations are those of direct convolutions, so that Winograd's may exceed the peak.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::time::Instant;
use xray_kernels::{
    Context, ConvInput, ConvOutput, ConvSpec, GradientMap, Isa, MapShape, PackedWeights, PlanarShape, Sums,
    TransposedWeights, convolve, convolve_backward, multiply_add_peak,
};
use xray_random::Random;

/// Shortest of a few repeats, in seconds.
fn shortest(mut work: impl FnMut()) -> f64 {
    work();
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    let mut repeats = 0;
    while repeats < 3 || (begin.elapsed().as_secs_f64() < 0.3 && repeats < 200) {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
        repeats += 1;
    }
    best
}

struct Layer {
    name: &'static str,
    spec: ConvSpec,
    size: usize,
    images: usize,
}

fn layer(name: &'static str, [i, o, kernel, stride]: [usize; 4], size: usize, images: usize) -> Layer {
    let spec = ConvSpec { in_channels: i, out_channels: o, kernel, stride, padding: kernel / 2 };
    Layer { name, spec, size, images }
}

fn layers() -> Vec<Layer> {
    vec![
        layer("small 1", [1, 32, 3, 1], 128, 2),
        layer("small 2", [32, 64, 3, 1], 64, 8),
        layer("small 3", [64, 128, 3, 1], 32, 8),
        layer("small 4", [128, 256, 3, 1], 16, 16),
        layer("resnet stem", [3, 64, 7, 2], 224, 1),
        layer("resnet 56", [64, 64, 3, 1], 56, 8),
        layer("resnet 28", [128, 128, 3, 1], 28, 8),
        layer("resnet 14", [256, 256, 3, 1], 14, 16),
        layer("resnet 7", [512, 512, 3, 1], 7, 8),
        layer("resnet 7 of 4", [512, 512, 3, 1], 7, 4),
        layer("resnet 7 of 16", [512, 512, 3, 1], 7, 16),
        layer("resnet 56 s2", [64, 128, 3, 2], 56, 2),
        layer("resnet 28 1x1 s2", [128, 256, 1, 2], 28, 2),
        layer("resnet 28 wide 1x1 s2", [512, 1024, 1, 2], 28, 16),
        layer("dense 28 1x1", [256, 128, 1, 1], 28, 2),
        layer("dense 28 3x3", [128, 32, 3, 1], 28, 8),
        layer("dense 14 1x1", [768, 128, 1, 1], 14, 4),
        layer("dense 7 1x1", [960, 128, 1, 1], 7, 8),
        layer("dense 7 3x3", [128, 32, 3, 1], 7, 16),
    ]
}

fn random(len: usize) -> Vec<f32> {
    let mut random = Random::keyed(&[]);
    (0..len).map(|_| random.between(-1.0, 1.0) as f32).collect()
}

fn form(winograd: bool) -> &'static str {
    if winograd { "winograd" } else { "direct" }
}

/// Packing; forward with sums, weight gradient alone, both gradients: GFLOP/s and share of the peak.
fn convolution(context: &Context, peak: f64, layer: &Layer) {
    let Layer { spec, size, images, .. } = *layer;
    let planar = spec.in_channels < 4;
    let weights = random(spec.weight_len());
    let out = spec.output_size(size);
    let in_shape = MapShape::new(images, spec.in_channels, size, size, spec.padding);
    let out_shape = MapShape::new(images, spec.out_channels, out, out, 0);
    let planar_shape = PlanarShape { images, channels: spec.in_channels, height: size, width: size };
    let data = random(if planar { planar_shape.len() } else { in_shape.len() });
    let input = if planar { ConvInput::Planar(&data, planar_shape) } else { ConvInput::Map(&data, in_shape) };
    let packed = PackedWeights::new(&context.arena, spec, planar, &weights, None);
    let transposed = TransposedWeights::new(&context.arena, spec, &weights);
    let mut output = context.arena.zeroed(out_shape.len());
    let gradient = random(out_shape.len());
    let mut sums = Sums::new(&context.arena, &out_shape);
    let mut grad_weights = vec![0.0; weights.len()];
    let mut grad_input = context.arena.zeroed(in_shape.len());

    let forward = shortest(|| {
        let to = ConvOutput {
            buffer: &mut output,
            shape: out_shape,
            bias: None,
            clamp: None,
            sums: Some(&mut sums),
        };
        convolve(context, input, &packed, to);
    });
    let given = (&gradient[..], out_shape);
    let weight = shortest(|| convolve_backward(context, spec, input, given, &mut grad_weights, None));
    let operations = spec.operations(out_shape.pixels());
    let report = |what: &str, seconds: f64, operations: f64| {
        let speed = operations / seconds / 1e9;
        print!("  {what} {:7.2} ms {speed:6.1} {:3.0} %", seconds * 1e3, 100.0 * speed / peak);
    };
    let pack = shortest(|| {
        drop(PackedWeights::new(&context.arena, spec, planar, &weights, None));
        drop(TransposedWeights::new(&context.arena, spec, &weights));
    });
    let form = form(context.winograd);
    print!("{:8} {:18} {form:8} pack {:5.2} ms", context.isa.name(), layer.name, pack * 1e3);
    report("forward", forward, operations);
    report("weights", weight, operations);
    if !planar {
        let both = shortest(|| {
            let target = (&transposed, GradientMap::new(&mut grad_input, in_shape));
            convolve_backward(context, spec, input, given, &mut grad_weights, Some(target));
        });
        report("both", both, 2.0 * operations);
    }
    println!();
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let filter = arguments.next().unwrap_or_default();
    let threads = arguments.next().map_or(1, |threads| threads.parse().expect("a number of threads"));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        for isa in Isa::available().into_iter().rev() {
            let peak = multiply_add_peak(isa) * threads as f64;
            println!("{isa}: {peak:.1} GFLOP/s multiply-add peak on {threads} threads");
            for layer in layers() {
                for winograd in [true, false] {
                    let form = form(winograd);
                    if format!("{isa} {} {form}", layer.name).contains(&filter) {
                        convolution(&Context { winograd, ..Context::new(isa) }, peak, &layer);
                    }
                }
            }
        }
    });
}
