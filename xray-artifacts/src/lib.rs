//! The files that one program of this project writes and another reads, and nothing else: no tensors, no
//! images, no command line. Every JSON file carries `"format": N`; a reader refuses a number it does not know.
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
mod dataset;
mod environment;
mod exit;
mod failure;
mod files;
mod manifest;
mod nearest;
mod predictions;
mod preprocessing;
mod result;
mod status;
mod text;

pub use bundle::{Calibration, ModelCard, Provenance, Threshold};
pub use cell_id::cell_id;
pub use clock::time_of_day;
pub use dataset::{
    DatasetManifest, ImageFormat, ShardEntry, Source, Split, SplitRule, SplitSummary, first_record,
    records_of_fraction,
};
pub use environment::Environment;
pub use exit::Exit;
pub use failure::{Failure, one_line};
pub use files::{FileError, Versioned, read_json, read_sealed, write_bytes, write_json, write_sealed};
pub use manifest::ManifestProblem;
pub use nearest::{likeness, nearest};
pub use predictions::Predictions;
pub use preprocessing::{Crop, Preprocessing, ResizeFilter};
pub use result::{RunResult, Seconds, TrainingSummary};
pub use status::{State, Status};
pub use text::{NotText, decode_text, read_bounded, read_text};
