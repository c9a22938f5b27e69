//! Where the tensors of a network lie in flat buffers: all that is learned in one, running statistics in another, so
//! that a step of the optimizer, a moving average and a checkpoint are one piece of work each.

use crate::architectures::Network;
use crate::weights::{names_of, weights_of};
use crate::{HostTensor, StateDict};
use burn::module::ParamId;
use std::collections::{BTreeMap, HashMap};
use xray_gpu::{MARKED, Mark};

/// Floats that a tensor's start is a multiple of: 256 bytes, which every device can bind.
const ALIGNMENT: usize = 64;

/// Floats of one buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) length: usize,
}

/// A tensor of a network.
#[derive(Debug)]
struct Entry {
    /// As PyTorch has it.
    shape: Vec<usize>,
    span: Span,
    is_running: bool,
}

/// The place of every tensor. Kernels `[out, in, k, k]` lie as `[out][k][k][in]`, all else as PyTorch has it.
#[derive(Debug)]
pub(super) struct Layout {
    entries: BTreeMap<String, Entry>,
    names: HashMap<ParamId, String>,
    /// Floats of all that is learned, and of running statistics.
    pub(super) learned: usize,
    pub(super) running: usize,
    /// The name of the last layer.
    head: &'static str,
}

/// A batch norm's places.
#[derive(Clone, Copy, Debug)]
pub(super) struct NormSpans {
    pub(super) gamma: Span,
    pub(super) beta: Span,
    pub(super) mean: Span,
    pub(super) variance: Span,
}

impl Layout {
    pub(super) fn of(network: &Network) -> Self {
        let (mut learned, mut running) = (0, 0);
        let entry = |(name, tensor): (String, HostTensor)| {
            let is_running = name.contains(".running_");
            let end = if is_running { &mut running } else { &mut learned };
            let span = Span { start: *end, length: tensor.values.len() };
            *end += span.length.next_multiple_of(ALIGNMENT);
            (name, Entry { shape: tensor.shape, span, is_running })
        };
        let entries = weights_of(network).tensors.into_iter().map(entry).collect();
        Layout { entries, names: names_of(network), learned, running, head: network.head() }
    }

    /// A learned tensor.
    pub(super) fn span(&self, id: ParamId) -> Span {
        self.entries[&self.names[&id]].span
    }

    /// What a batch norm has, known by its gamma.
    pub(super) fn norm(&self, gamma: ParamId) -> NormSpans {
        let name = self.names[&gamma].strip_suffix("weight").expect("gamma is called weight");
        let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| self.entries[&format!("{name}{part}")].span);
        NormSpans { gamma, beta, mean, variance }
    }

    /// The flat form of tensors that fit: learned, then running.
    pub(super) fn pack(&self, dict: &StateDict) -> [Vec<f32>; 2] {
        let mut flat = [vec![0.0; self.learned], vec![0.0; self.running]];
        for (name, entry) in &self.entries {
            let to = &mut flat[usize::from(entry.is_running)][entry.span.start..][..entry.span.length];
            entry.places().for_each(|(file, device)| to[device] = dict.tensors[name].values[file]);
        }
        flat
    }

    /// The other way.
    pub(super) fn unpack(&self, learned: &[f32], running: &[f32]) -> StateDict {
        let tensors = self.entries.iter().map(|(name, entry)| {
            let from = if entry.is_running { running } else { learned };
            (name.clone(), entry.tensor(from))
        });
        StateDict { tensors: tensors.collect() }
    }

    /// What the optimizer keeps of each learned tensor, flattened as burn has it.
    pub(super) fn moments(&self, flat: &[f32]) -> impl Iterator<Item = (&String, HostTensor)> {
        let learned = self.entries.iter().filter(|(_, entry)| !entry.is_running);
        learned.map(|(name, entry)| {
            let tensor = entry.tensor(flat);
            let values =
                if entry.is_matrix() { transposed(&tensor.values, &entry.shape) } else { tensor.values };
            (name, HostTensor { shape: vec![values.len()], values })
        })
    }

    /// The other way; a tensor without moments has zeros.
    pub(super) fn pack_moments(&self, dict: &StateDict) -> Vec<f32> {
        let mut flat = vec![0.0; self.learned];
        for (name, entry) in self.entries.iter().filter(|(_, entry)| !entry.is_running) {
            let Some(found) = dict.tensors.get(name) else { continue };
            let [rows, columns] = [entry.shape[0], entry.shape.get(1).copied().unwrap_or(1)];
            let values = if entry.is_matrix() {
                transposed(&found.values, &[columns, rows])
            } else {
                found.values.clone()
            };
            let to = &mut flat[entry.span.start..][..entry.span.length];
            entry.places().for_each(|(file, device)| to[device] = values[file]);
        }
        flat
    }

    /// A [`Mark`] for every [`MARKED`] learned floats.
    pub(super) fn marks(&self) -> Vec<f32> {
        let mut marks = vec![0.0; self.learned / MARKED];
        for (name, entry) in self.entries.iter().filter(|(_, entry)| !entry.is_running) {
            let in_head = name.strip_prefix(self.head).is_some_and(|rest| rest.starts_with('.'));
            let mark = if in_head { Mark::HEAD } else { 0.0 };
            // Kernels and matrices decay; biases and batch norm do not.
            let mark = mark + if entry.shape.len() > 1 { Mark::DECAY } else { 0.0 };
            marks[entry.span.start / MARKED..][..entry.span.length.div_ceil(MARKED)].fill(mark);
        }
        marks
    }
}

