//! A run's configuration: one struct that composes those of the parts, and the checks that need no data.

use crate::fine_tuning::FineTuning;
use crate::given_file::GivenFile;
use crate::schedule::{Schedule, TrainingConfig};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use xray_artifacts::{Exit, Failure, Length, LengthProblem, Preprocessing};
use xray_data::{Cache, Fold, Uncertain};
use xray_image::Augmentation;
use xray_model::{Backend, LearnerConfig, Loss, ModelConfig, OptimizerConfig, Precision};

/// Everything that decides a run's numbers, and how it computes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of weights, order and augmentation.
    pub seed: u64,
    /// Threads that compute, and as many that read; 0 for one per processor. Changes no number on the CPU.
    pub threads: usize,
    /// Where tensors live.
    pub backend: Backend,
    /// What a GPU rounds the factors of convolutions to in training.
    pub precision: Precision,
    /// Which records.
    pub data: DataConfig,
    /// From pixels to inputs.
    pub preprocessing: Preprocessing,
    /// Random changes of training images.
    pub augmentation: Augmentation,
    /// The network.
    pub model: ModelConfig,
    /// What to minimise.
    pub loss: Loss,
    /// How to step.
    pub optimizer: OptimizerConfig,
    /// The learning rate.
    pub schedule: Schedule,
    /// How long, how often.
    pub training: TrainingConfig,
    /// First weights from a file.
    pub fine_tuning: FineTuning,
}

/// Which records a run trains on, and how they are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The folder of shards; empty for the synthetic set.
    pub dir: PathBuf,
    /// Share of the training records, above 0 and at most 1.
    pub fraction: f64,
    /// Where that share begins, 0 up to 1, so that trials differ in data too.
    pub fraction_offset: f64,
    /// Names of the features in TFRecords made by others: a preset; empty to detect it.
    pub features: String,
    /// For TFRecords made by others: a table that says whose images they are.
    pub patients: GivenFile,
    /// Into how many folds the patients of train and val are cut, for a cross-validation; 0 for none.
    pub folds: u64,
    /// The fold that validates, from 0, while the others train; -1 for none.
    pub fold: i64,
    /// `ram`, `disk` or `none`: where prepared images are kept between epochs.
    pub cache: CacheKind,
    /// Bad records that are left out and counted instead of ending the run.
    pub skip_bad: u64,
    /// Whether training images are changed at random.
    pub augment: bool,
    /// `ignore`, `zero` or `one`: what training makes of labels that the source calls uncertain. Scores never count
    /// them.
    pub uncertain: Uncertain,
}

/// A run of no cross-validation.
pub const NO_FOLD: i64 = -1;

impl DataConfig {
    /// The fold that takes the place of the validation split, where the run is one of a cross-validation.
    ///
    /// # Errors
    /// If there is no such fold, or only one of the two settings is given.
    pub fn fold(&self) -> Result<Option<Fold>, Failure> {
        let DataConfig { folds, fold, .. } = *self;
        let refuse = |message: String, hint: String| Err(Failure::new(Exit::Usage, message).hint(hint));
        match (folds, fold) {
            (0, NO_FOLD) => Ok(None),
            (0, _) => refuse(
                format!("data.fold is {fold}, and data.folds is not set"),
                "set both: data.folds=5".into(),
            ),
            (1, _) => {
                refuse("data.folds is 1, it must be 2 or more, or 0 for none".into(), "such as 5".into())
            }
            (_, NO_FOLD) => refuse(
                format!("data.folds is {folds}, and data.fold is not set"),
                format!("a run for each fold: data.fold=0 to {}", folds - 1),
            ),
            _ => match u64::try_from(fold).ok().filter(|&fold| fold < folds) {
                Some(fold) => Ok(Some(Fold::new(fold, folds)?)),
                None => refuse(
                    format!("data.fold is {fold}, and data.folds is {folds}"),
                    format!("folds are numbered 0 to {}", folds - 1),
                ),
            },
        }
    }
}

/// Where prepared images are kept between epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheKind {
    /// Decoded anew each time.
    None,
    /// In memory: one byte per pixel.
    Ram,
    /// In a file in the run directory.
    Disk,
}

