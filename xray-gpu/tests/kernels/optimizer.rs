//! Update rules over some steps, clipping, and what happens when numbers are not finite.

use crate::reference::{assert_close, assert_same_bits, buffer, gpu, random, read};
use xray_gpu::{Buffer, LossScale, MARKED, Mark, Parameters, Rule, StepRecord, Update, Watch};

const LENGTH: usize = 9004;

struct State {
    values: Buffer,
    means: Buffer,
    squares: Buffer,
    marks: Buffer,
}

fn marks() -> Vec<f32> {
    let of = |four: usize| [0.0, Mark::HEAD, Mark::DECAY, Mark::HEAD + Mark::DECAY][four % 4];
    (0..LENGTH / MARKED).map(of).collect()
}

impl State {
    fn new() -> Self {
        let zeros = buffer(&vec![0.0; LENGTH]);
        let squares = buffer(&vec![0.0; LENGTH]);
        Self { values: buffer(&random(LENGTH, 1)), means: zeros, squares, marks: buffer(&marks()) }
    }

    fn step(&self, watch: &Watch, update: &Update, gradient: &[f32], loss: f32, clip: f32) {
        // The loss lies behind the gradient.
        let gradients = buffer(&[gradient, &[loss]].concat());
        let (gradient, loss) = (gradients.part(0, LENGTH), gradients.part(LENGTH, 1));
        watch.judge(gpu(), gradient, loss, update.step, clip).expect("small");
        let Self { values, means, squares, marks } = self;
        update.apply(gpu(), Parameters { values, gradients: &gradients, means, squares, marks }, watch);
    }
}

fn update(rule: Rule, step: u64) -> Update {
    Update {
        rule,
        step,
        learning_rates: [0.01, 0.05],
        frozen: false,
        momentum: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.1,
    }
}

