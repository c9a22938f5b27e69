//! Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), as PyTorch computes them.
#![expect(unsafe_code, reason = "vector instructions; threads take disjoint chunks")]

use crate::context::Context;
use crate::isa::Form;
use crate::lanes::{Kernel, LANES, Lanes};
use crate::shared::Shared;
use crate::tasks::for_each;

/// Floats that a thread takes at a time.
const CHUNK: usize = 1 << 15;

/// One step of Adam.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// How far.
    pub learning_rate: f64,
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the mean square after its bias is corrected.
    pub epsilon: f64,
    /// The number of this step, from 1.
    pub step: u64,
    /// Each gradient is multiplied by this first, as clipping asks.
    pub gradient_scale: f32,
    /// Adam: this times the weights is added to the gradient.
    pub weight_decay: f64,
    /// AdamW: the weights shrink by this times the learning rate.
    pub decoupled_decay: f64,
}

impl Default for AdamStep {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            step: 1,
            gradient_scale: 1.0,
            weight_decay: 0.0,
            decoupled_decay: 0.0,
        }
    }
}

/// A list of weights, and what its step needs.
#[derive(Debug)]
pub struct AdamWeights<'a> {
    /// How far these go.
    pub step: AdamStep,
    /// Updated.
    pub weights: &'a mut [f32],
    /// Of the weights.
    pub gradient: &'a [f32],
    /// Of the gradients; updated.
    pub mean: &'a mut [f32],
    /// Of the gradients; updated.
    pub mean_square: &'a mut [f32],
}

/// [`AdamStep::apply`] to all lists in one pass, so that many short ones keep many threads busy.
///
/// # Panics
/// As [`AdamStep::apply`].
pub fn adam(context: &Context, lists: Vec<AdamWeights>) {
    let form = context.isa.form::<Adam>();
    let mut chunks = Vec::new();
    let mut floats = 0;
    let shared = lists.into_iter().map(|AdamWeights { step, weights, gradient, mean, mean_square }| {
        let length = weights.len();
        let equal = gradient.len() == length && mean.len() == length && mean_square.len() == length;
        assert!(equal, "weights, gradients and moments of different lengths");
        (step.factors(), gradient, [weights, mean, mean_square].map(Shared::new))
    });
    let shared: Vec<_> = shared.collect();
    for (list, (_, gradient, _)) in shared.iter().enumerate() {
        floats += gradient.len();
        chunks.extend((0..gradient.len()).step_by(CHUNK).map(|start| (list, start)));
    }
    for_each("Adam", floats, chunks.len(), |number| {
        let (list, start) = chunks[number];
        let (factors, gradient, updated) = &shared[list];
        let gradient = &gradient[start..(start + CHUNK).min(gradient.len())];
        // SAFETY: chunks do not meet, and each is one task's.
        let [weights, mean, square] = updated.map(|all| unsafe { all.part(start, gradient.len()) });
        update(form, *factors, weights, gradient, mean, square);
    });
}

impl AdamStep {
    /// Updates weights, mean and mean square in place, in one pass:
    /// `mean = beta1 mean + (1 - beta1) g`, `square = beta2 square + (1 - beta2) g^2`,
    /// `weight -= learning_rate / (1 - beta1^step) * mean / (sqrt(square / (1 - beta2^step)) + epsilon)`.
    ///
    /// # Panics
    /// If the lengths differ, or the step is 0.
    pub fn apply(
        &self,
        context: &Context,
        weights: &mut [f32],
        gradient: &[f32],
        mean: &mut [f32],
        mean_square: &mut [f32],
    ) {
        adam(context, vec![AdamWeights { step: *self, weights, gradient, mean, mean_square }]);
    }

    fn factors(&self) -> Factors {
        assert!(self.step > 0, "steps count from 1");
        let steps = i32::try_from(self.step).unwrap_or(i32::MAX);
        let correction = |beta: f64| 1.0 - beta.powi(steps);
        Factors {
            gradient_scale: self.gradient_scale,
            weight_decay: self.weight_decay as f32,
            kept_weight: (1.0 - self.learning_rate * self.decoupled_decay) as f32,
            kept_mean: self.beta1 as f32,
            new_mean: (1.0 - self.beta1) as f32,
            kept_square: self.beta2 as f32,
            new_square: (1.0 - self.beta2) as f32,
            root_factor: (1.0 / correction(self.beta2).sqrt()) as f32,
            epsilon: self.epsilon as f32,
            rate: (-self.learning_rate / correction(self.beta1)) as f32,
        }
    }
}

