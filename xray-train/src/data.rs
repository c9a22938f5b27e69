//! The records of a run: opened, drawn, counted. Without configured data, a synthetic set that is made once.

use crate::config::{DataConfig, RunConfig};
use crate::events::{Event, Observer};
use crate::given_file::PATIENTS;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xray_artifacts::{Crop, DatasetManifest, Exit, Failure, ImageFormat, Preprocessing, ResizeFilter, Split};
use xray_data::build::{BuildConfig, build};
use xray_data::sources::synthetic;
use xray_data::{Dataset, Draw, Error, FeatureNames, OpenOptions, Preset, RecordId};
use xray_image::SynthConfig;

/// The training records and what is known of them.
pub struct TrainingData {
    /// The open data set.
    pub dataset: Arc<Dataset>,
    /// The training records that were drawn.
    pub records: Vec<RecordId>,
    /// Share of positives among the known, per label; NaN where none is known.
    pub prevalence: Vec<f64>,
    /// The run's settings and what the build of the data did to the images: what an original must go through to look the
    /// same.
    pub preprocessing: Preprocessing,
}

/// Where the synthetic set lies when no data are configured.
pub const SYNTHETIC_DIR: &str = "data/synthetic";

/// Which shards are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the size that is listed; each record is compared with its checksums when it is read.
    AsListed,
    /// Those whose content was compared with the listed hash, before anything else.
    Verified,
}

/// Opens the data set and draws the training records. `files` is the folder of files that settings name by a relative path.
///
/// # Errors
/// Errors as of [`Dataset::open`]; a shard that is not the listed one is [`Exit::WrongShard`] where shards are
/// verified.
pub fn open(
    config: &RunConfig,
    files: &Path,
    trust: Trust,
    observer: &mut dyn Observer,
) -> Result<TrainingData, Failure> {
    let (run, seed, config) = (config, config.seed, &config.data);
    let dir = if config.dir.as_os_str().is_empty() { synthetic(observer)? } else { config.dir.clone() };
    let verify = trust == Trust::Verified;
    let options = OpenOptions { verify, ..open_options(config, &dir, files)? };
    let dataset = Dataset::open(&dir, &options).map_err(|error| match error {
        Error::Shard { .. } if verify => wrong_shard(error),
        other => other.into(),
    });
    let dataset = Arc::new(dataset?);
    for warning in dataset.warnings() {
        observer.observe(&Event::Warning(warning))?;
    }
    let preprocessing = match dataset.image_format() {
        Some(stored) => preprocessing(&run.preprocessing, stored)?,
        None => run.preprocessing.clone(),
    };
    let draw = Draw { fraction: config.fraction, offset: config.fraction_offset, seed };
    let records = dataset.select(Split::Train, &draw)?;
    let counts = dataset.label_counts(&records)?;
    let prevalence =
        counts.iter().map(|count| count.positives as f64 / (count.positives + count.negatives) as f64);
    let prevalence = prevalence.collect();
    Ok(TrainingData { dataset, records, prevalence, preprocessing })
}

/// Somebody on the way gave another file, or half of it; on another machine it may arrive whole.
fn wrong_shard(error: Error) -> Failure {
    let failure = Failure::from(error);
    let message = format!("a fetched shard is not the planned one: {}", failure.message);
    Failure::new(Exit::WrongShard, message).hint(
        "it arrived that way: check the published folder with `xray-data check`, and its server or cache",
    )
}

