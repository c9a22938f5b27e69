//! Weights that others trained: safetensors and PyTorch files, and how their tensors find their places.

mod adapt;
mod file;
mod names;
mod recognise;

pub use adapt::{Head, Import, ImportOptions, Note};
pub use file::read_weights;
pub(crate) use recognise::{names_only, recognise};
