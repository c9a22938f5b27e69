//! The functions that follow a normalisation, and how they carry a gradient back.
#![expect(unsafe_code, reason = "vector instructions")]

use crate::lanes::{Lanes, one_and_exp_of_negative};

/// A function of each value by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonlinearity {
    /// The value itself.
    Identity,
    /// `max(x, 0)`; the gradient at zero is zero.
    Relu,
    /// `min(max(x, 0), 6)` (Howard et al., 2017); the gradient at zero and at six is zero.
    Relu6,
    /// `x / (1 + exp(-x))` (Elfwing et al., 2018), also called swish.
    Silu,
}

/// A nonlinearity over lanes.
///
/// # Safety of all functions
/// The processor has the instructions.
pub(crate) trait Curve {
    unsafe fn value<L: Lanes>(x: L) -> L;
    /// The gradient of the argument, given that of the value.
    unsafe fn carry<L: Lanes>(gradient: L, x: L) -> L;
}

pub(crate) struct Identity;
pub(crate) struct Relu;
pub(crate) struct Relu6;
pub(crate) struct Silu;
/// `1 / (1 + exp(-x))`, of gates only.
pub(crate) struct Sigmoid;

impl Curve for Identity {
    #[inline(always)]
    unsafe fn value<L: Lanes>(x: L) -> L {
        x
    }

    #[inline(always)]
    unsafe fn carry<L: Lanes>(gradient: L, _: L) -> L {
        gradient
    }
}

impl Curve for Relu {
    #[inline(always)]
    unsafe fn value<L: Lanes>(x: L) -> L {
        // SAFETY: the caller has the instructions.
        unsafe { L::zero().max(x) }
    }

    #[inline(always)]
    unsafe fn carry<L: Lanes>(gradient: L, x: L) -> L {
        // SAFETY: the caller has the instructions.
        unsafe { gradient.keep(x.greater(L::zero())) }
    }
}

const SIX: f32 = 6.0;

impl Curve for Relu6 {
    #[inline(always)]
    unsafe fn value<L: Lanes>(x: L) -> L {
        // SAFETY: the caller has the instructions.
        unsafe { L::splat(SIX).min(L::zero().max(x)) }
    }

    #[inline(always)]
    unsafe fn carry<L: Lanes>(gradient: L, x: L) -> L {
        // SAFETY: the caller has the instructions.
        unsafe { gradient.keep(L::and(x.greater(L::zero()), L::splat(SIX).greater(x))) }
    }
}

impl Curve for Silu {
    #[inline(always)]
    unsafe fn value<L: Lanes>(x: L) -> L {
        // SAFETY: the caller has the instructions.
        unsafe { x.div(one_and_exp_of_negative(x)) }
    }

    #[inline(always)]
    unsafe fn carry<L: Lanes>(gradient: L, x: L) -> L {
        // SAFETY: the caller has the instructions.
        unsafe {
            let (one, sigmoid) = (L::splat(1.0), Sigmoid::value(x));
            gradient.mul(sigmoid.mul(x.mul_add(one.sub(sigmoid), one)))
        }
    }
}

impl Curve for Sigmoid {
    #[inline(always)]
    unsafe fn value<L: Lanes>(x: L) -> L {
        // SAFETY: the caller has the instructions.
        unsafe { L::splat(1.0).div(one_and_exp_of_negative(x)) }
    }

    #[inline(always)]
    unsafe fn carry<L: Lanes>(gradient: L, x: L) -> L {
        // SAFETY: the caller has the instructions.
        unsafe {
            let sigmoid = Self::value(x);
            gradient.mul(sigmoid.mul(L::splat(1.0).sub(sigmoid)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::lanes::{Kernel, LANES};
    use std::marker::PhantomData;

    struct Both<C>(PhantomData<C>);

    /// Sixteen arguments, values, and what is carried of a gradient of 1.
    struct Sixteen {
        x: [f32; LANES],
        out: *mut [[f32; LANES]; 2],
    }

    impl<C: Curve> Kernel for Both<C> {
        type Arguments = Sixteen;

        #[inline(always)]
        unsafe fn run<L: Lanes>(sixteen: &Sixteen) {
            // SAFETY: pointers to arrays of the caller.
            unsafe {
                let x = L::load(sixteen.x.as_ptr());
                C::value(x).store((*sixteen.out)[0].as_mut_ptr());
                C::carry(L::splat(1.0), x).store((*sixteen.out)[1].as_mut_ptr());
            }
        }
    }

    fn check<C: Curve>(value: impl Fn(f64) -> f64, slope: impl Fn(f64) -> f64) {
        for isa in Isa::available() {
            for start in -60..60 {
                let x = std::array::from_fn(|lane| start as f32 * 2.0 + lane as f32 / 8.0);
                let mut found = [[0.0; LANES]; 2];
                let sixteen = Sixteen { x, out: &raw mut found };
                // SAFETY: the instructions are available.
                unsafe { isa.form::<Both<C>>()(&sixteen) };
                for (lane, x) in x.into_iter().enumerate() {
                    let expected = [value(f64::from(x)), slope(f64::from(x))];
                    // The terms of a slope cancel where it passes through zero, and one less the sigmoid of a large
                    // argument, which stands beside that argument, is rounded.
                    for (found, (expected, least)) in found.iter().zip(expected.into_iter().zip([0.0, 1.0])) {
                        let allowed = 6e-7 * expected.abs().max(least * 5.0) + 1e-30;
                        let error = (f64::from(found[lane]) - expected).abs();
                        assert!(error <= allowed, "{isa}: {x}: {} instead of {expected}", found[lane]);
                    }
                }
            }
        }
    }

    #[test]
    fn curves_are_their_formulas() {
        check::<Identity>(|x| x, |_| 1.0);
        check::<Relu>(|x| x.max(0.0), |x| f64::from(u8::from(x > 0.0)));
        check::<Relu6>(|x| x.clamp(0.0, 6.0), |x| f64::from(u8::from(x > 0.0 && x < 6.0)));
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        check::<Silu>(|x| x * sigmoid(x), |x| sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))));
        check::<Sigmoid>(sigmoid, |x| sigmoid(x) * (1.0 - sigmoid(x)));
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for isa in Isa::available() {
            let mut found = [[0.0; LANES]; 2];
            let sixteen = Sixteen { x: [f32::NAN; LANES], out: &raw mut found };
            for form in [isa.form::<Both<Relu>>(), isa.form::<Both<Relu6>>(), isa.form::<Both<Silu>>()] {
                // SAFETY: the instructions are available.
                unsafe { form(&sixteen) };
                assert!(found[0].iter().all(|value| value.is_nan()), "{isa}");
            }
        }
    }
}
