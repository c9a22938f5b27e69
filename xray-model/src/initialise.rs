//! First weights, drawn on the host from (seed, parameter name): the same on every device and unchanged
//! by layers that are added elsewhere.

use crate::{HostTensor, StateDict};

/// Draws every weight of a fresh network's state dict as PyTorch's layers do by default: uniform in
/// ±1/√fan_in for convolutions and linear layers and their biases (He et al. 2015 with a = √5). Batch norm
/// keeps its ones and zeros.
pub(crate) fn initialise(dict: &mut StateDict, seed: u64) {
    let fan_ins: Vec<_> =
        dict.tensors.iter().map(|(name, tensor)| (name.clone(), fan_in(name, tensor))).collect();
    for (name, fan_in) in &fan_ins {
        // A bias follows the weight of its layer.
        let weight = name.strip_suffix("bias").map_or(name.clone(), |layer| format!("{layer}weight"));
        let of_layer = fan_ins.iter().find(|(other, _)| *other == weight).and_then(|(_, fan_in)| *fan_in);
        if let (Some(fan_in), Some(tensor)) = (fan_in.or(of_layer), dict.tensors.get_mut(name)) {
            let bound = 1.0 / (fan_in as f64).sqrt();
            let mut random = SplitMix64(seed ^ fnv1a(name));
            tensor.values.fill_with(|| ((2.0 * random.unit() - 1.0) * bound) as f32);
        }
    }
}

/// Inputs per output for a kernel `[out, in, h, w]` or a matrix `[out, in]`; none for a vector.
fn fan_in(name: &str, tensor: &HostTensor) -> Option<usize> {
    (name.ends_with("weight") && tensor.shape.len() > 1).then(|| tensor.shape[1..].iter().product())
}

/// Steele, Lea & Flood 2014: a counter hashed to 64 random bits.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Fowler, Noll & Vo's hash, which separates the streams of the parameters.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64) -> StateDict {
        let zeros =
            |shape: &[usize]| HostTensor { shape: shape.to_vec(), values: vec![0.0; shape.iter().product()] };
        let mut dict = StateDict::default();
        dict.tensors.insert("a.conv.weight".into(), zeros(&[64, 16, 3, 3]));
        dict.tensors.insert("a.norm.weight".into(), zeros(&[64]));
        dict.tensors.insert("a.norm.bias".into(), zeros(&[64]));
        dict.tensors.insert("b.weight".into(), zeros(&[14, 100]));
        dict.tensors.insert("b.bias".into(), zeros(&[14]));
        initialise(&mut dict, seed);
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
}
