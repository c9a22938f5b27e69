//! The functions that follow a normalisation or a dense layer, in kernels.

use cubecl::prelude::*;
use xray_kernels::Nonlinearity;

/// A [`Nonlinearity`], or the sigmoid, as a kernel is compiled for it.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Curve {
    /// The value itself.
    Identity,
    /// `max(x, 0)`; the gradient at zero is zero.
    Relu,
    /// `min(max(x, 0), 6)`; the gradient at zero and at six is zero.
    Relu6,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl From<Nonlinearity> for Curve {
    fn from(function: Nonlinearity) -> Self {
        match function {
            Nonlinearity::Identity => Self::Identity,
            Nonlinearity::Relu => Self::Relu,
            Nonlinearity::Relu6 => Self::Relu6,
            Nonlinearity::Silu => Self::Silu,
        }
    }
}

/// `1 / (1 + exp(-x))`, without an infinity on the way.
#[cube]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let e = (-x.abs()).exp();
    let mut value = 1.0f32 / (1.0f32 + e);
    if x < 0.0f32 {
        value = e / (1.0f32 + e);
    }
    value
}

/// The function's value.
#[cube]
pub(crate) fn curve(x: f32, #[comptime] function: Curve) -> f32 {
    let mut value = x;
    if comptime!(matches!(function, Curve::Relu | Curve::Relu6)) {
        // A comparison, not max: WGSL's max may lose NaN.
        value = select(x < 0.0f32, 0.0f32, value);
    }
    if comptime!(function == Curve::Relu6) {
        value = select(x > 6.0f32, 6.0f32, value);
    }
    if comptime!(function == Curve::Silu) {
        value = x * sigmoid(x);
    }
    if comptime!(function == Curve::Sigmoid) {
        value = sigmoid(x);
    }
    value
}

/// The gradient of the argument, given that of the value.
#[cube]
pub(crate) fn carry(gradient: f32, x: f32, #[comptime] function: Curve) -> f32 {
    let mut value = gradient;
    if comptime!(matches!(function, Curve::Relu | Curve::Relu6)) {
        value = select(x <= 0.0f32, 0.0f32, value);
    }
    if comptime!(function == Curve::Relu6) {
        value = select(x >= 6.0f32, 0.0f32, value);
    }
    if comptime!(function == Curve::Silu) {
        let s = sigmoid(x);
        value = gradient * s * (1.0f32 + x * (1.0f32 - s));
    }
    if comptime!(function == Curve::Sigmoid) {
        value = gradient * sigmoid(x) * sigmoid(-x);
    }
    value
}

/// The function's values of neighbouring channels.
#[cube]
pub(crate) fn curve_each<N: Size>(x: Vector<f32, N>, #[comptime] function: Curve) -> Vector<f32, N> {
    let mut value = x;
    if comptime!(function != Curve::Identity) {
        #[unroll]
        for q in 0..x.vector_size() {
            let one = curve(x.extract(q), function);
            value.insert(q, one);
        }
    }
    value
}

/// The gradients of the arguments, given those of the values.
#[cube]
pub(crate) fn carry_each<N: Size>(
    gradient: Vector<f32, N>,
    x: Vector<f32, N>,
    #[comptime] function: Curve,
) -> Vector<f32, N> {
    let mut value = gradient;
    if comptime!(function != Curve::Identity) {
        #[unroll]
        for q in 0..x.vector_size() {
            let one = carry(gradient.extract(q), x.extract(q), function);
            value.insert(q, one);
        }
    }
    value
}