impl Entry {
    fn tensor(&self, flat: &[f32]) -> HostTensor {
        let from = &flat[self.span.start..][..self.span.length];
        let mut values = vec![0.0; from.len()];
        self.places().for_each(|(file, device)| values[file] = from[device]);
        HostTensor { shape: self.shape.clone(), values }
    }

    /// The place of each value in a file's order, and in the device's.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (inputs, taps) = match *self.shape {
            [_, inputs, rows, columns] => (inputs, rows * columns),
            _ => (1, 1),
        };
        (0..self.span.length).map(move |file| {
            let (out, input, tap) = (file / (inputs * taps), file / taps % inputs, file % taps);
            (file, (out * taps + tap) * inputs + input)
        })
    }

    /// burn keeps a linear layer's matrix the other way round.
    fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }
}

/// Rows of a matrix as columns.
fn transposed(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let (rows, columns) = (shape[0], shape[1]);
    (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Architecture, ModelConfig};
    use burn::tensor::Device;

    fn network(architecture: Architecture) -> Network {
        let width = if architecture == Architecture::DenseNet121 { 4 } else { 8 };
        let config = ModelConfig { width, ..ModelConfig::of(architecture) };
        Network::new(&config, 3, &Device::flex()).expect("a network")
    }

    /// The weights' shapes with other numbers for each value of each tensor.
    fn numbered(network: &Network) -> StateDict {
        let mut dict = weights_of(network);
        let values = dict.tensors.values_mut().flat_map(|tensor| &mut tensor.values);
        values.zip(1..).for_each(|(value, number)| *value = number as f32);
        dict
    }

    #[test]
    fn what_is_packed_is_unpacked_again() {
        for architecture in Architecture::ALL {
            let network = network(architecture);
            let (layout, dict) = (Layout::of(&network), numbered(&network));
            let [learned, running] = layout.pack(&dict);
            assert_eq!((learned.len(), running.len()), (layout.learned, layout.running));
            assert_eq!(layout.unpack(&learned, &running), dict, "{architecture:?}");
            let moments = layout.moments(&learned).map(|(name, tensor)| (name.clone(), tensor)).collect();
            assert_eq!(layout.pack_moments(&StateDict { tensors: moments }), learned, "{architecture:?}");
        }
    }

    #[test]
    fn kernels_have_their_inputs_last_and_every_start_can_be_bound() {
        let network = network(Architecture::SmallCnn);
        let (layout, dict) = (Layout::of(&network), numbered(&network));
        let [learned, _] = layout.pack(&dict);
        let (name, entry) = ("features.1.conv.weight", &layout.entries["features.1.conv.weight"]);
        let [out, inputs, 3, 3] = entry.shape[..] else { panic!("{name} is {:?}", entry.shape) };
        let (of_file, of_device) = (&dict.tensors[name].values, &learned[entry.span.start..]);
        for (o, i, tap) in [(0, 0, 1), (0, 1, 0), (out - 1, inputs - 1, 8)] {
            assert_eq!(of_device[(o * 9 + tap) * inputs + i], of_file[(o * inputs + i) * 9 + tap]);
        }
        assert!(layout.entries.values().all(|entry| entry.span.start.is_multiple_of(ALIGNMENT)));
    }

    #[test]
    fn the_last_layer_and_what_decays_are_marked() {
        let layout = Layout::of(&network(Architecture::MobileNetV2));
        let marks = layout.marks();
        let check = |name: &str, mark: f32| {
            let Span { start, length } = layout.entries[name].span;
            assert!(
                marks[start / MARKED..][..length.div_ceil(MARKED)].iter().all(|found| *found == mark),
                "{name}"
            );
        };
        check("classifier.1.weight", Mark::HEAD + Mark::DECAY);
        check("classifier.1.bias", Mark::HEAD);
        check("features.0.0.weight", Mark::DECAY);
        check("features.0.1.weight", 0.0);
    }
}
