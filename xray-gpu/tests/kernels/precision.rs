//! Convolutions by matrix instructions, in every precision that the device offers.

use crate::convolution::check_on;
use crate::reference::{
    Maps, Norm, Pair, assert_close, assert_same_bits, buffer, gpu, normalised, random, read, shape,
    unwritten, wide,
};
use crate::source;
use half::{bf16, f16};
use xray_gpu::{
    Affine, BLOCKS, Block, Counts, Error, Gpu, GradientMap, Normalised, PendingGradients, Precision, Running,
    Source, TILES, Tile, convolve, convolve_with_sums, input_gradient, input_gradient_with_sums, map_sums,
    normalise, normalised_gradient, output_shape, statistics, weight_gradient,
};
use xray_kernels::{Activation, ConvSpec, Nonlinearity};

const EPSILON: f32 = 1e-5;

/// What a factor is rounded to, ties to even.
fn rounding(precision: Precision) -> fn(f32) -> f32 {
    match precision {
        Precision::F32 => |value| value,
        Precision::Tf32 => |value| {
            let bits = value.to_bits();
            f32::from_bits((bits + 0xfff + (bits >> 13 & 1)) & !0x1fff)
        },
        Precision::Bf16 => |value| bf16::from_f32(value).to_f32(),
        Precision::F16 => |value| f16::from_f32(value).to_f32(),
    }
}

/// Runs `check` in each precision that has matrix instructions here.
#[expect(clippy::print_stderr, reason = "what is not tested, and why")]
fn with_instructions(check: impl Fn(&Gpu, fn(f32) -> f32)) {
    let offered = gpu().precisions();
    for precision in Precision::ALL.into_iter().filter(|p| *p != Precision::F32) {
        if offered.contains(&precision) {
            check(&gpu().with_precision(precision).expect("it is offered"), rounding(precision));
        } else {
            eprintln!("skipped: this Vulkan driver lists no {precision} matrix instructions");
        }
    }
}

#[test]
fn factors_are_rounded_and_sums_are_not() {
    with_instructions(|gpu, rounded| {
        for kernel in [1, 3, 5] {
            for stride in [1, 2] {
                for padding in 0..kernel.min(3) {
                    check_on(gpu, rounded, [kernel, stride, padding], [8, 12], [2, 9, 8], [0, 0]);
                }
            }
        }
        check_on(gpu, rounded, [7, 2, 3], [4, 16], [2, 15, 13], [0, 0]);
        check_on(gpu, rounded, [3, 3, 1], [4, 8], [2, 7, 5], [0, 0]);
        check_on(gpu, rounded, [3, 1, 1], [40, 36], [3, 6, 5], [4, 8]);
        check_on(gpu, rounded, [1, 2, 0], [8, 4], [3, 1, 2], [0, 0]);
        // Contractions in pieces, and more than one tile along each side.
        check_on(gpu, rounded, [1, 1, 0], [256, 64], [2, 7, 7], [0, 0]);
        check_on(gpu, rounded, [3, 2, 1], [16, 132], [2, 33, 31], [0, 0]);
        check_on(gpu, rounded, [3, 1, 1], [32, 32], [1, 48, 40], [0, 0]);
    });
}

#[test]
fn every_block_multiplies() {
    with_instructions(|gpu, rounded| {
        // Beside those of the table some for planes of eight units, which renderers in software have.
        let block = |rows, columns, planes| (Block { rows, columns, planes }, 1.0);
        let small = [block(64, 32, [4, 2]), block(32, 64, [1, 4]), block(64, 64, [4, 4])];
        let mut suited = 0;
        for block in BLOCKS.into_iter().chain(small) {
            let Some(gpu) = gpu.with_blocks(&[block]) else { continue };
            suited += 1;
            check_on(&gpu, rounded, [3, 1, 1], [20, 136], [2, 11, 9], [0, 0]);
            check_on(&gpu, rounded, [3, 2, 1], [36, 20], [3, 13, 10], [0, 4]);
        }
        assert!(suited > 1, "one block is not a choice");
    });
}

/// Maps of channels that are not read in fours are multiplied in registers, in whatever precision.
#[test]
fn odd_channels_are_multiplied_in_float32() {
    with_instructions(|gpu, _| {
        check_on(gpu, |value| value, [3, 1, 1], [3, 5], [2, 7, 10], [0, 0]);
        check_on(gpu, |value| value, [3, 1, 1], [8, 4], [2, 6, 5], [3, 2]);
    });
}

