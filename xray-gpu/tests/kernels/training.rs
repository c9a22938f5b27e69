//! A whole training step against the same step in float64: loss, every gradient, and losses over some steps of Adam.

use crate::reference::{
    Norm, assert_close, assert_same_bits, buffer, convolved, gpu, normalised, random, read, wide,
};
use crate::small_cnn::{ACTIVATION, CLASSES, EPSILON, LINEAR, Plan, SmallCnn, WIDTHS, passes, plan};
use xray_gpu::{Counts, normalised_shape};

const IMAGES: usize = 2;
const SIZE: usize = 16;

/// As PyTorch starts: weights within one over the root of what feeds a unit, batch norm as the identity.
fn start(plan: &Plan) -> Vec<f32> {
    let mut values = random(plan.parameters, 1);
    for layer in &plan.layers {
        let bound = 1.0 / ((9 * layer.spec.in_channels) as f32).sqrt();
        values[layer.weights_at..][..layer.spec.weight_len()].iter_mut().for_each(|value| *value *= bound);
        let affine = &mut values[layer.affine_at..][..2 * layer.spec.out_channels];
        let (gamma, beta) = affine.split_at_mut(layer.spec.out_channels);
        gamma.fill(1.0);
        beta.fill(0.0);
    }
    values[plan.linear_at..].iter_mut().for_each(|value| *value /= 16.0);
    values
}

/// Loss and gradients.
fn step(plan: &Plan, values: &[f64], images: &[f64], labels: &[f64]) -> (f64, Vec<f64>) {
    let mut gradients = vec![0.0; plan.parameters];
    let norm = |i: usize, input: &[f64], grad: &[f64]| {
        let layer = &plan.layers[i];
        let from = layer.from.with_channels(layer.spec.out_channels);
        let affine = &values[layer.affine_at..][..2 * from.channels];
        normalised(&Norm {
            activation: ACTIVATION,
            from,
            input,
            affine,
            skip: None,
            grad,
            epsilon: f64::from(EPSILON),
        })
    };
    let weights = |i: usize| &values[plan.layers[i].weights_at..][..plan.layers[i].spec.weight_len()];
    let (mut inputs, mut convolutions) = (vec![images.to_vec()], Vec::new());
    for (i, layer) in plan.layers.iter().enumerate() {
        let z = convolved(&layer.spec, layer.from, [&inputs[i], weights(i)], |to| vec![0.0; to.len()]);
        let output = normalised_shape(ACTIVATION, z.shape).len();
        inputs.push(norm(i, &z.output, &vec![0.0; output]).output);
        convolutions.push(z.output);
    }
    // At 16 px the last map is one pixel: its mean is itself.
    let (features, parameters) = (&inputs[4], &values[plan.linear_at..]);
    let (mut loss, mut grad) = (0.0, vec![0.0; features.len()]);
    let channels = WIDTHS[4];
    for (at, label) in labels.iter().enumerate() {
        let (image, class) = (at / CLASSES, at % CLASSES);
        let own = &features[image * channels..][..channels];
        let row = &parameters[class * channels..][..channels];
        let z = parameters[CLASSES * channels + class] + own.iter().zip(row).map(|(a, b)| a * b).sum::<f64>();
        loss += (z.max(0.0) - z * label + (-z.abs()).exp().ln_1p()) / labels.len() as f64;
        let d = (1.0 / (1.0 + (-z).exp()) - label) / labels.len() as f64;
        gradients[plan.linear_at + CLASSES * channels + class] += d;
        for c in 0..channels {
            gradients[plan.linear_at + class * channels + c] += d * own[c];
            grad[image * channels + c] += d * row[c];
        }
    }
    for (i, layer) in plan.layers.iter().enumerate().rev() {
        let back = norm(i, &convolutions[i], &grad);
        gradients[layer.affine_at..][..back.grad_affine.len()].copy_from_slice(&back.grad_affine);
        let z = convolved(&layer.spec, layer.from, [&inputs[i], weights(i)], |_| back.grad_input);
        gradients[layer.weights_at..][..z.grad_weights.len()].copy_from_slice(&z.grad_weights);
        grad = z.grad_input;
    }
    (loss, gradients)
}

