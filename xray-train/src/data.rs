//! The records of a run: opened, drawn, counted. Without configured data, a synthetic set that is made once.

use crate::config::DataConfig;
use crate::events::{Event, Observer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{DatasetManifest, Exit, Failure, Split};
use xray_data::build::{BuildConfig, build};
use xray_data::sources::synthetic;
use xray_data::{Dataset, Draw, FeatureNames, OpenOptions, Preset, RecordId};
use xray_image::SynthConfig;

/// The training records and what is known of them.
pub struct TrainingData {
    /// The open data set.
    pub dataset: Arc<Dataset>,
    /// The training records that were drawn.
    pub records: Vec<RecordId>,
    /// Share of positives among the known, per label; NaN where none is known.
    pub prevalence: Vec<f64>,
}

/// Where the synthetic set lies when no data are configured.
pub const SYNTHETIC_DIR: &str = "data/synthetic";

/// Opens the data set and draws the training records.
pub fn open(config: &DataConfig, seed: u64, observer: &mut dyn Observer) -> Result<TrainingData, Failure> {
    let dir = if config.dir.as_os_str().is_empty() { synthetic(observer)? } else { config.dir.clone() };
    let dataset = Arc::new(Dataset::open(&dir, &open_options(config)?)?);
    for warning in dataset.warnings() {
        observer.observe(&Event::Warning(warning))?;
    }
    let draw = Draw { fraction: config.fraction, offset: config.fraction_offset, seed };
    let records = dataset.select(Split::Train, &draw)?;
    let counts = dataset.label_counts(&records)?;
    let prevalence =
        counts.iter().map(|count| count.positives as f64 / (count.positives + count.negatives) as f64);
    let prevalence = prevalence.collect();
    Ok(TrainingData { dataset, records, prevalence })
}

fn open_options(config: &DataConfig) -> Result<OpenOptions, Failure> {
    let patients = (!config.patients.as_os_str().is_empty()).then(|| config.patients.clone());
    let names = match config.features.as_str() {
        "" => None,
        name => Some(feature_names(name)?),
    };
    Ok(OpenOptions { names, patients, ..OpenOptions::default() })
}

fn feature_names(name: &str) -> Result<FeatureNames, Failure> {
    Preset::from_name(name).map(Preset::feature_names).ok_or_else(|| {
        let known: Vec<_> = Preset::ALL.iter().map(|preset| preset.name()).collect();
        Failure::new(Exit::Usage, format!("data.features is `{name}`, there is no such preset"))
            .hint(format!("one of {}", known.join(", ")))
    })
}

fn synthetic(observer: &mut dyn Observer) -> Result<PathBuf, Failure> {
    let dir = Path::new(SYNTHETIC_DIR);
    let is_made = dir.join(DatasetManifest::FILE_NAME).exists();
    let verb = if is_made { "using" } else { "making" };
    let images = SYNTHETIC_IMAGES;
    observer.observe(&Event::Note(&format!(
        "no data configured (--data DIR): {verb} a synthetic set of {images} phantoms in {SYNTHETIC_DIR}"
    )))?;
    if !is_made {
        let config = SynthConfig { images, ..SynthConfig::default() };
        build(&synthetic::read(&config), &BuildConfig::default(), dir, &|| ())?;
    }
    Ok(dir.to_owned())
}

/// Enough for scores above chance after five epochs, few enough for minutes on a laptop.
const SYNTHETIC_IMAGES: u64 = 2000;
