//! Files that `torch.save` wrote, of any version: read as data, nothing in them is executed.
//!
//! Such a file is a pickle, which describes the saved object, and storages of numbers. [`unpickle`] writes down what the
//! pickle describes, [`names`] finds the tensors in it, and a container (`zip` since PyTorch 1.6, `legacy` before, `tar`
//! before 0.1.10) has the storages. No length is believed beyond the bytes that are there.

mod legacy;
mod names;
mod objects;
mod problem;
mod tar;
mod tensor;
#[cfg(test)]
mod tests;
mod unpickle;
mod values;
mod zip;

use crate::HostTensor;
use problem::{Problem, Result};
use std::borrow::Cow;
use tensor::View;

/// A file's tensors, and where their numbers lie.
struct Contents<'a> {
    tensors: Vec<(String, View)>,
    storages: Box<dyn Storages<'a> + 'a>,
}

/// The numbers of tensors.
trait Storages<'a> {
    /// The bytes of a storage, at most `length`, which is what its tensors need.
    fn bytes(&mut self, key: &str, length: usize) -> Result<Cow<'a, [u8]>>;
}

/// All floating-point tensors of a file as float32, by name. A name may come several times.
///
/// # Errors
/// What is wrong with the file, as a part of a sentence.
pub(super) fn tensors(file: &[u8]) -> std::result::Result<Vec<(String, HostTensor)>, String> {
    let read = || -> Result<_> { values::values(contents(file)?, file.len()) };
    read().map_err(|problem| problem.to_string())
}

fn contents(file: &[u8]) -> Result<Contents<'_>> {
    if file.starts_with(b"PK") {
        zip::contents(file)
    } else if tar::is_tar(file) {
        tar::contents(file)
    } else if legacy::is_legacy(file) {
        legacy::contents(file)
    } else {
        Err(Problem::Kind)
    }
}