/// Settings together with what the build did to the images. Refuses those that it left nothing to do for.
fn preprocessing(wanted: &Preprocessing, stored: &ImageFormat) -> Result<Preprocessing, Failure> {
    let refuse = |key: &str, value: &dyn fmt::Display, why: &str, hint: &str| {
        let message = format!("preprocessing.{key} is {value}, which has no effect: {why}");
        Err(Failure::new(Exit::Usage, message).hint(hint.to_owned()))
    };
    let size = stored.size.filter(|_| stored.resized).map(|[side, _]| side);
    if let Some(size) = size {
        let squashed = format!("the images were squashed to {size}x{size} when the data set was built");
        let hint = "leave the setting out, or build the data set without --size";
        if wanted.crop != Crop::Squash {
            return refuse("crop", &spelled(&wanted.crop), &squashed, hint);
        }
        if wanted.filter != ResizeFilter::Bilinear && wanted.size == size {
            return refuse("filter", &spelled(&wanted.filter), &squashed, hint);
        }
    }
    if let Some(size) = wanted.stored_size.filter(|_| wanted.stored_size != size) {
        return refuse("stored_size", &size, "the data set says how it was built", "leave the setting out");
    }
    if let Some(level) = wanted.white_level.filter(|_| wanted.white_level != stored.white_level) {
        let why = "the images were brought to 8 bits when the data set was built";
        return refuse("white_level", &level, why, "leave the setting out, or build with --white-level");
    }
    Ok(Preprocessing { white_level: stored.white_level, stored_size: size, ..wanted.clone() })
}

/// A setting's value as it is written.
fn spelled(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default().trim_matches('"').to_owned()
}

fn open_options(config: &DataConfig, dir: &Path, files: &Path) -> Result<OpenOptions, Failure> {
    // Our own shards say themselves whose images they are.
    let is_ours = dir.join(DatasetManifest::FILE_NAME).exists();
    let patients = if is_ours { None } else { config.patients.find(PATIENTS, files)? };
    let names = match config.features.as_str() {
        "" => None,
        name => Some(feature_names(name)?),
    };
    Ok(OpenOptions { names, patients, fold: config.fold()?, ..OpenOptions::default() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU16;

    #[test]
    fn settings_that_can_no_longer_act_are_refused() {
        let stored = |resized, white_level| ImageFormat {
            encoding: "jpeg".into(),
            size: Some([256, 256]),
            resized,
            white_level: NonZeroU16::new(white_level),
        };
        let plain = Preprocessing::default();
        let check = |wanted: Preprocessing, stored: ImageFormat, expected: Option<&str>| {
            let refused = preprocessing(&wanted, &stored).err();
            assert_eq!(refused.is_some(), expected.is_some(), "{wanted:?} {stored:?}");
            for (failure, key) in refused.iter().zip(expected) {
                assert_eq!(failure.exit, Exit::Usage);
                assert!(failure.message.contains(key), "{}", failure.message);
            }
        };
        for crop in [Crop::Center, Crop::Pad] {
            check(Preprocessing { crop, ..plain.clone() }, stored(true, 0), Some("preprocessing.crop"));
            check(Preprocessing { crop, ..plain.clone() }, stored(false, 0), None);
        }
        let sharp = |size| Preprocessing { size, filter: ResizeFilter::Lanczos3, ..plain.clone() };
        check(sharp(256), stored(true, 0), Some("preprocessing.filter is lanczos3"));
        check(sharp(224), stored(true, 0), None);
        check(sharp(256), stored(false, 0), None);
        let white = |level| Preprocessing { white_level: NonZeroU16::new(level), ..plain.clone() };
        check(white(4095), stored(false, 0), Some("preprocessing.white_level"));
        check(white(4095), stored(false, 4095), None);
        let squashed = Preprocessing { stored_size: Some(128), ..plain.clone() };
        check(squashed, stored(true, 0), Some("preprocessing.stored_size"));
    }

    #[test]
    fn what_the_build_did_is_what_an_original_goes_through() {
        let stored = ImageFormat {
            encoding: "jpeg".into(),
            size: Some([64, 64]),
            resized: true,
            white_level: NonZeroU16::new(16383),
        };
        let plain = Preprocessing::default();
        let expected =
            Preprocessing { stored_size: Some(64), white_level: stored.white_level, ..plain.clone() };
        assert_eq!(preprocessing(&plain, &stored).ok(), Some(expected));
        let as_they_were = ImageFormat { resized: false, white_level: None, ..stored };
        assert_eq!(preprocessing(&plain, &as_they_were).ok(), Some(plain));
    }
}
