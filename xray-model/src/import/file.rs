//! Named tensors out of a safetensors or PyTorch file, as float32.

use crate::{Error, HostTensor, Result, StateDict};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use xray_artifacts::{FileError, check_tensors};

/// Reads all floating-point tensors of a safetensors file or of what `torch.save` wrote: a state dict, a checkpoint
/// that holds one, or a whole module, in whatever classes they are kept. What a file is, its first bytes say, not its name. Pickles are parsed, never
/// executed. float64, float16 and bfloat16 become float32; integers, such as counters, are left out.
///
/// # Errors
/// If the file cannot be read, is neither of the two, is cut off, or holds no floating-point tensor.
pub fn read_weights(path: &Path) -> Result<StateDict> {
    let bytes = bytes_of(path)?;
    let dict = if is_safetensors(&bytes) { safetensors(path, &bytes)? } else { pytorch(path, &bytes)? };
    if dict.tensors.is_empty() {
        return Err(Error::Weights {
            path: path.to_owned(),
            reason: "it holds no floating-point tensor".into(),
        });
    }
    Ok(dict)
}

/// The bytes of a regular file: a device or a pipe may never end. A pipe that nobody writes to is waited for when it is
/// opened, so it is looked at before.
fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    let io = |source| FileError::Io { path: path.to_owned(), action: "read", source };
    let described = fs::metadata(path).map_err(io)?;
    if !described.is_file() {
        return Err(Error::Weights { path: path.to_owned(), reason: "it is not a regular file".into() });
    }
    let file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(described.len()).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// A length of the header, then the header, which is JSON.
fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

fn safetensors(path: &Path, bytes: &[u8]) -> Result<StateDict> {
    // Others' files bear none.
    check_tensors(path, bytes, "file of weights")?;
    let file = SafeTensors::deserialize(bytes)
        .map_err(|source| Error::Safetensors { path: path.to_owned(), source })?;
    let mut dict = StateDict::default();
    for (name, view) in file.iter() {
        let values = match view.dtype() {
            Dtype::F64 => floats(view.data(), f64::from_le_bytes, |value| value as f32),
            Dtype::F32 => floats(view.data(), f32::from_le_bytes, |value| value),
            Dtype::F16 => floats(view.data(), f16::from_le_bytes, f16::to_f32),
            Dtype::BF16 => floats(view.data(), bf16::from_le_bytes, bf16::to_f32),
            _ => continue,
        };
        dict.tensors.insert(name.to_owned(), HostTensor { shape: view.shape().to_vec(), values });
    }
    Ok(dict)
}

fn pytorch(path: &Path, bytes: &[u8]) -> Result<StateDict> {
    let unreadable = |reason: String| Error::Weights { path: path.to_owned(), reason };
    let mut dict = StateDict::default();
    for (name, tensor) in super::pytorch::tensors(bytes).map_err(unreadable)? {
        match dict.tensors.get(&name) {
            Some(known) if !known.same_bits(&tensor) => {
                return Err(unreadable(format!("it holds two tensors `{name}` with different values")));
            }
            _ => drop(dict.tensors.insert(name, tensor)),
        }
    }
    Ok(dict)
}

/// The numbers in `bytes`, each of `N`.
fn floats<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T, narrow: fn(T) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| narrow(read(*bytes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{TensorView, serialize};

    /// Every type of number that a weight is kept in, and a counter.
    #[test]
    fn numbers_of_all_types_become_float32() {
        let values = [1.5_f32, -0.25, 3.0e-5];
        let f64s: Vec<u8> = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        let f16s: Vec<u8> = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let bf16s: Vec<u8> = values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
        let counter = 7_i64.to_le_bytes();
        let view =
            |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).expect("fits");
        let views = [
            ("a", view(Dtype::F64, &[3], &f64s)),
            ("b", view(Dtype::F16, &[3, 1], &f16s)),
            ("c", view(Dtype::BF16, &[3], &bf16s)),
            ("n", view(Dtype::I64, &[], &counter)),
        ];
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("weights.bin");
        fs::write(&path, serialize(views, None).expect("serializable")).expect("writable");
        let dict = read_weights(&path).expect("a safetensors file, whatever its name");
        assert_eq!(dict.tensors.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(dict.tensors["a"].values, values);
        assert_eq!(dict.tensors["b"].shape, [3, 1]);
        assert_eq!(dict.tensors["b"].values[..2], values[..2]);
        assert!((dict.tensors["c"].values[2] - 3.0e-5).abs() < 1e-7, "{:?}", dict.tensors["c"]);
    }

    #[test]
    fn a_file_of_another_kind_or_a_cut_one_is_refused_with_its_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let refused = |name: &str, bytes: &[u8], part: &str| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("writable");
            let message = read_weights(&path).expect_err("must be refused").to_string();
            assert!(message.contains(name) && message.contains(part), "{message}");
        };
        refused("empty.pth", b"", "is not a readable weights file");
        refused("picture.pth", b"\xff\xd8\xff\xe0 not weights at all", "is not a readable weights file");
        refused("cut.safetensors", b"\x40\0\0\0\0\0\0\0{\"a\":", "is not a readable safetensors file");
        let (huge, header) =
            ("18446744073709551615", "{\"w\":{\"dtype\":\"F32\",\"shape\":SHAPE,\"data_offsets\":[0,END]}}");
        for (shape, end) in
            [("[4611686018427387904]", huge), ("[4294967296,4294967296,4]", "4"), ("[2]", "8")]
        {
            let header = header.replace("SHAPE", shape).replace("END", end);
            let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
            refused("huge.safetensors", &bytes, "is not a readable safetensors file");
        }
        refused(
            "longest.safetensors",
            b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
            "is not a readable safetensors file",
        );
        let folder_itself = read_weights(folder.path()).expect_err("no file").to_string();
        assert!(folder_itself.contains("it is not a regular file"), "{folder_itself}");
        let missing = read_weights(&folder.path().join("absent.pth")).expect_err("there is none");
        assert!(missing.to_string().contains("absent.pth"), "{missing}");
    }
}
