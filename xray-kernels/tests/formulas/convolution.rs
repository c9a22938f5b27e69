//! Convolutions equal their formula: every kernel size, stride, padding and channel count, in each form.

use crate::reference;
use crate::reference::{Images, Random, assert_close, assert_outside, single};
use proptest::prelude::*;
use xray_kernels::{
    Context, ConvInput, ConvOutput, ConvSpec, GradientMap, Isa, MapShape, PackedWeights, PlanarShape, Sums,
    TransposedWeights, convolve, convolve_backward,
};

const TOLERANCE: f64 = 2e-5;

#[derive(Clone, Debug)]
struct Case {
    spec: ConvSpec,
    /// Images, height, width.
    size: [usize; 3],
    halo: usize,
    seed: u64,
}

fn cases(most_channels: usize) -> impl Strategy<Value = Case> {
    let channels = 1..=most_channels;
    let kernel = prop::sample::select(vec![1_usize, 2, 3, 5, 7]);
    let size = (1..4_usize, 1..20_usize, 1..34_usize);
    (channels, 1..70_usize, kernel, 1..4_usize, 0..4_usize, size, 0..2_usize, any::<u64>()).prop_filter_map(
        "the kernel fits",
        |(in_channels, out_channels, kernel, stride, padding, (n, h, w), halo, seed)| {
            let spec = ConvSpec { in_channels, out_channels, kernel, stride, padding };
            let fits = h.min(w) + 2 * padding >= kernel;
            let work = spec.weight_len() * n * h * w / (stride * stride);
            (fits && work < 3_000_000).then_some(Case { spec, size: [n, h, w], halo, seed })
        },
    )
}

/// Those that module `winograd` takes up.
fn minimal_cases() -> impl Strategy<Value = Case> {
    let channels = (16..70_usize, 16..70_usize);
    let size = (1..6_usize, 4..30_usize, 4..40_usize);
    (channels, 0..3_usize, size, 0..2_usize, any::<u64>()).prop_filter_map(
        "little work",
        |((in_channels, out_channels), padding, (n, h, w), halo, seed)| {
            let spec = ConvSpec { in_channels, out_channels, kernel: 3, stride: 1, padding };
            let work = spec.weight_len() * n * h * w;
            (work < 6_000_000).then_some(Case { spec, size: [n, h, w], halo, seed })
        },
    )
}

/// Those of few tiles and so many channels that weights are made in passing: maps of up to 8 x 8 pixels, in a batch.
fn cases_in_passing() -> impl Strategy<Value = Case> {
    let channels = (86..120_usize, 86..120_usize);
    let size = (4..6_usize, 6..9_usize, 6..9_usize);
    (channels, 0..2_usize, size, 0..2_usize, any::<u64>()).prop_map(
        |((in_channels, out_channels), padding, (n, h, w), halo, seed)| {
            let spec = ConvSpec { in_channels, out_channels, kernel: 3, stride: 1, padding };
            Case { spec, size: [n, h, w], halo, seed }
        },
    )
}

/// Forward and backward against the formula, with the input in a slice of a wider buffer full of NaN.
fn check(case: &Case, planar: bool) {
    let Case { spec, size: [n, h, w], halo, seed } = *case;
    let mut random = Random::new(seed);
    let input = Images::random([n, spec.in_channels, h, w], &mut random);
    let weights = random.values(spec.weight_len());
    let output = reference::convolve(&spec, &input, &weights);
    let gradient = Images::random(output.size, &mut random);
    let (grad_input, grad_weights) = reference::convolve_backward(&spec, &input, &weights, &gradient);

    let planar_shape = PlanarShape { images: n, channels: spec.in_channels, height: h, width: w };
    let in_shape = MapShape::new(n, spec.in_channels, h, w, spec.padding + halo);
    let in_shape = in_shape.within(1, in_shape.blocks() + 2);
    let (planar_data, map) = (input.planar(), input.blocked(&in_shape, f32::NAN));
    let given =
        if planar { ConvInput::Planar(&planar_data, planar_shape) } else { ConvInput::Map(&map, in_shape) };
    let [_, _, oh, ow] = output.size;
    let out_shape = MapShape::new(n, spec.out_channels, oh, ow, halo);
    let out_shape = out_shape.within(1, out_shape.blocks() + 2);
    let single_weights = single(&weights);

    let contexts = Isa::available().into_iter().map(Context::watched);
    for context in contexts.flat_map(|context| [Context { winograd: false, ..context.clone() }, context]) {
        let isa = format!("{}, winograd {}", context.isa, context.winograd);
        let packed = PackedWeights::new(&context.arena, spec, planar, &single_weights, None);
        let mut buffer = vec![7.0; out_shape.len()];
        let mut sums = Sums::new(&context.arena, &out_shape);
        let to = ConvOutput {
            buffer: &mut buffer,
            shape: out_shape,
            bias: None,
            clamp: None,
            sums: Some(&mut sums),
        };
        convolve(&context, given, &packed, to);
        output.assert_map(&buffer, &out_shape, 7.0, TOLERANCE, &format!("{isa}, forward"));

        let transposed = TransposedWeights::new(&context.arena, spec, &single_weights);
        let grad_output = gradient.blocked(&out_shape, f32::NAN);
        let mut found_weights = vec![f32::NAN; weights.len()];
        let mut found_input = vec![5.0; in_shape.len()];
        let target = (&transposed, GradientMap::new(&mut found_input, in_shape));
        let given_gradient = (&grad_output[..], out_shape);
        convolve_backward(
            &context,
            spec,
            given,
            given_gradient,
            &mut found_weights,
            (!planar).then_some(target),
        );
        assert_close(&found_weights, &grad_weights, TOLERANCE, &format!("{isa}, weight gradient"));
        if !planar {
            assert_outside(&found_input, &in_shape, 5.0, "input gradient");
            let found = Images::from_map(&found_input, &in_shape);
            assert_close(
                &single(&found.data),
                &grad_input.data,
                TOLERANCE,
                &format!("{isa}, input gradient"),
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn blocked_convolutions_equal_their_formula(case in cases(70)) {
        check(&case, false);
    }

    #[test]
    fn minimal_convolutions_equal_their_formula(case in minimal_cases()) {
        check(&case, false);
    }

    #[test]
    fn planar_convolutions_equal_their_formula(case in cases(4)) {
        check(&case, true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn weights_made_in_passing_give_the_formula_too(case in cases_in_passing()) {
        check(&case, false);
    }
}

#[test]
fn the_shapes_of_known_networks() {
    for (channels, out_channels, kernel, stride, padding, size) in [
        (32, 64, 3, 1, 1, 16),
        (64, 64, 3, 1, 1, 7),
        (64, 128, 3, 2, 1, 14),
        (64, 128, 1, 2, 0, 14),
        (48, 32, 3, 1, 1, 8),
        (16, 16, 3, 1, 1, 1),
        (33, 17, 3, 2, 1, 9),
    ] {
        let spec = ConvSpec { in_channels: channels, out_channels, kernel, stride, padding };
        check(&Case { spec, size: [5, size, size], halo: 0, seed: 3 }, false);
    }
    let spec = ConvSpec { in_channels: 3, out_channels: 64, kernel: 7, stride: 2, padding: 3 };
    check(&Case { spec, size: [2, 33, 40], halo: 1, seed: 4 }, true);
}
