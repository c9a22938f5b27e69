//! Backward, the inner loops: how much of the output's gradient reaches each pixel, the sums of it, and `dz`.
#![expect(unsafe_code, reason = "vector instructions")]

use super::{Activation, ByActivation, chosen};
use crate::isa::{Form, Isa};
use crate::lanes::{Kernel, LANES, Lanes};
use crate::nonlinearity::Curve;
use std::marker::PhantomData;

/// Rows of a block.
pub(super) struct GradientRows {
    /// The first pixel of `z`, and the floats to the next row.
    pub(super) input: *const f32,
    pub(super) input_row: usize,
    /// The gradient of the output, pooled where there is pooling.
    pub(super) gradient: *const f32,
    pub(super) gradient_row: usize,
    /// `dz`; not read.
    pub(super) output: *mut f32,
    pub(super) output_row: usize,
    /// Rows and columns of `z`.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// `[16]` each: of the normalisation.
    pub(super) scale: *const f32,
    pub(super) shift: *const f32,
    pub(super) mean: *const f32,
    /// `[2][16]`: the factor of `z - mean` and the constant in `dz`.
    pub(super) factors: *const f32,
    /// Whether `dz` is added to what the output holds.
    pub(super) accumulate: bool,
    /// `[2][16]`: sums of the gradient and of its product with `z - mean`, added to.
    pub(super) sums: *mut f32,
}

/// Pixels that share a gradient: one, or the four of a pool.
#[inline(always)]
unsafe fn reaching<L: Lanes, C: Curve, const COUNT: usize>(
    gradient: L,
    pixels: [L; COUNT],
    scale: L,
    shift: L,
) -> [L; COUNT] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut values = pixels;
        for value in &mut values {
            *value = value.mul_add(scale, shift);
        }
        let mut largest = values[0];
        for &value in &values[1..] {
            largest = largest.max(value);
        }
        let gradient = C::carry(gradient, largest);
        let mut open = largest.equal(largest);
        let mut reached = [gradient; COUNT];
        if COUNT == 1 {
            reached[0] = gradient.keep(open);
            return reached;
        }
        for (reached, value) in reached.iter_mut().zip(values) {
            let here = L::and(value.equal(largest), open);
            *reached = gradient.keep(here);
            open = L::without(open, here);
        }
        reached
    }
}

/// Sums over rows of pixels that the output's gradient reaches.
struct Reduce<C, const POOL: bool>(PhantomData<C>);

impl<C: Curve, const POOL: bool> Kernel for Reduce<C, POOL> {
    type Arguments = GradientRows;

    #[inline(always)]
    unsafe fn run<L: Lanes>(rows: &GradientRows) {
        // SAFETY: the caller's pointers are good for the rows.
        unsafe {
            let (scale, shift, mean) = (L::load(rows.scale), L::load(rows.shift), L::load(rows.mean));
            let (mut sum, mut product) = (L::load(rows.sums), L::load(rows.sums.add(LANES)));
            let stride = if POOL { 2 } else { 1 };
            for y in 0..rows.rows / stride {
                let mut input = rows.input.add(y * stride * rows.input_row);
                let mut gradient = rows.gradient.add(y * rows.gradient_row);
                for _ in 0..rows.columns / stride {
                    let given = L::load(gradient);
                    if POOL {
                        let below = input.add(rows.input_row);
                        let pixels = [
                            L::load(input),
                            L::load(input.add(LANES)),
                            L::load(below),
                            L::load(below.add(LANES)),
                        ];
                        let reached = reaching::<L, C, 4>(given, pixels, scale, shift);
                        for (pixel, reached) in pixels.into_iter().zip(reached) {
                            sum = sum.add(reached);
                            product = reached.mul_add(pixel.sub(mean), product);
                        }
                    } else {
                        let pixel = L::load(input);
                        let [reached] = reaching::<L, C, 1>(given, [pixel], scale, shift);
                        sum = sum.add(reached);
                        product = reached.mul_add(pixel.sub(mean), product);
                    }
                    input = input.add(stride * LANES);
                    gradient = gradient.add(LANES);
                }
            }
            sum.store(rows.sums);
            product.store(rows.sums.add(LANES));
        }
    }
}

/// `dz = scale * reached + factor * (z - mean) + constant`.
struct Propagate<C, const POOL: bool>(PhantomData<C>);

struct Coefficients<L> {
    scale: L,
    shift: L,
    mean: L,
    factor: L,
    constant: L,
    accumulate: bool,
}