fn expected(rule: Rule, gradients: &[Vec<f32>], clip: f64) -> Vec<f64> {
    let mut values: Vec<f64> = random(LENGTH, 1).into_iter().map(f64::from).collect();
    let (mut means, mut squares) = (vec![0.0; LENGTH], vec![0.0; LENGTH]);
    for (step, gradient) in gradients.iter().enumerate() {
        let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        let t = step as i32 + 1;
        for i in 0..LENGTH {
            let rate = if i / MARKED % 2 == 1 { 0.05 } else { 0.01 };
            let decay = if i / MARKED % 4 >= 2 { 0.1 } else { 0.0 };
            let mut g = f64::from(gradient[i]) * scale;
            if rule == Rule::AdamW {
                values[i] *= 1.0 - rate * decay;
            } else {
                g += decay * values[i];
            }
            if rule == Rule::Sgd {
                means[i] = 0.9 * means[i] + g;
                values[i] -= rate * means[i];
                continue;
            }
            means[i] = 0.9 * means[i] + 0.1 * g;
            squares[i] = 0.999 * squares[i] + 0.001 * g * g;
            let root = (squares[i] / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-8;
            values[i] -= rate * means[i] / (1.0 - 0.9_f64.powi(t)) / root;
        }
    }
    values
}

#[test]
fn every_rule_with_and_without_clipping() {
    let gradients: Vec<_> = (0..4).map(|seed| random(LENGTH, 10 + seed)).collect();
    for rule in [Rule::Adam, Rule::AdamW, Rule::Sgd] {
        for clip in [0.0, 2.0] {
            let run = || {
                let (state, watch) = (State::new(), Watch::new(gpu(), 3).expect("small"));
                for (step, gradient) in (1..).zip(&gradients) {
                    state.step(&watch, &update(rule, step), gradient, 0.25 * step as f32, clip as f32);
                }
                // A ring of three rows holds the last three steps.
                let records = watch.records(gpu(), 5, 3).expect("the device works");
                for (record, (step, gradient)) in records.iter().zip((1..).zip(&gradients).skip(1)) {
                    let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                    assert_close("norm", &[record.norm], &[norm], 1e-6);
                    assert_eq!(record.loss, 0.25 * step as f32);
                    assert!(record.applied);
                }
                read(&state.values)
            };
            let found = run();
            assert_close(&format!("{rule:?}, clip {clip}"), &found, &expected(rule, &gradients, clip), 2e-6);
            assert_same_bits("an update", &found, &run());
        }
    }
}

#[test]
fn frozen_parameters_stay_and_so_do_their_moments() {
    for rule in [Rule::Adam, Rule::AdamW, Rule::Sgd] {
        let (state, watch) = (State::new(), Watch::new(gpu(), 2).expect("small"));
        let gradient = random(LENGTH, 30);
        state.step(&watch, &update(rule, 1), &gradient, 0.0, 0.0);
        let kept = || [&state.values, &state.means, &state.squares].map(read);
        let before = kept();
        state.step(&watch, &Update { frozen: true, ..update(rule, 2) }, &gradient, 0.0, 0.0);
        for (number, (before, after)) in before.iter().zip(kept()).enumerate() {
            // SGD has no squares.
            let changes = |i: usize| i / MARKED % 2 == 1 && !(rule == Rule::Sgd && number == 2);
            for (i, (before, after)) in before.iter().zip(&after).enumerate() {
                assert_eq!(before != after, changes(i), "{rule:?}: buffer {number}, parameter {i}");
            }
        }
    }
}

/// Parameters are read in fours where they lie so, one by one elsewhere.
#[test]
fn a_gradient_has_its_norm_wherever_it_begins_and_ends() {
    for (start, length) in [(0, LENGTH), (4, 4096), (0, 4099), (3, 8192), (1, 1)] {
        let values = random(start + length + 1, 70);
        let buffer = buffer(&values);
        let watch = Watch::new(gpu(), 2).expect("small");
        let (gradient, loss) = (buffer.part(start, length), buffer.part(start + length, 1));
        watch.judge(gpu(), gradient, loss, 1, 0.0).expect("small");
        let record = watch.records(gpu(), 2, 1).expect("the device works")[0];
        let squares = values[start..start + length].iter().map(|value| f64::from(*value).powi(2));
        let expected = squares.sum::<f64>().sqrt();
        let difference = (f64::from(record.norm) - expected).abs();
        assert!(difference <= 1e-6 * expected, "{start}, {length}: {} instead of {expected}", record.norm);
        assert_eq!(record.loss.to_bits(), values[start + length].to_bits());
    }
}

/// From the step that is not finite on, nothing changes: whether its loss or its gradient is not.
#[test]
fn a_step_that_is_not_finite_ends_all() {
    let good = random(LENGTH, 20);
    let with = |value: f32| {
        let mut gradient = good.clone();
        gradient[LENGTH - 1] = value;
        gradient
    };
    let cases = [
        (with(f32::NAN), 0.0),
        (with(f32::INFINITY), 0.0),
        (with(1e30), 0.0),
        (good.clone(), f32::NAN),
        (good.clone(), f32::INFINITY),
    ];
    for (gradient, loss) in cases {
        let (state, watch) = (State::new(), Watch::new(gpu(), 8).expect("small"));
        state.step(&watch, &update(Rule::Adam, 1), &good, 0.0, 1.0);
        let before = [&state.values, &state.means, &state.squares].map(read);
        state.step(&watch, &update(Rule::Adam, 2), &gradient, loss, 1.0);
        state.step(&watch, &update(Rule::Adam, 3), &good, 0.0, 1.0);
        for (before, after) in before.iter().zip([&state.values, &state.means, &state.squares].map(read)) {
            assert_same_bits("parameters after a step that is not finite", before, &after);
        }
        let records = watch.records(gpu(), 4, 3).expect("the device works");
        assert_eq!(
            records.iter().map(|StepRecord { applied, .. }| *applied).collect::<Vec<_>>(),
            [true, false, false]
        );
    }
}

/// A scaled loss changes neither norm nor clipping nor parameters, since its factor is a power of two.
#[test]
fn a_scaled_loss_is_divided_out() {
    let gradients: Vec<_> = (0..3).map(|seed| random(LENGTH, 30 + seed)).collect();
    let run = |watch: &Watch, factor: f32, clip: f32| {
        let state = State::new();
        for (step, gradient) in (1..).zip(&gradients) {
            let scaled: Vec<_> = gradient.iter().map(|g| g * factor).collect();
            state.step(watch, &update(Rule::Sgd, step), &scaled, 0.5, clip);
        }
        (read(&state.values), watch.records(gpu(), 4, 3).expect("the device works"))
    };
    for clip in [0.0, 2.0] {
        let scale = LossScale { factor: 1024.0, steps: 7, skipped: 0 };
        let watch = Watch::scaled(gpu(), 8, scale).expect("small");
        let (found, records) = run(&watch, 1024.0, clip);
        let (expected, plain) = run(&Watch::new(gpu(), 8).expect("small"), 1.0, clip);
        assert_same_bits("parameters of a scaled loss", &found, &expected);
        assert!(plain.iter().all(|record| record.scale == 1.0), "{plain:?}");
        let unscaled = |record: &StepRecord| StepRecord { scale: record.scale / 1024.0, ..*record };
        assert_eq!(records.iter().map(unscaled).collect::<Vec<_>>(), plain);
        let found = watch.loss_scale(gpu()).expect("the device works");
        assert_eq!(found, LossScale { factor: 1024.0, steps: 10, skipped: 0 });
    }
}

/// Steps whose scaled gradient is not finite are skipped, each at half the factor, until the factor is 1.
#[test]
fn an_overflow_halves_the_scale_and_skips_a_step() {
    let good = random(LENGTH, 40);
    let mut bad = good.clone();
    bad[5] = f32::INFINITY;
    let (state, watch) =
        (State::new(), Watch::scaled(gpu(), 8, LossScale { factor: 4.0, steps: 1, skipped: 5 }));
    let watch = watch.expect("small");
    let before = read(&state.values);
    let scale = || watch.loss_scale(gpu()).expect("the device works");
    let step = |step: u64, gradient: &[f32]| state.step(&watch, &update(Rule::Sgd, step), gradient, 0.0, 0.0);
    step(1, &bad);
    assert_eq!(scale(), LossScale { factor: 2.0, steps: 0, skipped: 6 });
    assert_same_bits("parameters after a skipped step", &before, &read(&state.values));
    step(2, &good);
    assert_eq!(scale(), LossScale { factor: 2.0, steps: 1, skipped: 6 });
    assert_ne!(before, read(&state.values));
    step(3, &bad);
    step(4, &bad); // at a factor of 1, which is too large for nothing
    step(5, &good);
    let LossScale { factor, skipped, .. } = scale();
    assert_eq!((factor, skipped), (1.0, 7));
    let records = watch.records(gpu(), 6, 5).expect("the device works");
    let found: Vec<_> = records.iter().map(|r| (r.applied, r.skipped, r.scale)).collect();
    let ended = (false, false, 1.0);
    assert_eq!(found, [(false, true, 4.0), (true, false, 2.0), (false, true, 2.0), ended, ended]);
}

/// What a damaged file may hold is not a scale, and so no panic.
#[test]
fn numbers_that_are_no_scale_are_told() {
    let good = [[1.0, 0.0, 0.0], [16_777_216.0, 1999.0, 16_777_215.0], [65_536.0, 7.0, 1.0]];
    for numbers in good {
        assert_eq!(LossScale::new(numbers).expect("a scale").numbers(), numbers);
    }
    assert_eq!(LossScale::new(LossScale::default().numbers()), Some(LossScale::default()));
    let counts = [-1.0, 0.5, 1e30, f32::INFINITY, f32::NAN];
    let factors = [0.0, -2.0, 0.5, 3.0, 33_554_432.0, f32::INFINITY, f32::NAN];
    let bad = factors.map(|factor| [factor, 0.0, 0.0]).into_iter();
    let bad = bad.chain([[4.0, 2000.0, 0.0], [4.0, 0.0, 16_777_216.0]]);
    let bad = bad.chain(counts.into_iter().flat_map(|count| [[4.0, count, 0.0], [4.0, 0.0, count]]));
    bad.for_each(|numbers| assert_eq!(LossScale::new(numbers), None, "{numbers:?}"));
}

/// A step that is skipped leaves no trace in those after it: Adam corrects the bias of as many steps as were taken.
#[test]
fn a_skipped_step_is_not_counted() {
    let gradients: Vec<_> = (0..60).map(|seed| random(LENGTH, 60 + seed)).collect();
    let mut bad = gradients[0].clone();
    bad[LENGTH / 2] = f32::NAN;
    for rule in [Rule::Adam, Rule::AdamW, Rule::Sgd] {
        for (taken, before) in [(1, &[0, 0, 0][..]), (4, &[0, 2, 2, 3]), (60, &[0, 1, 30])] {
            let scale = LossScale { factor: 65_536.0, steps: 0, skipped: 0 };
            let (state, watch) = (State::new(), Watch::scaled(gpu(), 80, scale).expect("small"));
            let mut number = 0;
            let mut step = |gradient: &[f32]| {
                let LossScale { factor, .. } = watch.loss_scale(gpu()).expect("the device works");
                let scaled: Vec<_> = gradient.iter().map(|g| g * factor).collect();
                number += 1;
                state.step(&watch, &update(rule, number), &scaled, 0.0, 2.0);
            };
            for (at, gradient) in gradients[..taken].iter().enumerate() {
                before.iter().filter(|skip| **skip == at).for_each(|_| step(&bad));
                step(gradient);
            }
            let expected = expected(rule, &gradients[..taken], 2.0);
            let what = format!("{rule:?}, {taken} steps, others skipped before {before:?}");
            assert_close(&what, &read(&state.values), &expected, 4e-6);
            let skipped = watch.loss_scale(gpu()).expect("the device works").skipped;
            assert_eq!(skipped as usize, before.len());
        }
    }
}

/// After 2,000 steps the factor is doubled, up to the most; what is propagated is multiplied by it.
#[test]
fn a_steady_scale_is_doubled() {
    for (factor, doubled) in [(8.0, 16.0), (16_777_216.0, 16_777_216.0)] {
        let scale = LossScale { factor, steps: LossScale::STEADY - 1, skipped: 0 };
        let (state, watch) = (State::new(), Watch::scaled(gpu(), 2, scale).expect("small"));
        state.step(&watch, &update(Rule::Sgd, 1), &random(LENGTH, 50), 0.0, 0.0);
        let found = watch.loss_scale(gpu()).expect("the device works");
        assert_eq!(found, LossScale { factor: doubled, steps: 0, skipped: 0 });
        let gradient = buffer(&[1.0, 2.0, 3.0]);
        watch.scale_gradient(gpu(), gradient.part(1, 1));
        assert_eq!(read(&gradient), [1.0, 2.0 * doubled, 3.0]);
    }
    // On a device that only counts, nothing is read or written.
    let (counting, gradient) = (gpu().counting(), buffer(&[1.0, 2.0]));
    let watch = Watch::scaled(&counting, 2, LossScale::default()).expect("small");
    watch.scale_gradient(&counting, gradient.whole());
    assert_eq!((read(&gradient), counting.counts().launches), (vec![1.0, 2.0], 1));
    Watch::new(gpu(), 2).expect("small").scale_gradient(gpu(), gradient.whole());
    assert_eq!(read(&gradient), [1.0, 2.0]);
}
