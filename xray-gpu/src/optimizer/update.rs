//! Adam (Kingma and Ba, 2015), AdamW (Loshchilov and Hutter, 2019) and SGD with momentum, as PyTorch computes them: one
//! launch over all parameters of a network.
#![expect(unsafe_code, reason = "a launch without bounds checks; lengths are checked before")]

use super::watch::Watch;
use crate::buffer::Buffer;
use crate::gpu::Gpu;
use crate::pass::{Pass, bytes};
use cubecl::prelude::*;

/// The update rule.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Rule {
    /// Weight decay is added to the gradient.
    Adam,
    /// Weights shrink by the decay times the learning rate.
    AdamW,
    /// With momentum; weight decay is added to the gradient.
    Sgd,
}

/// One step of an optimizer.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The rule.
    pub rule: Rule,
    /// The number of this step, from 1; those that a [`Watch`] skipped are counted.
    pub step: u64,
    /// Learning rates: of parameters without [`Mark::HEAD`], and of those with it.
    pub learning_rates: [f64; 2],
    /// Whether parameters without [`Mark::HEAD`] stay as they are, and their moments too.
    pub frozen: bool,
    /// Decay of the mean of the gradients, or SGD's momentum.
    pub momentum: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the mean square after its bias is corrected.
    pub epsilon: f64,
    /// Weight decay of parameters with [`Mark::DECAY`].
    pub weight_decay: f64,
}

/// What distinguishes a parameter; a sum of these, as a float.
pub struct Mark;

/// Floats that have one [`Mark`], of the first of which a parameter begins at a multiple.
pub const MARKED: usize = 4;

impl Mark {
    /// It has the second learning rate.
    pub const HEAD: f32 = 1.0;
    /// It decays: a weight, neither a bias nor batch norm's.
    pub const DECAY: f32 = 2.0;
}

/// All parameters of a network and what the optimizer keeps of each; the buffers have the same length.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a> {
    /// The parameters.
    pub values: &'a Buffer,
    /// Their gradients; what follows them, such as the loss, is not looked at.
    pub gradients: &'a Buffer,
    /// Means of the gradients, or SGD's directions; zeros before the first step.
    pub means: &'a Buffer,
    /// Means of their squares; zeros before the first step. SGD does not touch them.
    pub squares: &'a Buffer,
    /// A [`Mark`] for every [`MARKED`] of them.
    pub marks: &'a Buffer,
}

/// Numbers of an [`Update`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct UpdateNumbers {
    /// Groups of four.
    length: usize,
    rate: f32,
    head_rate: f32,
    /// What AdamW leaves of a weight.
    kept: f32,
    head_kept: f32,
    /// What is added of it to the gradient.
    decay: f32,
    kept_mean: f32,
    new_mean: f32,
    kept_square: f32,
    new_square: f32,
    root_factor: f32,
    epsilon: f32,
    /// This step's number, skipped ones counted.
    step: f32,
    mean_bias: Bias,
    square_bias: Bias,
}

/// Of a mean that began with zeros.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Bias {
    /// Natural logarithm of what a step leaves of it.
    log_kept: f32,
    /// Its correction after as many steps as are counted, which the other numbers include.
    correction: f32,
}

/// A unit updates four neighbours, which are of one parameter or padding behind it.
#[cube(launch_unchecked)]
fn update(
    values: &mut [Vector<f32, Const<4>>],
    gradients: &[Vector<f32, Const<4>>],
    means: &mut [Vector<f32, Const<4>>],
    squares: &mut [Vector<f32, Const<4>>],
    marks: &[f32],
    control: &[f32],
    numbers: UpdateNumbers,
    #[comptime] sgd: bool,
    #[comptime] frozen: bool,
) {
    let i = ABSOLUTE_POS;
    let mut moves = i < numbers.length && control[1] == 0.0f32;
    let mut mark = 0.0f32;
    if moves {
        mark = marks[i];
    }
    if comptime!(frozen) {
        moves = moves && is_head(mark);
    }
    if moves {
        let mut rate = numbers.rate;
        let mut kept = numbers.kept;
        if is_head(mark) {
            rate = numbers.head_rate;
            kept = numbers.head_kept;
        }
        let mut root_factor = numbers.root_factor;
        let skipped = control[6];
        if comptime!(!sgd) && skipped > 0.0f32 {
            let taken = numbers.step - skipped;
            rate *= numbers.mean_bias.correction / correction(taken * numbers.mean_bias.log_kept);
            root_factor *=
                (numbers.square_bias.correction / correction(taken * numbers.square_bias.log_kept)).sqrt();
        }
        let mut value = values[i];
        let mut gradient = gradients[i] * four(control[0]);
        // Marks are 0 to 3.
        if mark >= 2.0f32 {
            gradient += four(numbers.decay) * value;
            value *= four(kept);
        }
        let mean = means[i] * four(numbers.kept_mean) + gradient * four(numbers.new_mean);
        means[i] = mean;
        if comptime!(sgd) {
            values[i] = value - four(rate) * mean;
        } else {
            let new = gradient * gradient * four(numbers.new_square);
            let square = squares[i] * four(numbers.kept_square) + new;
            squares[i] = square;
            let root = square.sqrt() * four(root_factor) + four(numbers.epsilon);
            values[i] = value - four(rate) * mean / root;
        }
    }
}

