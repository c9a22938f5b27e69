//! Weights that others trained: safetensors and PyTorch files, and how their tensors find their places.

mod adapt;
mod file;
mod head;
mod names;
mod parts;
mod published;
mod pytorch;
mod recognise;

pub use adapt::{Head, Import, ImportOptions, Note};
pub use file::read_weights;
pub use published::{Published, published};
pub(crate) use recognise::{explained, names_only};
