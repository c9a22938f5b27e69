//! First weights, drawn on the host from (seed, parameter name): the same on every device and unchanged
//! by layers that are added elsewhere.

use crate::{HostTensor, StateDict};
use xray_random::Random;

/// How the weights of a network's layers are drawn. Batch norm keeps its ones and zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Initialisation {
    /// Of convolutions.
    pub(crate) kernels: Draw,
    /// Of linear layers.
    pub(crate) matrices: Draw,
    /// Of both.
    pub(crate) biases: Draw,
}

/// A distribution; a kernel's inputs are the values that one output is a sum of, its outputs those that one input is
/// added to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Draw {
    Zero,
    /// Uniform in ±1/√inputs, as PyTorch's layers are by default (He et al. 2015 with a = √5).
    UniformByInputs,
    /// Uniform in ±1/√outputs.
    UniformByOutputs,
    /// Normal with variance 2/inputs (He et al. 2015).
    NormalByInputs,
    /// Normal with variance 2/outputs, which keeps the size of gradients instead of that of maps.
    NormalByOutputs,
    /// Normal with this deviation.
    Normal(f64),
}

/// Draws every weight of a fresh network's state dict.
pub(crate) fn initialise(dict: &mut StateDict, initialisation: &Initialisation, seed: u64) {
    let fans: Vec<_> =
        dict.tensors.iter().map(|(name, tensor)| (name.clone(), Fans::of(name, tensor))).collect();
    for (name, of_tensor) in &fans {
        // A bias follows the weight of its layer.
        let weight = name.strip_suffix("bias").map_or(name.clone(), |layer| format!("{layer}weight"));
        let of_layer = fans.iter().find(|(other, _)| *other == weight).and_then(|(_, fans)| *fans);
        let (Some(fans), Some(tensor)) = (of_tensor.or(of_layer), dict.tensors.get_mut(name)) else {
            continue;
        };
        let draw = match tensor.shape.len() {
            1 => initialisation.biases,
            2 => initialisation.matrices,
            _ => initialisation.kernels,
        };
        fans.fill(draw, &mut Random::named(seed, name), &mut tensor.values);
    }
}

#[derive(Clone, Copy)]
struct Fans {
    inputs: usize,
    outputs: usize,
}

impl Fans {
    /// Of a kernel `[out, in, h, w]` or a matrix `[out, in]`; none for a vector.
    fn of(name: &str, tensor: &HostTensor) -> Option<Self> {
        let [outputs, inputs, places @ ..] = &tensor.shape[..] else { return None };
        let places: usize = places.iter().product();
        name.ends_with("weight").then_some(Fans { inputs: inputs * places, outputs: outputs * places })
    }

    fn fill(self, draw: Draw, random: &mut Random, values: &mut [f32]) {
        let (inputs, outputs) = (self.inputs as f64, self.outputs as f64);
        let uniform = |random: &mut Random, bound: f64| ((2.0 * random.unit() - 1.0) * bound) as f32;
        values.fill_with(|| match draw {
            Draw::Zero => 0.0,
            Draw::UniformByInputs => uniform(random, 1.0 / inputs.sqrt()),
            Draw::UniformByOutputs => uniform(random, 1.0 / outputs.sqrt()),
            Draw::NormalByInputs => (random.normal() * (2.0 / inputs).sqrt()) as f32,
            Draw::NormalByOutputs => (random.normal() * (2.0 / outputs).sqrt()) as f32,
            Draw::Normal(deviation) => (random.normal() * deviation) as f32,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Initialisation = Initialisation {
        kernels: Draw::UniformByInputs,
        matrices: Draw::UniformByInputs,
        biases: Draw::UniformByInputs,
    };

    fn drawn(seed: u64) -> StateDict {
        drawn_by(&DEFAULT, seed)
    }

    fn drawn_by(initialisation: &Initialisation, seed: u64) -> StateDict {
        let zeros =
            |shape: &[usize]| HostTensor { shape: shape.to_vec(), values: vec![0.0; shape.iter().product()] };
        let mut dict = StateDict::default();
        dict.tensors.insert("a.conv.weight".into(), zeros(&[64, 16, 3, 3]));
        dict.tensors.insert("a.norm.weight".into(), zeros(&[64]));
        dict.tensors.insert("a.norm.bias".into(), zeros(&[64]));
        dict.tensors.insert("b.weight".into(), zeros(&[14, 100]));
        dict.tensors.insert("b.bias".into(), zeros(&[14]));
        initialise(&mut dict, initialisation, seed);
        dict
    }

    #[test]
    fn weights_fill_their_range_evenly_and_norms_stay() {
        let dict = drawn(1);
        let check = |name: &str, bound: f32| {
            let values = &dict.tensors[name].values;
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / values.len() as f32;
            assert!(values.iter().all(|v| v.abs() <= bound), "{name}");
            assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.1, "{name}: {variance}");
        };
        check("a.conv.weight", 1.0 / 12.0);
        check("b.weight", 0.1);
        assert!(dict.tensors["b.bias"].values.iter().all(|v| v.abs() <= 0.1 && *v != 0.0));
        assert!(dict.tensors["a.norm.weight"].values.iter().all(|v| *v == 0.0));
        assert!(dict.tensors["a.norm.bias"].values.iter().all(|v| *v == 0.0));
        assert_eq!(drawn(1), dict);
        assert_ne!(drawn(2), dict);
    }
    #[test]
    fn normal_draws_have_their_deviation() {
        let initialisation = Initialisation {
            kernels: Draw::NormalByOutputs,
            matrices: Draw::UniformByOutputs,
            biases: Draw::Zero,
        };
        let dict = drawn_by(&initialisation, 5);
        let values = |name: &str| dict.tensors[name].values.iter().map(|&value| f64::from(value));
        let count = values("a.conv.weight").count() as f64;
        let moment = |power| values("a.conv.weight").map(|value| value.powi(power)).sum::<f64>() / count;
        let variance = 2.0 / (64.0 * 9.0);
        assert!(moment(1).abs() < 4.0 * (variance / count).sqrt());
        assert!((moment(2) / variance - 1.0).abs() < 0.05);
        assert!((moment(4) / moment(2).powi(2) - 3.0).abs() < 0.3, "not the fourth moment of a normal draw");
        let bound = 1.0 / 14.0_f64.sqrt();
        assert!(values("b.weight").all(|value| value.abs() <= bound));
        assert!(values("b.weight").any(|value| value.abs() > 0.9 * bound));
        assert!(values("b.bias").all(|value| value == 0.0));
    }

    #[test]
    fn draws_of_earlier_versions_stay() {
        let dict = drawn(1);
        let first = |name: &str| dict.tensors[name].values[0];
        assert_eq!(
            [first("a.conv.weight"), first("b.weight"), first("b.bias")],
            [-0.023665607, -0.049212106, -0.025974967]
        );
    }
}
