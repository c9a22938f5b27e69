//! Nonlinearities of a few values.
#![expect(unsafe_code, reason = "vector instructions")]

use crate::isa::Isa;
use crate::lanes::{Kernel, LANES, Lanes};
use crate::nonlinearity::Curve;
use std::marker::PhantomData;

/// Arguments, and what is made of them in their place: values, or of a gradient the gradient of its argument.
struct Sixteen {
    arguments: [f32; LANES],
    gradient: Option<[f32; LANES]>,
    found: *mut [f32; LANES],
}

struct Apply<C>(PhantomData<C>);

impl<C: Curve> Kernel for Apply<C> {
    type Arguments = Sixteen;

    #[inline(always)]
    unsafe fn run<L: Lanes>(sixteen: &Sixteen) {
        // SAFETY: pointers to arrays of the caller.
        unsafe {
            let arguments = L::load(sixteen.arguments.as_ptr());
            let found = match &sixteen.gradient {
                None => C::value(arguments),
                Some(gradient) => C::carry(L::load(gradient.as_ptr()), arguments),
            };
            found.store(sixteen.found.cast());
        }
    }
}

/// Replaces arguments by the curve's values.
pub(super) fn apply<C: Curve>(isa: Isa, values: &mut [f32]) {
    let form = isa.form::<Apply<C>>();
    for values in values.chunks_mut(LANES) {
        let (arguments, mut found) = (filled(values), [0.0; LANES]);
        // SAFETY: the instructions are those of `isa`.
        unsafe { form(&Sixteen { arguments, gradient: None, found: &raw mut found }) };
        values.copy_from_slice(&found[..values.len()]);
    }
}

/// Replaces the gradients of values by those of their arguments.
pub(super) fn carry<C: Curve>(isa: Isa, arguments: &[f32], gradients: &mut [f32]) {
    let form = isa.form::<Apply<C>>();
    for (arguments, gradients) in arguments.chunks(LANES).zip(gradients.chunks_mut(LANES)) {
        let (arguments, gradient, mut found) = (filled(arguments), filled(gradients), [0.0; LANES]);
        // SAFETY: the instructions are those of `isa`.
        unsafe { form(&Sixteen { arguments, gradient: Some(gradient), found: &raw mut found }) };
        gradients.copy_from_slice(&found[..gradients.len()]);
    }
}

fn filled(values: &[f32]) -> [f32; LANES] {
    std::array::from_fn(|lane| values.get(lane).copied().unwrap_or_default())
}
