//! Dense layers.

use crate::reference::{Pair, assert_close, buffer, gpu, random, read, unwritten, wide};
use xray_gpu::Linear;

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
