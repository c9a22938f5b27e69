//! Convolutions by matrix instructions, in every precision that the device offers.

use crate::convolution::check_on;
use crate::reference::{Maps, assert_close, buffer, gpu, random, read, shape, unwritten, wide};
use crate::source;
use half::{bf16, f16};
use xray_gpu::{
    Affine, BLOCKS, Block, Error, Gpu, Precision, Running, TILES, Tile, convolve, convolve_with_sums,
    statistics,
};
use xray_kernels::{ConvSpec, Nonlinearity};

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
        assert!(suited > 1, "one block is no choice");
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
