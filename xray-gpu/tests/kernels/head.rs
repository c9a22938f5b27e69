//! Dense layers, and functions between them.

use crate::reference::{
    Pair, assert_close, assert_same_bits, buffer, curve, gpu, random, read, unwritten, wide,
};
use xray_gpu::{Curve, Linear, activate, activate_gradient};

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

/// On parts of wider buffers, far from zero and at the corners as well.
#[test]
fn every_function_and_its_gradient() {
    let mut input: Vec<f32> = random(300, 4).iter().map(|x| 8.0 * x).collect();
    input.extend([0.0, -0.0, 6.0, -100.0, 100.0]);
    let (length, grad) = (input.len(), random(input.len(), 5));
    let given = buffer(&[vec![f32::NAN; 3], input.clone()].concat());
    let given_grad = buffer(&[vec![f32::NAN; 5], grad.clone()].concat());
    for function in [Curve::Identity, Curve::Relu, Curve::Relu6, Curve::Silu, Curve::Sigmoid] {
        let (values, slopes): (Vec<_>, Vec<_>) = input.iter().map(|&x| curve(function, f64::from(x))).unzip();
        let gradients: Vec<_> = slopes.iter().zip(wide(&grad)).map(|(slope, grad)| slope * grad).collect();
        let run = || {
            let [output, grad_input] = [length + 2, length + 1].map(unwritten);
            let from = given.part(3, length);
            activate(gpu(), function, from, output.part(2, length));
            activate_gradient(gpu(), function, from, given_grad.part(5, length), grad_input.part(1, length));
            let (output, grad_input) = (read(&output), read(&grad_input));
            assert!(output[..2].iter().chain(&grad_input[..1]).all(|value| value.is_nan()));
            [output[2..].to_vec(), grad_input[1..].to_vec()]
        };
        let found = run();
        assert_close(&format!("{function:?}"), &found[0], &values, 1e-6);
        assert_close(&format!("gradient of {function:?}"), &found[1], &gradients, 1e-6);
        for (first, second) in found.iter().zip(run()) {
            assert_same_bits("a function", first, &second);
        }
    }
}