impl CacheKind {
    /// What a loader calls it; a file of images goes into `folder`.
    pub fn in_folder(self, folder: PathBuf) -> Cache {
        match self {
            CacheKind::None => Cache::None,
            CacheKind::Ram => Cache::Ram,
            CacheKind::Disk => Cache::Disk(folder),
        }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        RunConfig {
            seed: 0,
            threads: 0,
            backend: Backend::Cpu,
            precision: Precision::F32,
            data: DataConfig {
                dir: PathBuf::new(),
                fraction: 1.0,
                fraction_offset: 0.0,
                features: String::new(),
                patients: GivenFile::default(),
                folds: 0,
                fold: NO_FOLD,
                cache: CacheKind::Ram,
                skip_bad: 0,
                augment: true,
                uncertain: Uncertain::Ignore,
            },
            preprocessing: Preprocessing::default(),
            augmentation: Augmentation::default(),
            model: ModelConfig::default(),
            loss: Loss::default(),
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::default(),
            training: TrainingConfig::default(),
            fine_tuning: FineTuning::default(),
        }
    }
}

impl RunConfig {
    /// Refuses values that describe no run, naming the key. What each may be by itself was checked before
    /// ([`crate::reference`]); this is about values that do not go together.
    pub fn check(&self) -> Result<(), Failure> {
        self.data.fold()?;
        let (size, smallest) = (self.preprocessing.size, self.model.smallest_size());
        if size < smallest {
            let network = self.model.architecture.name();
            let message = format!("preprocessing.size is {size}, {network} needs at least {smallest}");
            return Err(Failure::new(Exit::Usage, message));
        }
        self.preprocessing.check().map_err(|problem| Failure::new(Exit::Usage, problem.to_string()))?;
        if self.preprocessing.channels.is_some() {
            let message =
                "preprocessing.channels is for published models; training has one range for all channels";
            return Err(Failure::new(Exit::Usage, message)
                .hint("set preprocessing.mean and preprocessing.std, and leave preprocessing.channels out"));
        }
        self.fine_tuning.check()?;
        self.check_precision()?;
        self.max_time()?;
        self.checkpoint_time()?;
        self.augmentation.validate().map_err(|problem| Failure::new(Exit::Usage, problem.to_string()))
    }

    /// Refuses what no device of the backend computes in. Whether the one that is there does is seen when it is opened.
    fn check_precision(&self) -> Result<(), Failure> {
        let (precision, backend) = (self.precision, self.backend);
        if precision == Precision::F32 || matches!(backend, Backend::Wgpu | Backend::Auto) {
            return Ok(());
        }
        let message =
            format!("precision is {precision}, and backend `{}` computes in f32 only", backend.name());
        Err(Failure::new(Exit::Usage, message)
            .hint("precisions below f32 need a GPU: --backend wgpu, or leave --precision out"))
    }

    /// `training.max_time`, if there is a limit.
    pub fn max_time(&self) -> Result<Option<Duration>, Failure> {
        let text = &self.training.max_time;
        if text.is_empty() { Ok(None) } else { duration("training.max_time", text).map(Some) }
    }

    /// `training.checkpoint_time`.
    pub fn checkpoint_time(&self) -> Result<Duration, Failure> {
        duration("training.checkpoint_time", &self.training.checkpoint_time)
    }

    /// The learner's part. A label that no training record knows starts at even odds.
    pub fn learner(&self, prevalence: &[f64]) -> LearnerConfig {
        LearnerConfig {
            model: self.model.clone(),
            loss: self.loss.clone(),
            optimizer: self.optimizer.clone(),
            backend: self.backend,
            precision: self.precision,
            scale_loss: false,
            average_decay: self.training.average_decay,
            label_smoothing: self.training.label_smoothing,
            prevalence: prevalence.iter().map(|p| if p.is_nan() { 0.5 } else { *p }).collect(),
        }
    }

    /// The threads to use.
    pub fn resolved_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

/// A length of training such as `1 epochs`.
pub fn duration_of_training(key: &str, text: &str) -> Result<Length, Failure> {
    text.parse().map_err(|problem: LengthProblem| problem.failure(key))
}

/// A time such as `90s`, `10m` or `1h 30m`.
pub fn duration(key: &str, text: &str) -> Result<Duration, Failure> {
    humantime::parse_duration(text).map_err(|_| {
        Failure::new(Exit::Usage, format!("{key} is `{text}`, it must be a time"))
            .hint("such as 90s, 10m or 1h 30m")
    })
}