#[cube]
fn four(value: f32) -> Vector<f32, Const<4>> {
    Vector::new(value)
}

/// 1 − eˣ of an x of at most 0, by its series where a difference would leave few digits.
#[cube]
fn correction(x: f32) -> f32 {
    let mut correction = 1.0f32 - x.exp();
    if x > -0.25f32 {
        correction = -x
            * (1.0f32 + x / 2.0f32 * (1.0f32 + x / 3.0f32 * (1.0f32 + x / 4.0f32 * (1.0f32 + x / 5.0f32))));
    }
    correction
}

#[cube]
fn is_head(mark: f32) -> bool {
    mark == 1.0f32 || mark == 3.0f32
}

/// The launch of [`Update::apply`].
pub fn update_pass(length: usize) -> Pass {
    let floats = 7 * length + length / MARKED;
    Pass { bytes: bytes(floats), ..Pass::in_lanes("update", length, true) }
}

impl Update {
    /// Updates values and moments in place, unless the watch has ended the steps; gradients are scaled as it says.
    ///
    /// # Panics
    /// If the lengths differ, are not a multiple of [`MARKED`], or the step is 0.
    pub fn apply(&self, gpu: &Gpu, parameters: Parameters<'_>, watch: &Watch) {
        let Parameters { values, gradients, means, squares, marks } = parameters;
        let length = values.len();
        assert!(gradients.len() >= length, "gradients of {length} parameters");
        assert!(length.is_multiple_of(MARKED), "{length} parameters are not a multiple of {MARKED}");
        for (buffer, what) in [(means, "means"), (squares, "squares")] {
            assert_eq!(buffer.len(), length, "{what} of {length} parameters");
        }
        assert_eq!(marks.len(), length / MARKED, "marks of {length} parameters");
        let pass = update_pass(length);
        // SAFETY: lengths were checked.
        unsafe {
            update::launch_unchecked(
                gpu.launch(&pass),
                gpu.grid(&pass),
                pass.dim(),
                values.argument(),
                gradients.argument(),
                means.argument(),
                squares.argument(),
                marks.argument(),
                watch.control().argument(),
                self.numbers(length / MARKED),
                self.rule == Rule::Sgd,
                self.frozen,
            );
        }
    }

    fn numbers(&self, length: usize) -> UpdateNumbersLaunch {
        assert!(self.step > 0, "steps count from 1");
        let steps = i32::try_from(self.step).unwrap_or(i32::MAX);
        let correction = |beta: f64| 1.0 - beta.powi(steps);
        // Of 0 none is kept after a step of e^-100 either, and no number is infinite.
        let log_kept = |beta: f64| beta.ln().max(-100.0) as f32;
        let (decay, decoupled) = match self.rule {
            Rule::AdamW => (0.0, self.weight_decay),
            Rule::Adam | Rule::Sgd => (self.weight_decay, 0.0),
        };
        let (rate_factor, new_mean) = match self.rule {
            Rule::Sgd => (1.0, 1.0),
            Rule::Adam | Rule::AdamW => (1.0 / correction(self.momentum), 1.0 - self.momentum),
        };
        let [rate, head_rate] = self.learning_rates.map(|rate| (rate * rate_factor) as f32);
        let [kept, head_kept] = self.learning_rates.map(|rate| (1.0 - rate * decoupled) as f32);
        UpdateNumbersLaunch::new(
            length,
            rate,
            head_rate,
            kept,
            head_kept,
            decay as f32,
            self.momentum as f32,
            new_mean as f32,
            self.beta2 as f32,
            (1.0 - self.beta2) as f32,
            (1.0 / correction(self.beta2).sqrt()) as f32,
            self.epsilon as f32,
            self.step as f32,
            BiasLaunch::new(log_kept(self.momentum), correction(self.momentum) as f32),
            BiasLaunch::new(log_kept(self.beta2), correction(self.beta2) as f32),
        )
    }
}
