//! The sum of squares, of which a gradient's norm is the root.
#![expect(unsafe_code, reason = "vector instructions")]

use crate::context::Context;
use crate::lanes::{Kernel, LANES, Lanes};
use crate::tasks::for_each_chunk;

/// Floats whose squares are added in single precision; their sums are added in double.
const CHUNK: usize = 4096;
/// Chunks of a task: many parameters are short.
const CHUNKS: usize = 8;

/// The sum of the squares of all values of all lists, list after list; the same bits on any number of threads.
pub fn sum_of_squares(context: &Context, lists: &[&[f32]]) -> f64 {
    let form = context.isa.form::<Squares>();
    let chunk = |values: &[f32]| {
        let (whole, rest) = values.split_at(values.len() / LANES * LANES);
        let mut sums = [0.0; LANES];
        // SAFETY: all vectors lie in `whole`.
        unsafe {
            form(&Run { values: whole.as_ptr(), vectors: whole.len() / LANES, sums: sums.as_mut_ptr() });
        }
        let rest = rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>();
        sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() + rest
    };
    // Collected, so that the order of the sum is that of the chunks.
    let chunks: Vec<_> = lists.iter().flat_map(|values| values.chunks(CHUNK)).collect();
    let mut sums = vec![0.0; chunks.len()];
    for_each_chunk("squares of a gradient", &mut sums, CHUNKS, |number, sums| {
        for (sum, values) in sums.iter_mut().zip(&chunks[number * CHUNKS..]) {
            *sum = chunk(values);
        }
    });
    let mut sums = sums.into_iter();
    let of_list = |values: &&[f32]| sums.by_ref().take(values.len().div_ceil(CHUNK)).sum::<f64>();
    lists.iter().map(of_list).sum()
}

struct Run {
    values: *const f32,
    vectors: usize,
    sums: *mut f32,
}

struct Squares;

impl Kernel for Squares {
    type Arguments = Run;

    #[inline(always)]
    unsafe fn run<L: Lanes>(run: &Run) {
        // SAFETY: the caller's pointers are good for the vectors.
        unsafe {
            let mut sums = [L::zero(); 4];
            for vector in 0..run.vectors {
                let value = L::load(run.values.add(vector * LANES));
                sums[vector % 4] = value.mul_add(value, sums[vector % 4]);
            }
            sums[0].add(sums[1]).add(sums[2].add(sums[3])).store(run.sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    #[test]
    fn the_sum_is_that_of_doubles_in_every_form_and_on_any_threads() {
        for length in [0, 1, 15, 16, 100, CHUNK, (CHUNKS + 3) * CHUNK + 37] {
            let values: Vec<f32> = (0..length).map(|i| (i as f32 * 0.7).sin() * 3.0).collect();
            let expected: f64 = values.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
            for isa in Isa::available() {
                let context = Context::watched(isa);
                let on = |threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                    let lists = [&values[..length / 3], &[], &values[length / 3..]];
                    pool.install(|| sum_of_squares(&context, &lists))
                };
                let found = on(1);
                assert!((found - expected).abs() <= 1e-6 * expected, "{isa}, {length}: {found} {expected}");
                assert_eq!(found.to_bits(), on(4).to_bits(), "{isa}, {length}");
            }
        }
    }
}
