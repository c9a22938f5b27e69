//! Chest X-rays from disk to batches: TFRecord files, image sources, labels, splits, preprocessing and the
//! loader. No tensors: a batch is plain slices.

pub mod error;
pub mod example;
pub mod labels;
pub mod schema;
pub mod tfrecord;

pub use error::{Error, Place, Result};
