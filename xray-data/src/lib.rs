//! Chest X-rays from disk to batches: TFRecord files, image sources, labels, splits, preprocessing and the
//! loader. No tensors: a batch is plain slices.

mod augmentation;
pub mod build;
pub mod check;
pub mod error;
pub mod example;
mod image;
pub mod labels;
mod preprocessing;
mod random;
pub mod schema;
pub mod sources;
pub mod split;
pub mod tfrecord;

pub use augmentation::{Augmentation, AugmentationProblem, augment};
pub use error::{Error, Place, Result};
pub use image::{GrayImage, ImageHeader, ImageProblem, decode_gray, encode_jpeg, encode_png, read_header};
pub use preprocessing::{normalise, prepare};