#[derive(Clone, Copy)]
struct Factors {
    gradient_scale: f32,
    weight_decay: f32,
    kept_weight: f32,
    kept_mean: f32,
    new_mean: f32,
    kept_square: f32,
    new_square: f32,
    root_factor: f32,
    epsilon: f32,
    rate: f32,
}

/// Whole vectors in place, the rest in a vector of its own: an element's result does not depend on where it lies.
fn update(
    form: Form<Run>,
    factors: Factors,
    weights: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    mean_square: &mut [f32],
) {
    let whole = weights.len() / LANES * LANES;
    let run = Run {
        factors,
        weights: weights.as_mut_ptr(),
        gradient: gradient.as_ptr(),
        mean: mean.as_mut_ptr(),
        mean_square: mean_square.as_mut_ptr(),
        vectors: whole / LANES,
    };
    // SAFETY: the four slices have the same length, at least that of the vectors.
    unsafe { form(&run) };
    let rest = weights.len() - whole;
    if rest == 0 {
        return;
    }
    let mut copies = [[0.0_f32; LANES]; 4];
    let [w, g, m, s] = &mut copies;
    w[..rest].copy_from_slice(&weights[whole..]);
    g[..rest].copy_from_slice(&gradient[whole..]);
    m[..rest].copy_from_slice(&mean[whole..]);
    s[..rest].copy_from_slice(&mean_square[whole..]);
    let run = Run {
        factors,
        weights: w.as_mut_ptr(),
        gradient: g.as_ptr(),
        mean: m.as_mut_ptr(),
        mean_square: s.as_mut_ptr(),
        vectors: 1,
    };
    // SAFETY: each array holds one vector.
    unsafe { form(&run) };
    weights[whole..].copy_from_slice(&w[..rest]);
    mean[whole..].copy_from_slice(&m[..rest]);
    mean_square[whole..].copy_from_slice(&s[..rest]);
}

struct Run {
    factors: Factors,
    weights: *mut f32,
    gradient: *const f32,
    mean: *mut f32,
    mean_square: *mut f32,
    vectors: usize,
}

struct Adam;

impl Kernel for Adam {
    type Arguments = Run;

