//! Chest X-rays from disk to batches: TFRecord files, image sources, labels, splits, preprocessing and the
//! loader. No tensors: a batch is plain slices.

mod augmentation;
mod image;
mod preprocessing;
mod random;
mod synth;

pub use augmentation::{Augmentation, AugmentationProblem, augment};
pub use image::{GrayImage, ImageProblem, decode_gray, encode_jpeg, encode_png};
pub use preprocessing::{normalise, prepare};
pub use synth::{SynthConfig, SynthImage, synthesise};
