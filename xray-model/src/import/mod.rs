//! Weights that others trained: safetensors and PyTorch files, and how their tensors find their places.

mod adapt;
mod file;
mod head;
mod names;
mod parts;
mod pytorch;
mod recognise;

pub use adapt::{Head, Import, ImportOptions, Note};
pub use file::read_weights;
pub(crate) use recognise::{names_only, recognise};
