//! Weights as a file keeps them: all digits, half of them, or one byte each. Arithmetic is in float32 whatever the file
//! has, unless it has the ranges of activations too.

use crate::{ActivationRanges, Error, HostTensor, Result, StateDict};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use xray_artifacts::{FileError, check_tensors, write_tensors};

/// The numbers that kernels and matrices are kept in. Biases and batch norm are float32 in any case: they are few, and
/// a running variance may be too small or too large for float16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightType {
    /// As trained.
    #[default]
    F32,
    /// IEEE 754 half precision: eleven significant bits.
    F16,
    /// −127 to 127 times a scale for each output channel, its largest weight over 127 (Krishnamoorthi: Quantizing deep
    /// convolutional networks for efficient inference, 2018, §3.1: symmetric, per channel).
    Int8,
}

impl WeightType {
    /// As written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            WeightType::F32 => "f32",
            WeightType::F16 => "f16",
            WeightType::Int8 => "int8",
        }
    }
}

/// A state dict in the numbers of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDict {
    pub(crate) tensors: BTreeMap<String, StoredTensor>,
}

/// A tensor in the numbers of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredTensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: WeightType,
    /// Little-endian.
    pub(crate) bytes: Vec<u8>,
    /// Of int8, one for each index of the first dimension.
    pub(crate) scales: Vec<f32>,
}

/// The word in a file's header under which its checksum stands, in hexadecimal.
pub const CHECKSUM: &str = "blake3";

/// The tensor that makes a network one of integers: the lowest and the highest value of each map, `[maps, 2]`. Programs that
/// know only weights refuse it, as they do any tensor that a network does not have.
const RANGES: &str = "activation_ranges";

/// The lowest and the highest value of each map.
type Ranges = Vec<[f32; 2]>;

/// Ends the name of an int8 tensor's scales.
const SCALE: &str = ".scale";

impl StateDict {
    /// The same in such numbers. Ranges of activations stay with weights in all digits only: they are of the network as it
    /// was.
    pub fn stored(&self, numbers: WeightType) -> StoredDict {
        let is_kept = |name: &str| name != RANGES || numbers == WeightType::F32;
        let tensors = self.tensors.iter().filter(|(name, _)| is_kept(name));
        StoredDict {
            tensors: tensors
                .map(|(name, tensor)| (name.clone(), StoredTensor::of(tensor, numbers)))
                .collect(),
        }
    }

    /// The weights alone, and the ranges of activations where they came with some.
    ///
    /// # Errors
    /// If the ranges are not pairs, or a pair is not two finite numbers around zero: bytes would stand for anything.
    pub(crate) fn without_ranges(&self) -> Result<(Cow<'_, StateDict>, Option<Ranges>)> {
        let Some(HostTensor { shape, values }) = self.tensors.get(RANGES) else {
            return Ok((Cow::Borrowed(self), None));
        };
        let (ranges, rest) = values.as_chunks();
        if !rest.is_empty() || shape[..] != [ranges.len(), 2] {
            let expected = vec![values.len().div_ceil(2), 2];
            return Err(Error::Shape { name: RANGES.to_owned(), found: shape.clone(), expected });
        }
        let is_usable =
            |[low, high]: [f32; 2]| low.is_finite() && high.is_finite() && low <= 0.0 && high >= 0.0;
        if let Some(number) = ranges.iter().position(|&range| !is_usable(range)) {
            let [low, high] = ranges[number];
            return Err(Error::ActivationRange { number, low, high });
        }
        let mut weights = self.clone();
        weights.tensors.remove(RANGES);
        Ok((Cow::Owned(weights), Some(ranges.to_vec())))
    }
}

impl StoredTensor {
    fn of(HostTensor { shape, values }: &HostTensor, numbers: WeightType) -> Self {
        let numbers = if shape.len() > 1 { numbers } else { WeightType::F32 };
        let (bytes, scales) = match numbers {
            WeightType::F32 => (little_endian(values), Vec::new()),
            WeightType::F16 => {
                (values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(), Vec::new())
            }
            WeightType::Int8 => int8(values, shape[0]),
        };
        StoredTensor { shape: shape.clone(), numbers, bytes, scales }
    }

