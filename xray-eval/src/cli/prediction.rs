//! The command line of `xray-eval predict`, and what it shares with `run --data`.

use super::{OutputFormat, printed};
use crate::{EmbedOptions, Pace, PredictOptions, embed, predict};
use clap::Args;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure, Split};
use xray_cli::print;
use xray_data::sources::GivenOptions;
use xray_data::sources::csv_table::CsvColumns;
use xray_data::{FeatureNames, Preset};
use xray_model::Backend;

/// How images that are named are read.
#[derive(Debug, Args)]
struct GivenArguments {
    /// Use images of this split only, as a table or records say: train, val or test
    #[arg(long, value_name = "SPLIT", value_parser = split)]
    split: Option<Split>,
    /// Folder that the paths of a table start from [default: the table's folder]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Column of a table with the image's path
    #[arg(long, value_name = "NAME")]
    path_column: Option<String>,
    /// Column of a table with the patient
    #[arg(long, value_name = "NAME")]
    patient_column: Option<String>,
    /// Names of the features in TFRecords: kaggle-nih, image-encoded, jpg-bytes or chexpert-lower [default: they are
    /// recognised]
    #[arg(long, value_name = "PRESET", value_parser = features)]
    features: Option<FeatureNames>,
}

impl GivenArguments {
    /// For a table that is written to `out`, beside which is kept what an archive gives only once.
    fn options(&self, out: &Path) -> GivenOptions {
        let columns = CsvColumns {
            path: self.path_column.clone(),
            patient: self.patient_column.clone(),
            ..CsvColumns::default()
        };
        GivenOptions {
            columns,
            images: self.images.clone(),
            features: self.features.clone(),
            split: self.split,
            keep_in: Some(folder_of(out)),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct PredictionArguments {
    /// The table to write: NAME.csv or NAME.parquet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace an existing table, and what an interrupted prediction of something else left
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    given: GivenArguments,
    #[command(flatten)]
    pace: PaceArguments,
    /// How the summary is printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

impl PredictionArguments {
    pub(super) fn run(&self, model: &Path, inputs: &[PathBuf]) -> Result<Exit, Failure> {
        let options = PredictOptions {
            given: self.given.options(&self.out),
            out: self.out.clone(),
            overwrite: self.overwrite,
            backend: self.pace.backend,
            pace: self.pace.pace(),
        };
        match predict(model, inputs, &options)? {
            Ok(found) => {
                print(&printed(self.format, &found, || found.text()))?;
                Ok(Exit::Ok)
            }
            Err(stopped) => Ok(stopped),
        }
    }
}

/// The folder in which a file lies.
fn folder_of(file: &Path) -> PathBuf {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

#[derive(Debug, Args)]
pub(super) struct EmbeddingArguments {
    /// The table to write: NAME.parquet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace a table that is there
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    given: GivenArguments,
    #[command(flatten)]
    batches: BatchArguments,
    /// How the summary is printed
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
}

impl EmbeddingArguments {
    pub(super) fn run(&self, model: &Path, inputs: &[PathBuf]) -> Result<Exit, Failure> {
        let options = EmbedOptions {
            given: self.given.options(&self.out),
            out: self.out.clone(),
            overwrite: self.overwrite,
            pace: self.batches.pace(),
        };
        match embed(model, inputs, &options)? {
            Ok(found) => {
                print(&printed(self.format, &found, || found.text()))?;
                Ok(Exit::Ok)
            }
            Err(stopped) => Ok(stopped),
        }
    }
}

#[derive(Debug, Args)]
struct BatchArguments {
    /// Images that the network takes at once; changes no number
    #[arg(long, value_name = "N", default_value = "32", value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,
    /// Threads that decode and compute; 0 for one per processor. Changes no number
    #[arg(long, value_name = "N", default_value = "0")]
    threads: usize,
}

impl BatchArguments {
    fn pace(&self) -> Pace {
        Pace { batch_size: self.batch_size.into(), threads: self.threads }
    }
}

#[derive(Debug, Args)]
pub(super) struct PaceArguments {
    #[command(flatten)]
    batches: BatchArguments,
    /// Device: cpu; wgpu for a GPU, by xray-train-gpu beside this program; auto for a GPU where there is one
    #[arg(long, value_name = "NAME", default_value = "cpu", value_parser = backend)]
    pub(super) backend: Backend,
}

impl PaceArguments {
    pub(super) fn pace(&self) -> Pace {
        self.batches.pace()
    }
}

fn backend(name: &str) -> Result<Backend, String> {
    let known = [Backend::Cpu, Backend::Wgpu, Backend::Auto];
    let names = || known.map(Backend::name).join(", ");
    known.into_iter().find(|backend| backend.name() == name).ok_or_else(|| format!("one of {}", names()))
}

/// A split by its name.
pub(super) fn split(name: &str) -> Result<Split, String> {
    let known = || Split::ALL.map(Split::name).join(", ");
    Split::ALL.into_iter().find(|split| split.name() == name).ok_or_else(|| format!("one of {}", known()))
}

/// The feature names of a preset.
pub(super) fn features(name: &str) -> Result<FeatureNames, String> {
    let known = || Preset::ALL.iter().map(|preset| preset.name()).collect::<Vec<_>>().join(", ");
    Preset::from_name(name).map(Preset::feature_names).ok_or_else(|| format!("one of {}", known()))
}
