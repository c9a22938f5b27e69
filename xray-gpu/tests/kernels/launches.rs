//! What is launched is what the functions of shapes said before.

use crate::reference::{Pair, buffer, random, shape, unwritten};
use xray_gpu::{
    Buffer, Counts, Curve, Gpu, Linear, LossKind, Map, MapShape, Pass, activate, activate_gradient,
    activate_gradient_pass, activate_pass, add, add_pass, blend, blend_pass, convolve_folded,
    convolve_folded_passes, copy, copy_pass, depthwise_folded, depthwise_folded_pass, fold, fold_pass,
    images_from_bytes, images_from_bytes_pass, loss, loss_pass, output_shape,
};
use xray_kernels::{ConvSpec, DepthwiseSpec};

fn check(what: &str, passes: &[Pass], work: impl FnOnce(&Gpu)) {
    // Of its own, so that no other test's launches are counted.
    let own = crate::reference::open();
    let mut expected = Counts::default();
    passes.iter().for_each(|pass| expected += pass);
    work(&own);
    assert_eq!(own.counts(), expected, "{what}");
}

#[test]
fn flat_passes_and_the_head() {
    let [from, to, other] = [700, 700, 700].map(unwritten);
    let (from, to, other) = (from.whole(), to.whole(), other.whole());
    check("copy", &[copy_pass(700)], |gpu| copy(gpu, from, to));
    check("add", &[add_pass(700)], |gpu| add(gpu, from, to));
    check("blend", &[blend_pass(700)], |gpu| blend(gpu, from, to, 0.5));
    check("activate", &[activate_pass(700)], |gpu| activate(gpu, Curve::Sigmoid, from, to));
    check("its gradient", &[activate_gradient_pass(700)], |gpu| {
        activate_gradient(gpu, Curve::Sigmoid, from, to, other);
    });
    let [weights, value] = [7, 1].map(unwritten);
    check("loss", &[loss_pass(700, 7)], |gpu| {
        loss(gpu, &LossKind::Bce, from, to, weights.whole(), 0.0, 1.0, value.whole(), other);
    });
    let (linear, parameters) = (Linear { channels: 70, classes: 3 }, Pair::halves(&random(6, 1)));
    let own = Pair::of(&random(210, 1), &random(3, 2));
    let ([weight, bias], [logits, features]) = (own.parts(), [30, 700].map(unwritten));
    check("linear", &[linear.forward_pass(10)], |gpu| {
        linear.forward(gpu, from, weight, bias, logits.whole())
    });
    check("its gradients", &linear.backward_passes(10), |gpu| {
        linear.backward(gpu, (from, weight), logits.whole(), weight, bias, features.whole());
    });
    let (affine, running) = (parameters.affine(), parameters.running(0.1));
    check("fold", &[fold_pass(27, 3)], |gpu| {
        fold(gpu, buffer(&random(27, 3)).whole(), affine, running, 1e-5).expect("small");
    });
}

#[test]
fn images_and_folded_convolutions() {
    let of = |shape: MapShape| -> Buffer { unwritten(shape.len()) };
    let images = shape(2, 5, 7, 3);
    let output = of(images);
    check("images", &[images_from_bytes_pass(images)], |gpu| {
        images_from_bytes(gpu, &[7; 70], &[1.0; 256], Map::new(&output, images)).expect("small");
    });
    // In one piece and in several.
    for (channels, skip) in [([8, 20], true), ([64, 32], true), ([64, 32], false)] {
        let [in_channels, out_channels] = channels;
        let spec = ConvSpec { in_channels, out_channels, kernel: 3, stride: 1, padding: 1 };
        let from = shape(2, 7, 7, in_channels);
        let to = output_shape(&spec, from);
        let (input, output, skipped) = (of(from), of(to), of(to));
        let [weights, bias] = [spec.weight_len(), out_channels].map(unwritten);
        check("convolution", &convolve_folded_passes(&spec, from, skip), |gpu| {
            let skip = skip.then(|| Map::new(&skipped, to));
            let (from, to) = (Map::new(&input, from), Map::new(&output, to));
            convolve_folded(gpu, &spec, from, weights.whole(), bias.whole(), Curve::Relu, skip, to)
                .expect("small");
        });
    }
    let spec = DepthwiseSpec { channels: 3, kernel: 3, stride: 1, padding: 1 };
    let (input, [weights, bias]) = (of(images), [27, 3].map(unwritten));
    check("depthwise", &[depthwise_folded_pass(&spec, images)], |gpu| {
        let [from, to] = [&input, &output].map(|buffer| Map::new(buffer, images));
        depthwise_folded(gpu, &spec, from, weights.whole(), bias.whole(), Curve::Silu, to);
    });
}