    #[inline(always)]
    unsafe fn run<L: Lanes>(run: &Run) {
        let with = &run.factors;
        for vector in 0..run.vectors {
            let at = vector * LANES;
            // SAFETY: the caller's pointers are good for the vectors.
            unsafe {
                let weight = L::load(run.weights.add(at));
                let gradient = L::load(run.gradient.add(at)).mul(L::splat(with.gradient_scale));
                let gradient = weight.mul_add(L::splat(with.weight_decay), gradient);
                let fresh = gradient.mul(L::splat(with.new_mean));
                let mean = L::load(run.mean.add(at)).mul_add(L::splat(with.kept_mean), fresh);
                let fresh = gradient.mul(gradient).mul(L::splat(with.new_square));
                let square = L::load(run.mean_square.add(at)).mul_add(L::splat(with.kept_square), fresh);
                let root = square.sqrt().mul_add(L::splat(with.root_factor), L::splat(with.epsilon));
                let step = mean.mul(L::splat(with.rate)).div(root);
                weight.mul_add(L::splat(with.kept_weight), step).store(run.weights.add(at));
                mean.store(run.mean.add(at));
                square.store(run.mean_square.add(at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    fn reference(step: &AdamStep, state: &mut [f64; 3], gradient: f64) {
        let [weight, mean, square] = state;
        let gradient = gradient * f64::from(step.gradient_scale) + step.weight_decay * *weight;
        *mean = step.beta1 * *mean + (1.0 - step.beta1) * gradient;
        *square = step.beta2 * *square + (1.0 - step.beta2) * gradient * gradient;
        let corrected = *mean / (1.0 - step.beta1.powi(step.step as i32));
        let root = (*square / (1.0 - step.beta2.powi(step.step as i32))).sqrt();
        *weight *= 1.0 - step.learning_rate * step.decoupled_decay;
        *weight -= step.learning_rate * corrected / (root + step.epsilon);
    }

    #[test]
    fn three_steps_equal_the_formula() {
        for (isa, length) in
            Isa::available().into_iter().flat_map(|isa| [1, 16, 37, CHUNK + 5].map(|n| (isa, n)))
        {
            let context = Context::watched(isa);
            let value = |index: usize, salt: usize| ((index * 37 + salt * 11) % 101) as f32 / 50.0 - 1.0;
            let mut weights: Vec<f32> = (0..length).map(|index| value(index, 0)).collect();
            let (mut mean, mut square) = (vec![0.0; length], vec![0.0; length]);
            let mut expected: Vec<[f64; 3]> = weights.iter().map(|&w| [w.into(), 0.0, 0.0]).collect();
            for step in 1..=3 {
                let rule = AdamStep {
                    learning_rate: 0.01,
                    step,
                    gradient_scale: 0.5,
                    weight_decay: 0.1,
                    decoupled_decay: 0.2,
                    ..AdamStep::default()
                };
                let gradient: Vec<f32> = (0..length).map(|index| value(index, step as usize)).collect();
                rule.apply(&context, &mut weights, &gradient, &mut mean, &mut square);
                for (state, &gradient) in expected.iter_mut().zip(&gradient) {
                    reference(&rule, state, gradient.into());
                }
            }
            for (index, state) in expected.iter().enumerate() {
                let found = [weights[index], mean[index], square[index]].map(f64::from);
                for (found, wanted) in found.iter().zip(state) {
                    assert!((found - wanted).abs() < 1e-5, "{isa}: {found} instead of {wanted} at {index}");
                }
            }
        }
    }

    /// The same bits as list by list, whatever lies before a list and however many threads there are.
    #[test]
    fn lists_in_one_pass_are_stepped_as_each_alone() {
        let value = |index: usize, salt: usize| ((index * 37 + salt * 11) % 101) as f32 / 50.0 - 1.0;
        let lengths = [3, CHUNK + 17, 0, 64, 2 * CHUNK];
        let lists =
            lengths.map(|length| [0, 1, 2, 3].map(|salt| (0..length).map(|i| value(i, salt)).collect()));
        let rule = |list: usize| AdamStep {
            learning_rate: 0.01 * (list + 1) as f64,
            weight_decay: 0.1 * list as f64,
            ..AdamStep::default()
        };
        for isa in Isa::available() {
            let context = Context::watched(isa);
            let mut alone: [[Vec<f32>; 4]; 5] = lists.clone();
            for (number, [weights, gradient, mean, square]) in alone.iter_mut().enumerate() {
                square.iter_mut().for_each(|square| *square = square.abs());
                rule(number).apply(&context, weights, gradient, mean, square);
            }
            for threads in [1, 3] {
                let mut together: [[Vec<f32>; 4]; 5] = lists.clone();
                let parts =
                    together.iter_mut().enumerate().map(|(number, [weights, gradient, mean, square])| {
                        square.iter_mut().for_each(|square| *square = square.abs());
                        AdamWeights { step: rule(number), weights, gradient, mean, mean_square: square }
                    });
                let parts: Vec<_> = parts.collect();
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                pool.install(|| adam(&context, parts));
                assert!(together == alone, "{isa}, {threads} threads");
            }
        }
    }

    #[test]
    fn a_step_without_a_gradient_only_decays() {
        let mut weights = [1.0_f32, -2.0];
        let rule = AdamStep { learning_rate: 0.1, decoupled_decay: 0.5, ..AdamStep::default() };
        let context = Context::new(Isa::PORTABLE);
        rule.apply(&context, &mut weights, &[0.0; 2], &mut [0.0; 2], &mut [0.0; 2]);
        assert_eq!(weights, [0.95, -1.9]);
    }
}
