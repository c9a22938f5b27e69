//! One training run: the loop, checkpoints, evaluation and the run directory. It knows X-rays only as batches
//! and labels, and the tensor engine not at all.
//!
//! The binary `xray-train` is this library behind a command line:
//!
//! ```
//! use xray_train::settings::{Settings, parse_setting};
//! let fraction = parse_setting("data.fraction=0.3").expect("key=value");
//! let config = Settings::read(None).expect("defaults").resolve(&[fraction]).expect("a known key with a possible value");
//! assert_eq!(config.data.fraction, 0.3);
//! ```

pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod continuation;
pub mod data;
pub mod environment;
pub mod events;
pub mod fine_tuning;
pub mod given_file;
pub mod gradients;
pub mod logits;
pub mod observers;
mod pending;
mod prepared;
pub mod range_test;
pub mod reference;
pub mod rescoring;
pub mod run;
pub mod run_dir;
pub mod schedule;
pub mod scoring;
pub mod settings;
pub mod signals;
mod synonyms;
pub mod table;
pub mod train;