impl<L: Lanes> Coefficients<L> {
    #[inline(always)]
    unsafe fn put(&self, pixel: L, reached: Option<L>, to: *mut f32) {
        // SAFETY: the caller's pointer is good for a vector.
        unsafe {
            let mut value = pixel.sub(self.mean).mul_add(self.factor, self.constant);
            if let Some(reached) = reached {
                value = reached.mul_add(self.scale, value);
            }
            if self.accumulate {
                value = value.add(L::load(to));
            }
            value.store(to);
        }
    }
}

impl<C: Curve, const POOL: bool> Kernel for Propagate<C, POOL> {
    type Arguments = GradientRows;

    #[inline(always)]
    unsafe fn run<L: Lanes>(rows: &GradientRows) {
        // SAFETY: the caller's pointers are good for the rows.
        unsafe {
            let with = Coefficients {
                scale: L::load(rows.scale),
                shift: L::load(rows.shift),
                mean: L::load(rows.mean),
                factor: L::load(rows.factors),
                constant: L::load(rows.factors.add(LANES)),
                accumulate: rows.accumulate,
            };
            if POOL {
                Self::pooled(rows, &with);
            } else {
                Self::plain(rows, &with);
            }
        }
    }
}

impl<C: Curve, const POOL: bool> Propagate<C, POOL> {
    #[inline(always)]
    unsafe fn plain<L: Lanes>(rows: &GradientRows, with: &Coefficients<L>) {
        for y in 0..rows.rows {
            // SAFETY: rows of the map.
            unsafe {
                let input = rows.input.add(y * rows.input_row);
                let gradient = rows.gradient.add(y * rows.gradient_row);
                let output = rows.output.add(y * rows.output_row);
                for x in 0..rows.columns {
                    let pixel = L::load(input.add(x * LANES));
                    let given = L::load(gradient.add(x * LANES));
                    let [reached] = reaching::<L, C, 1>(given, [pixel], with.scale, with.shift);
                    with.put(pixel, Some(reached), output.add(x * LANES));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn pooled<L: Lanes>(rows: &GradientRows, with: &Coefficients<L>) {
        // SAFETY: rows of the map; the last odd row and column have no gradient.
        unsafe {
            for y in (0..rows.rows).step_by(2) {
                let input = rows.input.add(y * rows.input_row);
                let output = rows.output.add(y * rows.output_row);
                if y + 1 == rows.rows {
                    Self::unpooled(input, output, 0..rows.columns, with);
                    break;
                }
                let gradient = rows.gradient.add(y / 2 * rows.gradient_row);
                let (below, output_below) = (input.add(rows.input_row), output.add(rows.output_row));
                for pair in 0..rows.columns / 2 {
                    let x = 2 * pair * LANES;
                    let pixels = [
                        L::load(input.add(x)),
                        L::load(input.add(x + LANES)),
                        L::load(below.add(x)),
                        L::load(below.add(x + LANES)),
                    ];
                    let given = L::load(gradient.add(pair * LANES));
                    let reached = reaching::<L, C, 4>(given, pixels, with.scale, with.shift);
                    with.put(pixels[0], Some(reached[0]), output.add(x));
                    with.put(pixels[1], Some(reached[1]), output.add(x + LANES));
                    with.put(pixels[2], Some(reached[2]), output_below.add(x));
                    with.put(pixels[3], Some(reached[3]), output_below.add(x + LANES));
                }
                let odd = rows.columns / 2 * 2..rows.columns;
                Self::unpooled(input, output, odd.clone(), with);
                Self::unpooled(below, output_below, odd, with);
            }
        }
    }

    #[inline(always)]
    unsafe fn unpooled<L: Lanes>(
        input: *const f32,
        output: *mut f32,
        columns: std::ops::Range<usize>,
        with: &Coefficients<L>,
    ) {
        for x in columns {
            // SAFETY: pixels of a row of the map.
            unsafe { with.put(L::load(input.add(x * LANES)), None, output.add(x * LANES)) };
        }
    }
}

/// The form that adds up.
pub(super) fn reduce_form(isa: Isa, activation: Activation) -> Form<GradientRows> {
    struct Choice;
    impl ByActivation for Choice {
        type Arguments = GradientRows;

        fn form<C: Curve, const POOL: bool>(isa: Isa) -> Form<GradientRows> {
            isa.form::<Reduce<C, POOL>>()
        }
    }
    chosen::<Choice>(isa, activation)
}

/// The form that writes `dz`.
pub(super) fn propagate_form(isa: Isa, activation: Activation) -> Form<GradientRows> {
    struct Choice;
    impl ByActivation for Choice {
        type Arguments = GradientRows;

        fn form<C: Curve, const POOL: bool>(isa: Isa) -> Form<GradientRows> {
            isa.form::<Propagate<C, POOL>>()
        }
    }
    chosen::<Choice>(isa, activation)
}
