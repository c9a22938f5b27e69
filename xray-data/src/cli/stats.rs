//! `xray-data stats`

use super::source::{FeaturePreset, LabelNames, label_names};
use super::{Format, print, warn};
use clap::Args;
use std::path::{Path, PathBuf};
use xray_artifacts::{Exit, Failure};
use xray_data::stats::Stats;
use xray_data::{Dataset, OpenOptions};

/// Count images, patients and findings per split, findings that occur together, and image sizes
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  xray-data stats shards --format json")]
pub(super) struct StatsArguments {
    #[command(flatten)]
    data: DataArguments,
}

/// A data set to read.
#[derive(Debug, Args)]
pub(super) struct DataArguments {
    /// Folder of shards, or of TFRecords that someone else wrote
    folder: PathBuf,

    /// Names of the features in TFRecords of others [default: they are recognised]
    #[arg(long, value_enum, value_name = "PRESET")]
    features: Option<FeaturePreset>,

    /// The labels to keep of TFRecords of others, in this order [default: those that are known]
    #[arg(long, value_name = "A,B,...", value_parser = label_names)]
    labels: Vec<LabelNames>,

    /// Table that says whose images the TFRecords of others are, such as Data_Entry_2017.csv
    #[arg(long, value_name = "FILE")]
    labels_csv: Option<PathBuf>,
}

impl DataArguments {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn open(&self) -> Result<Dataset, Failure> {
        let options = OpenOptions {
            names: self.features.map(FeaturePreset::names),
            labels: self.labels.iter().flatten().cloned().collect(),
            patients: self.labels_csv.clone(),
            ..OpenOptions::default()
        };
        Ok(Dataset::open(&self.folder, &options)?)
    }
}

pub(super) fn run(arguments: &StatsArguments, format: Format) -> Result<Exit, Failure> {
    let stats = Stats::read(&arguments.data.open()?)?;
    warn(&stats.warnings);
    print(format, &stats, &stats)?;
    Ok(Exit::Ok)
}