/// What is normalised where it is loaded is rounded afterwards: within the rounding of factors the formula's. The sums of
/// the way back are taken too.
#[test]
fn maps_are_normalised_where_they_are_loaded() {
    with_instructions(|gpu, _| {
        let tolerance = if gpu.precision() == Precision::Bf16 { 3e-2 } else { 4e-3 };
        let relu = Nonlinearity::Relu;
        source::check_on((gpu, tolerance), relu, [3, 1, 1], [8, 12], [2, 6, 5], [0, 0], false);
        source::check_on((gpu, tolerance), relu, [3, 2, 1], [8, 8], [2, 7, 9], [0, 4], true);
        source::check_on((gpu, tolerance), relu, [1, 1, 0], [288, 260], [1, 5, 6], [0, 8], true);
    });
}

/// The sums of channels that a convolution leaves are those of the map that it writes.
#[test]
fn channel_sums_are_of_the_output() {
    with_instructions(|gpu, _| {
        for (size, to) in [([2, 9, 8], 12), ([1, 48, 40], 32), ([2, 33, 31], 132)] {
            let spec = ConvSpec { in_channels: 16, out_channels: to, kernel: 3, stride: 1, padding: 1 };
            let from = shape(size[0], size[1], size[2], 16);
            let input = Maps::of(&random(from.len(), 1), from, [0, 0]);
            let output = Maps::unwritten(from.with_channels(to), [0, 0]);
            let weights = buffer(&random(spec.weight_len(), 2));
            let found = convolve_with_sums(gpu, &spec, input.map(), weights.whole(), output.map());
            let sums = found.expect("small");
            let (ones, zeros) = (buffer(&vec![1.0; 2 * to]), buffer(&vec![0.0; 2 * to]));
            let affine = Affine { gamma: ones.part(0, to), beta: ones.part(to, to) };
            let running = Running { mean: zeros.part(0, to), variance: zeros.part(to, to), momentum: 0.1 };
            let found = statistics(gpu, &sums, affine, running, 1e-5).expect("small");
            let (found, values) = (read(found.buffer()), wide(&output.read()));
            let channel = |c: usize| values.iter().skip(c).step_by(to);
            let count = from.pixels() as f64;
            let means: Vec<_> = (0..to).map(|c| channel(c).sum::<f64>() / count).collect();
            let variances: Vec<_> =
                (0..to).map(|c| channel(c).map(|v| (v - means[c]).powi(2)).sum::<f64>() / count).collect();
            assert_close("means", &found[..to], &means, 1e-5);
            assert_close("variances", &found[4 * to..5 * to], &variances, 1e-5);
        }
    });
}

/// The instructions are taken, rather than float32 everywhere; and the table of tiles changes no precision.
#[test]
fn a_precision_changes_the_bits() {
    let spec = ConvSpec { in_channels: 16, out_channels: 16, kernel: 3, stride: 1, padding: 1 };
    let from = shape(1, 8, 8, 16);
    let (input, weights) = (buffer(&random(from.len(), 1)), buffer(&random(spec.weight_len(), 2)));
    let output = |gpu: &Gpu| {
        let output = unwritten(from.len());
        let [source, target] = [&input, &output].map(|buffer| xray_gpu::Map::new(buffer, from));
        convolve(gpu, &spec, source, weights.whole(), target).expect("small");
        read(&output)
    };
    let exact = output(gpu());
    with_instructions(|gpu, _| {
        assert_ne!(output(gpu), exact, "{}", gpu.precision());
        let back = gpu.with_precision(Precision::F32).expect("every device offers it");
        assert_eq!(output(&back), exact);
        let tile = Tile { rows: 32, columns: 32, register_rows: 4, register_columns: 4 };
        assert_eq!(gpu.with_tiles(&[(tile, 1.0)]).precision(), gpu.precision());
    });
}

#[test]
fn what_is_not_offered_is_an_error() {
    let offered = gpu().precisions();
    assert_eq!(offered[0], Precision::F32);
    for asked in Precision::ALL.into_iter().filter(|p| !offered.contains(p)) {
        let error = gpu().with_precision(asked).err().expect("it is not offered");
        let Error::Precision { .. } = error else { panic!("{error:?}") };
        let text = error.to_string();
        assert!(text.starts_with(asked.name()) && text.contains("hint: it offers f32"), "{text}");
    }
}

/// Tables for a sweep: a tile alone gives the same sums, in its own order.
#[test]
fn tiles_of_another_table_multiply() {
    for tile in TILES.into_iter().step_by(3) {
        let gpu = gpu().with_tiles(&[tile]);
        check_on(&gpu, |value| value, [3, 2, 1], [20, 36], [2, 11, 9], [0, 0]);
    }
}

