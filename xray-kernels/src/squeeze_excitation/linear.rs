//! Linear layers of a few values: matrices times vectors, and sums of vectors.
#![expect(unsafe_code, reason = "vector instructions")]

use crate::isa::Isa;
use crate::lanes::{Kernel, LANES, Lanes};

/// Products of the rows of a matrix `[rows][length]` with one vector.
struct Dots {
    matrix: *const f32,
    vector: *const f32,
    length: usize,
    rows: usize,
    /// `[rows]`: what each sum is added to.
    output: *mut f32,
}

impl Kernel for Dots {
    type Arguments = Self;

    #[inline(always)]
    unsafe fn run<L: Lanes>(dots: &Self) {
        let whole = dots.length / LANES;
        for row in 0..dots.rows {
            // SAFETY: the caller's pointers are good for matrix, vector and output.
            unsafe {
                let weights = dots.matrix.add(row * dots.length);
                let mut sum = L::zero();
                for at in (0..whole).map(|vector| vector * LANES) {
                    sum = L::load(weights.add(at)).mul_add(L::load(dots.vector.add(at)), sum);
                }
                let mut lanes = [0.0_f32; LANES];
                sum.store(lanes.as_mut_ptr());
                for (lane, at) in (whole * LANES..dots.length).enumerate() {
                    lanes[lane] += *weights.add(at) * *dots.vector.add(at);
                }
                for half in [8, 4, 2, 1] {
                    for lane in 0..half {
                        lanes[lane] += lanes[lane + half];
                    }
                }
                *dots.output.add(row) += lanes[0];
            }
        }
    }
}

/// A sum of vectors, each times its factor.
struct Combination {
    vectors: *const f32,
    length: usize,
    count: usize,
    factors: *const f32,
    /// Floats between two factors.
    step: usize,
    /// `[length]`.
    output: *mut f32,
}

impl Kernel for Combination {
    type Arguments = Self;

    #[inline(always)]
    unsafe fn run<L: Lanes>(given: &Self) {
        let whole = given.length / LANES * LANES;
        // SAFETY: the caller's pointers are good for vectors, factors and output.
        unsafe {
            for at in (0..whole).step_by(LANES) {
                let mut sum = L::zero();
                for number in 0..given.count {
                    let factor = L::splat(*given.factors.add(number * given.step));
                    sum = L::load(given.vectors.add(number * given.length + at)).mul_add(factor, sum);
                }
                sum.store(given.output.add(at));
            }
            let mut rest = [0.0_f32; LANES];
            for number in 0..given.count {
                let factor = *given.factors.add(number * given.step);
                for (sum, at) in rest.iter_mut().zip(whole..given.length) {
                    *sum += *given.vectors.add(number * given.length + at) * factor;
                }
            }
            for (sum, at) in rest.into_iter().zip(whole..given.length) {
                *given.output.add(at) = sum;
            }
        }
    }
}

/// `matrix * vector + bias`: `[rows]` of a matrix `[rows][length]`.
pub(super) fn linear(isa: Isa, matrix: &[f32], bias: &[f32], vector: &[f32], output: &mut [f32]) {
    assert_eq!(matrix.len(), output.len() * vector.len(), "a matrix of other sizes");
    output.copy_from_slice(bias);
    let dots = Dots {
        matrix: matrix.as_ptr(),
        vector: vector.as_ptr(),
        length: vector.len(),
        rows: output.len(),
        output: output.as_mut_ptr(),
    };
    // SAFETY: the lengths were compared.
    unsafe { isa.form::<Dots>()(&dots) };
}

/// The sum of vectors `[count][length]`, each times its factor: the first of `factors`, and from there on every
/// `step`th.
pub(super) fn combine(isa: Isa, vectors: &[f32], (factors, step): (&[f32], usize), output: &mut [f32]) {
    let count = vectors.len() / output.len();
    assert_eq!(vectors.len(), count * output.len(), "vectors of other lengths");
    assert!(factors.len().div_ceil(step) >= count, "a factor for each vector");
    let given = Combination {
        vectors: vectors.as_ptr(),
        length: output.len(),
        count,
        factors: factors.as_ptr(),
        step,
        output: output.as_mut_ptr(),
    };
    // SAFETY: the lengths were compared.
    unsafe { isa.form::<Combination>()(&given) };
}
