//! The numbers of a file's tensors.

use super::Contents;
use super::problem::{Problem, Result};
use super::tensor::{Element, View};
use crate::HostTensor;
use half::{bf16, f16};
use std::collections::BTreeMap;

/// Numbers may be in fewer bytes in the file (half precision, tensors under two names, a compressed archive), but not in
/// many times fewer.
const MOST_FOLD: usize = 8;
const SMALLEST_LIMIT: usize = 1 << 20;

/// All floating-point tensors as float32.
pub(super) fn values(contents: Contents<'_>, file_length: usize) -> Result<Vec<(String, HostTensor)>> {
    let Contents { tensors, mut storages } = contents;
    let limit = file_length.saturating_mul(MOST_FOLD).max(SMALLEST_LIMIT);
    let mut by_storage: BTreeMap<String, Vec<(String, View)>> = BTreeMap::new();
    let mut bytes = 0_usize;
    for (name, view) in tensors {
        if matches!(view.element, Element::Other(_)) {
            continue;
        }
        let count = view.count().unwrap_or(usize::MAX);
        bytes = bytes.saturating_add(count.saturating_mul(size_of::<f32>()));
        if bytes > limit {
            return Err(Problem::Tensor { name, what: "would hold more than the bytes that are there" });
        }
        by_storage.entry(view.storage.key.clone()).or_default().push((name, view));
    }
    let mut found = Vec::new();
    let mut read = 0_usize;
    for (key, views) in by_storage {
        let needed = views.iter().map(|(_, view)| end(view)).max().unwrap_or(0);
        read = read.saturating_add(needed);
        if read > limit {
            return Err(Problem::Storage { key, what: "is larger than the bytes that are there" });
        }
        let storage = storages.bytes(&key, needed)?;
        if storage.len() < needed {
            return Err(Problem::Storage { key, what: "is cut off" });
        }
        found.extend(views.into_iter().map(|(name, view)| {
            let values = gathered(&view, &storage);
            (name, HostTensor { shape: view.shape, values })
        }));
    }
    Ok(found)
}

/// Bytes of the storage up to the tensor's last.
fn end(view: &View) -> usize {
    if view.count() == Some(0) {
        return 0;
    }
    let steps = view.shape.iter().zip(&view.strides).map(|(length, stride)| (length - 1) * stride);
    (view.offset + steps.sum::<usize>() + 1) * view.element.size()
}

fn gathered(view: &View, storage: &[u8]) -> Vec<f32> {
    match view.element {
        Element::F64 => elements(view, storage, |bytes| f64::from_le_bytes(bytes) as f32),
        Element::F32 => elements(view, storage, f32::from_le_bytes),
        Element::F16 => elements(view, storage, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Element::BF16 => elements(view, storage, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Element::Other(_) => Vec::new(),
    }
}

/// The tensor's elements row by row, each of `N` bytes.
fn elements<const N: usize>(view: &View, storage: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let storage = storage.as_chunks().0;
    let count = view.count().unwrap_or(0);
    let mut places = vec![0; view.shape.len()];
    let mut at = view.offset;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(read(storage[at]));
        // Like a mileage counter: the last place turns first.
        for dimension in (0..places.len()).rev() {
            places[dimension] += 1;
            at += view.strides[dimension];
            if places[dimension] < view.shape[dimension] {
                break;
            }
            at -= view.strides[dimension] * view.shape[dimension];
            places[dimension] = 0;
        }
    }
    values
}
