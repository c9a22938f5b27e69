//! Chest X-rays in memory: from and to the bytes of JPEG, PNG and DICOM files, prepared for a network, randomly
//! changed for training, and drawn where no real image may be used. No records, no labels, no tensors.
//!
//! ```
//! use xray_artifacts::Preprocessing;
//! use xray_image::{GrayImage, decode_gray, encode_png, normalise, prepare};
//! let image = GrayImage { width: 40, height: 30, pixels: (0..1200).map(|i| (i % 251) as u8).collect() };
//! let preprocessing = Preprocessing { size: 16, ..Preprocessing::default() };
//! let prepared = prepare(&decode_gray(&encode_png(&image))?, &preprocessing)?;
//! let mut input = vec![0.0; 16 * 16];
//! normalise(&prepared.pixels, &preprocessing, &mut input);
//! # Ok::<(), xray_image::ImageProblem>(())
//! ```

mod augmentation;
mod baseline;
mod budget;
mod chroma;
mod decode;
mod dicom;
mod encode;
mod failure;
mod gaussian;
mod gray;
mod header;
mod jpeg;
mod layout;
mod letters;
mod orientation;
mod png;
mod preprocessing;
mod problem;
pub mod synth;
mod watched;

pub use augmentation::{Augmentation, AugmentationProblem, augment};
pub use budget::Budget;
pub use chroma::mean_chroma;
pub use decode::{decode_gray, decode_gray_within, find_white_level, is_dicom, is_sixteen_bit_png};
pub use dicom::{DicomPatient, DicomProblem, Tag as DicomTag, read_dicom_patient};
pub use encode::{encode_jpeg, encode_png, encode_png_rgb, encode_png_rgba};
pub use gray::GrayImage;
pub use header::{ImageHeader, read_header};
pub use letters::{LETTER, letters};
pub use preprocessing::{check_range, normalise, normalised_levels, place_in_source, prepare};
pub use problem::{ImageProblem, MAX_SIDE};
pub use synth::{SynthConfig, SynthImage, synthesise};
