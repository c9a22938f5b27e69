//! What follows the sums of products, on the way to the bytes of the next map.

use super::quantisation::Quantisation;
use crate::lanes::LANES;
use crate::nonlinearity::Nonlinearity;

/// What becomes of the values of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Requantisation {
    /// The function of each value.
    pub function: Nonlinearity,
    /// What the bytes of its argument stand for. Only SiLU is looked up by its argument's byte; others clamp.
    pub argument: Quantisation,
    /// What the bytes of its value stand for.
    pub output: Quantisation,
}

/// Factors and limits of the lanes of all blocks: a sum becomes `sum * factor + summand`, limited, rounded, and perhaps
/// looked up.
#[derive(Debug)]
pub(super) struct Epilogue {
    pub(super) factor: Vec<f32>,
    pub(super) summand: Vec<f32>,
    /// Of a skip connection's bytes.
    pub(super) skip_factor: f32,
    pub(super) low: f32,
    pub(super) high: f32,
    pub(super) table: Option<Box<[u8; 256]>>,
}

impl Epilogue {
    /// For sums that stand for `scales[channel]` each, and values to which `bias[channel]` is added.
    pub(super) fn new(
        how: &Requantisation,
        scales: &[f32],
        bias: &[f32],
        skip: Option<Quantisation>,
    ) -> Self {
        let Requantisation { function, argument, output } = *how;
        let target = if function == Nonlinearity::Silu { argument } else { output };
        let zero = f32::from(target.zero_point);
        let skip_factor = skip.map_or(0.0, |skip| skip.scale / target.scale);
        let skip_zero = skip.map_or(0.0, |skip| f32::from(skip.zero_point) * skip_factor);
        let lanes = scales.len().next_multiple_of(LANES);
        // Surplus lanes get the byte of zero.
        let mut factor = vec![0.0; lanes];
        let mut summand = vec![zero; lanes];
        for (lane, (scale, bias)) in scales.iter().zip(bias).enumerate() {
            factor[lane] = scale / target.scale;
            summand[lane] = bias / target.scale + zero - skip_zero;
        }
        let (low, high) = match function {
            Nonlinearity::Identity | Nonlinearity::Silu => (0.0, 255.0),
            Nonlinearity::Relu => (zero, 255.0),
            Nonlinearity::Relu6 => (zero, f32::from(output.byte(6.0))),
        };
        let table = (function == Nonlinearity::Silu).then(|| Box::new(silu_table(argument, output)));
        Self { factor, summand, skip_factor, low, high, table }
    }
}

/// The byte of SiLU of what each byte stands for.
fn silu_table(argument: Quantisation, output: Quantisation) -> [u8; 256] {
    std::array::from_fn(|byte| {
        let x = f64::from(argument.value(byte as u8));
        output.byte((x / (1.0 + (-x).exp())) as f32)
    })
}