/// A map that is normalised where a product loads it gives the bits of one that is written, and batch norm's sums are of
/// the gradient that the same instructions write; both are launched as [`Products`](xray_gpu::Products) says.
fn check_norms(gpu: &Gpu, [kernel, stride]: [usize; 2], [from, to]: [usize; 2], size: [usize; 3]) {
    let spec = ConvSpec { in_channels: from, out_channels: to, kernel, stride, padding: kernel / 2 };
    let (from, spare) = (shape(size[0], size[1], size[2], from), [0, 4]);
    let what = format!("{spec:?} in {} on {size:?}", gpu.precision());
    let map: Vec<f32> = random(from.len(), 1).iter().map(|value| 2.0 * value + 5.0).collect();
    let (affine, there) = (random(2 * from.channels, 3), random(from.len(), 4));
    let (input, written) = (Maps::of(&map, from, spare), Maps::unwritten(from, spare));
    let (parameters, running) = (Pair::halves(&affine), Pair::halves(&vec![0.0; 2 * from.channels]));
    let sums = map_sums(gpu, input.map()).expect("small");
    let found = statistics(gpu, &sums, parameters.affine(), running.running(0.1), EPSILON);
    let statistics = found.expect("small");
    let relu = Activation::of(Nonlinearity::Relu);
    normalise(gpu, relu, &statistics, input.map(), None, written.map());
    let normal = Normalised { map: input.map(), statistics: &statistics, function: Nonlinearity::Relu };
    let weights = buffer(&random(spec.weight_len(), 2));
    let to = output_shape(&spec, from);
    let grad = Maps::of(&random(to.len(), 5), to, spare);

    let forward = |source: Source<'_>| {
        let (output, grad_weights) = (Maps::unwritten(to, spare), unwritten(spec.weight_len()));
        convolve(gpu, &spec, source, weights.whole(), output.map()).expect("small");
        weight_gradient(gpu, &spec, source, grad.map(), grad_weights.whole()).expect("small");
        [output.read(), read(&grad_weights)]
    };
    for (found, expected) in forward(normal.into()).iter().zip(forward(written.map().into())) {
        assert_same_bits(&what, found, &expected);
    }

    let plain = Maps::unwritten(from, spare);
    input_gradient(gpu, &spec, grad.map(), weights.whole(), plain.map().into()).expect("small");
    let expected = normalised(&Norm {
        activation: relu,
        from,
        input: &wide(&map),
        affine: &wide(&affine),
        skip: None,
        grad: &wide(&plain.read()),
        epsilon: f64::from(EPSILON),
    });
    let grad_input = Maps::of(&there, from, spare);
    let target = GradientMap { map: grad_input.map(), accumulate: true };
    let backward = |gpu: &Gpu| {
        input_gradient_with_sums(gpu, &spec, grad.map(), weights.whole(), normal, target).expect("small")
    };
    let sums = backward(gpu);
    let grad_affine = Pair::halves(&vec![f32::NAN; 2 * from.channels]);
    normalised_gradient(gpu, normal, &sums, grad_input.map(), grad_affine.affine());
    let sum: Vec<_> = expected.grad_input.iter().zip(&there).map(|(a, b)| a + f64::from(*b)).collect();
    assert_close(&format!("{what}: gradient of the map"), &grad_input.read(), &sum, 2e-5);
    assert_close(&format!("{what}: gamma, beta"), &grad_affine.read(), &expected.grad_affine, 2e-5);

    let counting = gpu.counting();
    let (output, grad_weights) = (Maps::unwritten(to, spare), unwritten(spec.weight_len()));
    convolve(&counting, &spec, normal, weights.whole(), output.map()).expect("small");
    backward(&counting);
    let mut pending = PendingGradients::new(8 << 20);
    pending.weight_gradient(&counting, &spec, normal, grad.map(), grad_weights.whole()).expect("small");
    pending.flush(&counting).expect("small");
    let products = gpu.products();
    let mut passes = products.forward_passes(&spec, from);
    passes.extend(products.input_gradient_with_sums_passes(&spec, from, true));
    passes.extend(products.pending_gradients_passes(8 << 20, [(spec, from)]));
    let mut counts = Counts::default();
    passes.iter().for_each(|pass| counts += pass);
    assert_eq!(counting.counts(), counts, "{what}");
}

#[test]
fn products_normalise_what_they_load_and_take_sums() {
    with_instructions(|gpu, _| {
        check_norms(gpu, [3, 1], [8, 12], [2, 6, 5]);
        check_norms(gpu, [3, 2], [8, 8], [2, 7, 9]);
        check_norms(gpu, [1, 1], [40, 136], [3, 9, 8]);
        // Contractions in pieces, whose sums are taken where those are added up, and one that is not cut.
        check_norms(gpu, [1, 1], [288, 260], [1, 5, 6]);
        check_norms(gpu, [3, 1], [32, 32], [1, 48, 40]);
    });
}
