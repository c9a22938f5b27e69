//! The files that one program of this project writes and another reads, and nothing else: no tensors, no
//! images, no command line. Every file carries a hash of its content and JSON files `"format": N`; a reader refuses
//! content that differs and a number it does not know.
//!
//! ```
//! use xray_artifacts::{Preprocessing, read_json, write_json};
//! # fn main() -> Result<(), xray_artifacts::FileError> {
//! # let dir = tempfile::tempdir().expect("a temporary folder");
//! let path = dir.path().join("preprocessing.json");
//! let settings = Preprocessing { size: 128, ..Preprocessing::default() };
//! write_json(&path, &settings)?;
//! assert_eq!(read_json::<Preprocessing>(&path)?, settings);
//! # Ok(())
//! # }
//! ```

mod bundle;
mod cell_id;
mod clock;
mod content;
mod content_name;
mod dataset;
mod environment;
mod exit;
mod failure;
mod files;
mod keep;
mod length;
mod manifest;
mod microarch;
mod nearest;
mod new_file;
mod predictions;
mod preprocessing;
mod result;
mod seal;
mod sealed_line;
mod status;
mod tensor_file;
mod text;

pub use bundle::{Calibration, Imported, Integers, Member, ModelCard, Provenance, Support, Threshold};
pub use cell_id::cell_id;
pub use clock::time_of_day;
pub use content_name::ContentName;
pub use dataset::{
    DatasetManifest, ImageFormat, ShardEntry, Source, Split, SplitRule, SplitSummary, first_record,
    records_of_fraction,
};
pub use environment::Environment;
pub use exit::Exit;
pub use failure::{Failure, one_line};
pub use files::{FileError, Versioned, read_json, to_json, write_json};
pub use keep::Keep;
pub use length::{Length, LengthProblem, LengthUnit};
pub use manifest::ManifestProblem;
pub use microarch::microarch;
pub use nearest::{likeness, nearest};
pub use new_file::{NewFile, sync_folder, write_bytes};
pub use predictions::Predictions;
pub use preprocessing::{ChannelRange, Crop, Preprocessing, PreprocessingProblem, ResizeFilter};
pub use result::{RunResult, Seconds, Stop, TrainingSummary};
pub use seal::{checksum, read_sealed_text, sealed_text, warn_unsealed, write_sealed_text};
pub use sealed_line::{SealedLine, line_seal, sealed_line};
pub use status::{State, Status};
pub use tensor_file::{check_tensors, write_tensors};
pub use text::{NotText, decode_text, read_bounded, read_text};
