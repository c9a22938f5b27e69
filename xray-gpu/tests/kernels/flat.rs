//! Copies, sums and averages of parts.

use crate::reference::{assert_close, assert_same_bits, buffer, gpu, random, read, wide};
use xray_gpu::{add, blend, copy};

/// What a launch makes of parts of two buffers, whose rest must stay.
fn check(length: usize, [from, to]: [usize; 2]) {
    let (source, target) = (random(from + length + 3, 1), random(to + length + 7, 2));
    let given = buffer(&source);
    let run = |launch: &dyn Fn(xray_gpu::Part<'_>, xray_gpu::Part<'_>)| {
        let written = buffer(&target);
        launch(given.part(from, length), written.part(to, length));
        let found = read(&written);
        assert_same_bits("floats before the part", &target[..to], &found[..to]);
        assert_same_bits("floats behind the part", &target[to + length..], &found[to + length..]);
        found[to..][..length].to_vec()
    };
    let (source, target) = (&source[from..][..length], &target[to..][..length]);
    let of = |formula: fn(f64, f64) -> f64| -> Vec<f64> {
        wide(source).into_iter().zip(wide(target)).map(|(new, old)| formula(new, old)).collect()
    };
    assert_same_bits("a copy", source, &run(&|from, to| copy(gpu(), from, to)));
    let added = run(&|from, to| add(gpu(), to, from));
    assert_close("a sum", &added, &of(|new, old| new + old), 1e-7);
    let blended = run(&|from, to| blend(gpu(), to, from, 0.875));
    assert_close("an average", &blended, &of(|new, old| 0.875 * old + 0.125 * new), 1e-7);
    assert_same_bits("an average", &blended, &run(&|from, to| blend(gpu(), to, from, 0.875)));
}

#[test]
fn parts_are_copied_added_and_averaged() {
    check(1, [0, 0]);
    check(256, [3, 5]);
    check(70_001, [64, 1]);
}
