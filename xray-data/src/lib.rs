//! Chest X-rays from disk to batches: TFRecord files, image sources, labels, splits, preprocessing and the
//! loader. No tensors: a batch is plain slices.

mod augmentation;
pub mod build;
pub mod check;
pub mod dataset;
pub mod error;
pub mod example;
mod image;
pub mod labels;
pub mod loader;
mod preprocessing;
pub mod schema;
pub mod show;
pub mod sources;
pub mod split;
pub mod split_file;
pub mod stats;
mod synth;
pub mod tfrecord;

pub use augmentation::{Augmentation, AugmentationProblem, augment};
pub use dataset::{Dataset, Draw, LabelCounts, OpenOptions, RecordId, ShardProblem};
pub use error::{Error, Place, Result};
pub use example::{BytesList, Example, ExampleBuilder, ExampleProblem, Feature, FloatList, Int64List};
pub use image::{
    GrayImage, ImageHeader, ImageProblem, decode_gray, encode_jpeg, encode_png, encode_png_rgb,
    encode_png_rgba, is_dicom, mean_chroma, read_header,
};
pub use labels::{NIH_14, NO_FINDING, nih_14};
pub use loader::{BadRecord, Batch, Cache, Epoch, Loader, LoaderConfig, LoaderProblem};
pub use preprocessing::{normalise, place_in_source, prepare};
pub use schema::{FeatureNames, FeatureProblem, Label, LabelCodes, Preset, Sample, Uncertain, encode_sample};
pub use synth::{SynthConfig, SynthImage, synthesise};
pub use tfrecord::{IndexEntry, Record, RecordFile, RecordIndex, RecordProblem, RecordWriter, Records};