    /// In float32 again.
    fn restored(&self) -> HostTensor {
        let values = match self.numbers {
            WeightType::F32 => {
                self.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            WeightType::F16 => {
                self.bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()
            }
            WeightType::Int8 => {
                let rows = self.bytes.chunks(row_length(self.bytes.len(), self.scales.len()));
                let row = |(row, scale): (&[u8], &f32)| {
                    let scale = *scale;
                    row.iter().map(|&byte| f32::from(byte.cast_signed()) * scale).collect::<Vec<_>>()
                };
                rows.zip(&self.scales).flat_map(row).collect()
            }
        };
        HostTensor { shape: self.shape.clone(), values }
    }

    fn dtype(&self) -> Dtype {
        match self.numbers {
            WeightType::F32 => Dtype::F32,
            WeightType::F16 => Dtype::F16,
            WeightType::Int8 => Dtype::I8,
        }
    }
}

fn row_length(length: usize, rows: usize) -> usize {
    (length / rows.max(1)).max(1)
}

/// Values of so many output channels, and the scale of each.
fn int8(values: &[f32], channels: usize) -> (Vec<u8>, Vec<f32>) {
    let rows = || values.chunks(row_length(values.len(), channels));
    let scale = |row: &[f32]| row.iter().fold(0.0f32, |most, value| most.max(value.abs())) / 127.0;
    let scales: Vec<f32> = rows().map(scale).collect();
    let quantised = |value: f32, scale: f32| {
        // A channel of zeros has a scale of zero.
        let steps = if scale > 0.0 { (value / scale).round_ties_even().clamp(-127.0, 127.0) } else { 0.0 };
        (steps as i8).cast_unsigned()
    };
    let row = |(row, scale): (&[f32], &f32)| {
        let scale = *scale;
        row.iter().map(|&value| quantised(value, scale)).collect::<Vec<_>>()
    };
    (rows().zip(&scales).flat_map(row).collect(), scales)
}

impl StoredDict {
    /// In float32 again, as whoever reads the file has it.
    pub fn restored(&self) -> StateDict {
        let tensors = self.tensors.iter();
        StateDict { tensors: tensors.map(|(name, tensor)| (name.clone(), tensor.restored())).collect() }
    }

    /// The same with the ranges of activations that a [calibrating](crate::Predictor::calibrating) predictor found: a
    /// [`Predictor`](crate::Predictor) on the CPU then computes in integers.
    pub fn with_ranges(mut self, ActivationRanges { ranges, .. }: &ActivationRanges) -> StoredDict {
        let tensor = HostTensor { shape: vec![ranges.len(), 2], values: ranges.as_flattened().to_vec() };
        self.tensors.insert(RANGES.to_owned(), StoredTensor::of(&tensor, WeightType::F32));
        self
    }

    /// Writes a safetensors file with `metadata` in its header; returns the checksum that it bears. The scales of an int8
    /// tensor `x` are the tensor `x.scale`.
    pub fn save(&self, path: &Path, metadata: &[(&str, String)]) -> Result<String> {
        let scales: Vec<_> = self.tensors.values().map(|tensor| little_endian(&tensor.scales)).collect();
        let view = |dtype, shape, bytes| {
            TensorView::new(dtype, shape, bytes).expect("a tensor holds its shape's product of values")
        };
        let mut views = Vec::new();
        for ((name, tensor), scales) in self.tensors.iter().zip(&scales) {
            views.push((name.clone(), view(tensor.dtype(), tensor.shape.clone(), &tensor.bytes)));
            if !scales.is_empty() {
                views.push((format!("{name}{SCALE}"), view(Dtype::F32, vec![tensor.scales.len()], scales)));
            }
        }
        Ok(write_tensors(path, views, metadata)?)
    }

