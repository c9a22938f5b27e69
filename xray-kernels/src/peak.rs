//! What the processor could do at most.
#![expect(unsafe_code, reason = "vector instructions")]

use crate::isa::Isa;
use crate::lanes::{Kernel, Lanes};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 100_000;
/// Chains that do not wait for each other: as many registers as the portable form has for them.
const CHAINS: usize = 10;

struct Chains;

impl Kernel for Chains {
    type Arguments = [f32; 2];

    #[inline(always)]
    unsafe fn run<L: Lanes>(arguments: &[f32; 2]) {
        // SAFETY: the caller has the instructions, and the array has the floats stored.
        unsafe {
            let (factor, summand) = (L::splat(arguments[0]), L::splat(arguments[1]));
            let chains = const { if L::TILE_BLOCKS == 1 { L::TILE_PIXELS } else { CHAINS } };
            let mut sums = [summand; CHAINS];
            for _ in 0..ROUNDS {
                for sum in &mut sums[..chains] {
                    *sum = sum.mul_add(factor, summand);
                }
            }
            let mut out = [0.0; 16];
            for sum in sums {
                sum.store(out.as_mut_ptr());
                black_box(&out);
            }
        }
    }
}

/// Billions of operations (a multiply-add is two) per second that one thread reaches with independent chains of
/// multiply-adds in registers: the measure for every other figure.
pub fn multiply_add_peak(isa: Isa) -> f64 {
    let form = isa.form::<Chains>();
    let chains = match isa.name() {
        "portable" => 2,
        "avx2" => 6,
        _ => CHAINS,
    };
    let run = |_| {
        let start = Instant::now();
        // SAFETY: an `Isa` is only held where the processor has it.
        unsafe { form(black_box(&[0.999, 0.001])) };
        (2 * 16 * chains * ROUNDS) as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..20).map(run).fold(0.0, f64::max)
}