fn adam(values: &mut [f64], moments: &mut [Vec<f64>; 2], gradients: &[f64], step: i32) {
    let [means, squares] = moments;
    for (i, g) in gradients.iter().enumerate() {
        means[i] = 0.9 * means[i] + 0.1 * g;
        squares[i] = 0.999 * squares[i] + 0.001 * g * g;
        let root = (squares[i] / (1.0 - 0.999_f64.powi(step))).sqrt() + 1e-8;
        values[i] -= 1e-3 * means[i] / (1.0 - 0.9_f64.powi(step)) / root;
    }
}

#[test]
fn a_step_of_small_cnn_is_its_formula() {
    let this = plan(IMAGES, SIZE);
    let (values, images) = (start(&this), random(IMAGES * SIZE * SIZE, 2));
    let labels: Vec<f32> = (0..IMAGES * CLASSES).map(|i| f32::from(u8::from(i % 3 == 0))).collect();
    // Of its own, so that no other test's launches are counted.
    let own = crate::reference::open();
    let run = || {
        let mut network = SmallCnn::new(&own, plan(IMAGES, SIZE), &values).expect("small");
        let (images, labels) = (buffer(&images), buffer(&labels));
        network.step(&own, &images, &labels).expect("small");
        let mut counts = Counts::default();
        passes(&this).iter().for_each(|pass| counts += pass);
        assert_eq!(own.counts(), counts, "launches are those known before");
        own.reset_counts();
        let gradients = read(&network.gradients);
        for _ in 1..4 {
            network.step(&own, &images, &labels).expect("small");
        }
        assert_eq!(own.counts().launches, 3 * counts.launches);
        own.reset_counts();
        let records = network.watch.records(gpu(), 5, 4).expect("the device works");
        (gradients, records.iter().map(|record| record.loss).collect::<Vec<_>>(), read(&network.values))
    };
    let (gradients, losses, after) = run();

    let (mut values64, mut moments) = (wide(&values), [vec![0.0; values.len()], vec![0.0; values.len()]]);
    let mut expected_losses = Vec::new();
    for number in 1..5 {
        let (loss, expected) = step(&this, &values64, &wide(&images), &wide(&labels));
        expected_losses.push(loss);
        if number == 1 {
            let check = |what: &str, at: usize, length: usize| {
                assert_close(what, &gradients[at..][..length], &expected[at..][..length], 5e-5);
            };
            for (i, layer) in this.layers.iter().enumerate() {
                check(&format!("weights of layer {i}"), layer.weights_at, layer.spec.weight_len());
                check(&format!("batch norm of layer {i}"), layer.affine_at, 2 * layer.spec.out_channels);
            }
            check("the last layer", this.linear_at, LINEAR.parameters());
        }
        adam(&mut values64, &mut moments, &expected, number);
    }
    assert_close("losses", &losses, &expected_losses, 5e-5);
    assert!(losses[3] < losses[0], "nothing is learnt: {losses:?}");
    let again = run();
    assert_same_bits("gradients", &gradients, &again.0);
    assert_same_bits("losses", &losses, &again.1);
    assert_same_bits("parameters", &after, &again.2);
}

#[test]
fn a_step_takes_few_launches_and_the_multiplications_of_its_network() {
    let passes = passes(&plan(64, 128));
    assert_eq!(passes.len(), 44);
    // An image takes 231 million multiply-adds forward, three times as many a step but for the first layer's input,
    // and its part of the last layer.
    let multiply_adds: u64 = passes.iter().map(|pass| pass.multiply_adds).sum();
    assert_eq!(multiply_adds, 64 * (3 * 231_211_008 - 4_718_592 + 3 * 256 * 14));
}
