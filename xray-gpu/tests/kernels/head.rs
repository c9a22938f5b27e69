//! The last layer and the loss.

use crate::reference::{Pair, assert_close, buffer, gpu, random, read, unwritten, wide};
use xray_gpu::{Linear, binary_cross_entropy};

#[test]
fn the_last_layer_and_its_gradients() {
    for (images, channels, classes) in [(1, 1, 1), (3, 20, 14), (5, 300, 2)] {
        let linear = Linear { channels, classes };
        let (features, parameters, grad) =
            (random(images * channels, 1), random(linear.parameters(), 2), random(images * classes, 3));
        let (f, p, g) = (wide(&features), wide(&parameters), wide(&grad));
        let (mut logits, mut dp, mut df) = (vec![0.0; g.len()], vec![0.0; p.len()], vec![0.0; f.len()]);
        for (image, class) in (0..images).flat_map(|image| (0..classes).map(move |class| (image, class))) {
            let (at, bias) = (image * classes + class, classes * channels + class);
            logits[at] += p[bias];
            dp[bias] += g[at];
            for c in 0..channels {
                let (feature, weight) = (image * channels + c, class * channels + c);
                logits[at] += f[feature] * p[weight];
                dp[weight] += g[at] * f[feature];
                df[feature] += g[at] * p[weight];
            }
        }
        let [features, grad] = [&features, &grad].map(|values| buffer(values));
        let [found, found_df] = [logits.len(), df.len()].map(unwritten);
        let weights = classes * channels;
        let of = |values: &[f32]| Pair::of(&values[..weights], &values[weights..]);
        let (parameters, found_dp) = (of(&parameters), of(&vec![f32::NAN; dp.len()]));
        let ([weight, bias], [grad_weight, grad_bias]) = (parameters.parts(), found_dp.parts());
        linear.forward(gpu(), features.whole(), weight, bias, found.whole());
        let given = (features.whole(), weight);
        linear.backward(gpu(), given, grad.whole(), grad_weight, grad_bias, found_df.whole());
        assert_close("logits", &read(&found), &logits, 2e-6);
        assert_close("gradient of the parameters", &found_dp.read(), &dp, 2e-6);
        assert_close("gradient of the features", &read(&found_df), &df, 2e-6);
    }
}

/// The mean over the labels that are known, far from zero on either side as well.
fn check_loss(logits: &[f32], labels: &[f32]) {
    let known = labels.iter().filter(|label| !label.is_nan()).count().max(1) as f64;
    let (mut loss, mut gradient) = (0.0, Vec::new());
    for (&z, &label) in logits.iter().zip(labels) {
        let (z, y) = (f64::from(z), f64::from(label));
        if label.is_nan() {
            gradient.push(0.0);
        } else {
            loss += (z.max(0.0) - z * y + (-z.abs()).exp().ln_1p()) / known;
            gradient.push((1.0 / (1.0 + (-z).exp()) - y) / known);
        }
    }
    let [found, grad] = [1, logits.len()].map(unwritten);
    let [logits, labels] = [logits, labels].map(buffer);
    binary_cross_entropy(gpu(), logits.whole(), labels.whole(), found.whole(), grad.whole());
    assert_close("loss", &read(&found), &[loss], 2e-6);
    assert_close("gradient of the logits", &read(&grad), &gradient, 2e-6);
}

#[test]
fn the_loss_and_its_gradient() {
    let logits: Vec<f32> = random(500, 4).iter().map(|value| 20.0 * value).collect();
    let labels: Vec<f32> =
        (0..500).map(|i| if i % 7 == 0 { f32::NAN } else { (i % 3 == 0) as u8 as f32 }).collect();
    check_loss(&logits, &labels);
    check_loss(&[-90.0, 90.0, 0.0], &[1.0, 0.0, 0.5]);
    check_loss(&[1.0, 2.0], &[f32::NAN, f32::NAN]);
}
