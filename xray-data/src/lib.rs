//! Chest X-rays from disk to batches: TFRecord files, image sources, labels, splits and the loader. No tensors: a
//! batch is plain slices. What an image is and how it is decoded and prepared is in `xray_image`.

pub mod build;
pub mod check;
pub mod dataset;
pub mod error;
pub mod example;
pub mod labels;
pub mod loader;
pub mod publish;
mod recognise;
mod regular;
pub mod schema;
pub mod show;
pub mod sources;
pub mod split;
pub mod split_file;
pub mod stats;
pub mod tfrecord;

pub use dataset::{Dataset, Draw, Fold, LabelCounts, OpenOptions, RecordId, ShardProblem};
pub use error::{Error, Place, Result};
pub use example::{BytesList, Example, ExampleBuilder, ExampleProblem, Feature, FloatList, Int64List};
pub use labels::{NIH_14, NO_FINDING, nih_14};
pub use loader::{About, BadRecord, Batch, Cache, Epoch, Images, Loader, LoaderConfig, LoaderProblem};
pub use publish::{Published, publish};
pub use schema::{FeatureNames, FeatureProblem, Label, LabelCodes, Preset, Sample, Uncertain, encode_sample};
pub use tfrecord::{
    Compression, IndexEntry, Record, RecordFile, RecordIndex, RecordProblem, RecordWriter, Records,
};