    /// Reads what [`StoredDict::save`] wrote, and the words in its header. Under [`CHECKSUM`] stands the checksum of a file
    /// that bears one; it was compared.
    pub fn load(path: &Path) -> Result<(StoredDict, HashMap<String, String>)> {
        let io = |source| FileError::Io { path: path.to_owned(), action: "read", source };
        let bytes = std::fs::read(path).map_err(io)?;
        let error = |source| Error::Safetensors { path: path.to_owned(), source };
        let checksum = check_tensors(path, &bytes, "file of weights")?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(error)?;
        let mut metadata = header.metadata().clone().unwrap_or_default();
        // One that another program kept when it wrote the file anew says nothing.
        metadata.remove(CHECKSUM);
        metadata.extend(checksum.map(|checksum| (CHECKSUM.to_owned(), checksum)));
        let file = SafeTensors::deserialize(&bytes).map_err(error)?;
        let mut tensors: BTreeMap<String, StoredTensor> = BTreeMap::new();
        for (name, view) in file.tensors() {
            let numbers = match view.dtype() {
                Dtype::F32 => WeightType::F32,
                Dtype::F16 => WeightType::F16,
                Dtype::I8 => WeightType::Int8,
                dtype => {
                    return Err(Error::Dtype { path: path.to_owned(), name, dtype: format!("{dtype:?}") });
                }
            };
            let (shape, bytes) = (view.shape().to_vec(), view.data().to_vec());
            tensors.insert(name, StoredTensor { shape, numbers, bytes, scales: Vec::new() });
        }
        let scaled = tensors.iter().filter(|(_, tensor)| tensor.numbers == WeightType::Int8);
        for name in scaled.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let scale = format!("{name}{SCALE}");
            let found = tensors.remove(&scale).filter(|scales| scales.numbers == WeightType::F32);
            let Some(found) = found else { return Err(Error::MissingTensor { name: scale }) };
            let tensor = tensors.get_mut(&name).expect("its name was just seen");
            let rows = tensor.shape.first().copied().unwrap_or_default();
            if found.shape != [rows] {
                return Err(Error::Shape { name: scale, found: found.shape, expected: vec![rows] });
            }
            tensor.scales = found.restored().values;
        }
        Ok((StoredDict { tensors }, metadata))
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict() -> StateDict {
        let kernel = vec![0.5, -1.0, 0.25, 3.0e-3, 0.0, 0.0, 0.0, 0.0, 1.0e-5, -2.0e-5, 1.5e-5, 0.0];
        let tensors = [
            ("conv.weight", HostTensor { shape: vec![3, 4, 1, 1], values: kernel }),
            ("norm.running_var", HostTensor { shape: vec![3], values: vec![1.0e-9, 1.0, 3.0e6] }),
        ];
        StateDict { tensors: tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into() }
    }

    #[test]
    fn what_is_read_back_is_what_was_stored() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for numbers in [WeightType::F32, WeightType::F16, WeightType::Int8] {
            let path = dir.path().join(numbers.name());
            let stored = dict().stored(numbers);
            stored.save(&path, &[("format", "pt".into())]).expect("a writable folder");
            let (back, words) = StoredDict::load(&path).expect("just written");
            assert_eq!(back, stored);
            assert_eq!(words["format"], "pt");
            assert_eq!(StateDict::load(&path).expect("just written"), stored.restored());
        }
    }

    #[test]
    fn each_channel_has_a_byte_for_its_own_range() {
        let (exact, found) = (dict(), dict().stored(WeightType::Int8).restored());
        let name = "conv.weight";
        let rows = exact.tensors[name].values.chunks(4).zip(found.tensors[name].values.chunks(4));
        for (exact, found) in rows {
            let largest = exact.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            for (exact, found) in exact.iter().zip(found) {
                assert!((exact - found).abs() <= largest / 254.0 * 1.001, "{exact} became {found}");
            }
        }
        assert_eq!(found.tensors["norm.running_var"], exact.tensors["norm.running_var"]);
    }

    #[test]
    fn scales_that_are_missing_or_of_another_number_are_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("weights.safetensors");
        let refused = |scales: Vec<f32>| {
            let mut stored = dict().stored(WeightType::Int8);
            stored.tensors.get_mut("conv.weight").expect("is there").scales = scales;
            stored.save(&path, &[]).expect("a writable folder");
            StoredDict::load(&path).expect_err("no such scales").to_string()
        };
        assert!(refused(vec![]).contains("conv.weight.scale"));
        assert!(refused(vec![1.0; 2]).contains("conv.weight.scale"));
    }
}
