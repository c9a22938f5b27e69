//! Named tensors on the host, and the safetensors file that holds them: what weights and checkpoints are.

use crate::{Error, Result, StoredDict};
use safetensors::tensor::{Dtype, TensorView};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use xray_artifacts::write_tensors;

/// A dense array of float32, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Length of each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many values as the shape's product.
    pub values: Vec<f32>,
}

impl HostTensor {
    /// Whether no value is NaN or infinite.
    pub(crate) fn is_finite(&self) -> bool {
        self.values.iter().all(|value| value.is_finite())
    }

    /// Whether shape and values are the same to the last bit, NaN included.
    pub(crate) fn same_bits(&self, other: &HostTensor) -> bool {
        let mut pairs = self.values.iter().zip(&other.values);
        self.shape == other.shape && pairs.all(|(a, b)| a.to_bits() == b.to_bits())
    }
}

/// Tensors by name, in the names' order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict {
    /// The tensors.
    pub tensors: BTreeMap<String, HostTensor>,
}

impl StateDict {
    /// Adds the tensors of `other` with `prefix` before their names.
    pub fn extend_prefixed(&mut self, prefix: &str, other: StateDict) {
        self.tensors
            .extend(other.tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
    }

    /// The tensors whose names begin with `prefix`, under the rest of their names.
    pub fn with_prefix(&self, prefix: &str) -> StateDict {
        let tensors = self.tensors.iter();
        let tensors =
            tensors.filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.clone())));
        StateDict { tensors: tensors.collect() }
    }

    /// That no value is NaN or infinite: of such weights every output is NaN, and NaN compares as negative.
    ///
    /// # Errors
    /// If a value is; the error names its tensor.
    pub fn check_finite(&self) -> Result<()> {
        match self.tensors.iter().find(|(_, tensor)| !tensor.is_finite()) {
            Some((name, _)) => Err(Error::NotFinite { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// Writes a safetensors file with `metadata` in its header; returns the checksum that it bears.
    pub fn save(&self, path: &Path, metadata: &[(&str, String)]) -> Result<String> {
        // Where numbers lie as a file has them, they are not copied: a checkpoint may be most of the memory.
        let bytes: Vec<Cow<'_, [u8]>> =
            self.tensors.values().map(|tensor| bytes_of(&tensor.values)).collect();
        let views = self.tensors.iter().zip(&bytes).map(|((name, tensor), bytes)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
            (name.clone(), view.expect("a tensor holds its shape's product of values"))
        });
        Ok(write_tensors(path, views.collect(), metadata)?)
    }

    /// Reads a safetensors file that [`StateDict::save`] or [`StoredDict::save`] wrote.
    pub fn load(path: &Path) -> Result<StateDict> {
        Self::load_with_metadata(path).map(|(dict, _)| dict)
    }

    /// The same, with the words in the file's header, as [`StoredDict::load`] gives them.
    pub fn load_with_metadata(path: &Path) -> Result<(StateDict, HashMap<String, String>)> {
        let (stored, metadata) = StoredDict::load(path)?;
        Ok((stored.restored(), metadata))
    }
}

/// Little-endian.
fn bytes_of(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_back_the_same_bits_and_a_cut_one_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("weights.safetensors");
        let odd = [1.0e-40, -0.0, f32::MAX, 0.1, f32::MIN_POSITIVE, 3.0];
        let mut dict = StateDict::default();
        dict.tensors.insert("b".into(), HostTensor { shape: vec![2, 3], values: odd.to_vec() });
        dict.tensors.insert("a".into(), HostTensor { shape: vec![], values: vec![7.0] });
        dict.save(&path, &[("format", "1".into())]).expect("a writable folder");
        let back = StateDict::load(&path).expect("just written");
        let bits = |d: &StateDict| -> Vec<_> { d.tensors["b"].values.iter().map(|v| v.to_bits()).collect() };
        assert_eq!(bits(&back), bits(&dict));
        assert_eq!(back.tensors["a"], dict.tensors["a"]);

        let bytes = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &bytes[..bytes.len() - 3]).expect("a writable folder");
        let message = StateDict::load(&path).expect_err("cut off").to_string();
        assert!(message.contains("its checksum differs"), "{message}");
    }
}
