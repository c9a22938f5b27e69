//! What a device refuses, and what callers get wrong: an error or a panic with a sentence, never a wrong result.

use crate::reference::{buffer, gpu, shape, unwritten};
use std::panic::catch_unwind;
use xray_gpu::{Buffer, Error, Linear, Map, convolve, copy, weight_gradient};
use xray_kernels::ConvSpec;

#[test]
fn a_buffer_beyond_the_limit_is_an_error() {
    let limit = gpu().limits().buffer;
    assert!(limit >= 128 << 20, "every device allows 128 MiB");
    let found = Buffer::empty(gpu(), (limit / 4) as usize + 1);
    let Err(error @ Error::TooLarge { .. }) = found else { panic!("{found:?}") };
    assert!(error.to_string().starts_with(&format!("a buffer of {} bytes", limit + 4)), "{error}");
}

/// What waits for the device is counted, and launches are not.
#[test]
fn reads_are_counted() {
    let own = crate::reference::open();
    let values = Buffer::of(&own, &[1.0, 2.0]).expect("small");
    copy(&own, values.part(0, 1), values.part(1, 1));
    assert_eq!((own.counts().launches, own.counts().reads), (1, 0));
    assert_eq!(values.read(&own).expect("the device works"), [1.0, 1.0]);
    own.wait().expect("the device works");
    assert_eq!((own.counts().launches, own.counts().reads), (1, 2));
    own.reset_counts();
    let (_, times) = own.traced(|| copy(&own, values.part(0, 1), values.part(1, 1)));
    assert_eq!((times.len(), own.counts().reads), (1, 0), "only a trace waits, which is not the host's wish");
}

#[test]
fn a_wrong_length_is_a_panic_with_a_sentence() {
    let check = |work: fn(), sentence: &str| {
        let panic = catch_unwind(work).expect_err("a wrong length");
        let found = panic.downcast_ref::<String>().expect("a formatted sentence");
        assert!(found.contains(sentence), "{found:?} instead of {sentence:?}");
    };
    const SPEC: ConvSpec = ConvSpec { in_channels: 4, out_channels: 8, kernel: 3, stride: 1, padding: 1 };
    check(|| _ = Map::new(&buffer(&[0.0; 5]), shape(1, 1, 1, 4)), "floats of MapShape");
    check(|| _ = Map::channels_of(&buffer(&[0.0; 6]), shape(1, 1, 1, 4), 3, 6), "from channel 3 on of 6");
    check(|| _ = buffer(&[0.0; 6]).part(4, 3), "3 floats from 4 on of a buffer of 6");
    check(
        || {
            let (input, output, weights) = (buffer(&[0.0; 16]), unwritten(32), buffer(&[0.0; 287]));
            let [from, to] = [Map::new(&input, shape(1, 2, 2, 4)), Map::new(&output, shape(1, 2, 2, 8))];
            let _ = convolve(gpu(), &SPEC, from, weights.whole(), to);
        },
        "floats of weights",
    );
    check(
        || {
            let (input, grad, weights) = (buffer(&[0.0; 16]), unwritten(16), unwritten(288));
            let [from, to] = [Map::new(&input, shape(1, 2, 2, 4)), Map::new(&grad, shape(1, 1, 2, 8))];
            let _ = weight_gradient(gpu(), &SPEC, from, to, weights.whole());
        },
        "the output's gradient",
    );
    check(
        || {
            let [features, weight, bias, logits] = [2, 2, 1, 1].map(unwritten);
            let linear = Linear { channels: 2, classes: 1 };
            linear.forward(gpu(), features.whole(), weight.whole(), bias.whole(), logits.whole());
        },
        "weight and bias lie in two buffers",
    );
}
