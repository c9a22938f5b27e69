//! What training begins with: a learner on its device, and how the training records come to it.

use crate::config::RunConfig;
use crate::data::TrainingData;
use crate::environment::{announce, work_of_step};
use crate::events::{Event, Observer};
use xray_artifacts::Failure;
use xray_data::{Cache, Loader, LoaderConfig};
use xray_display::counted;
use xray_model::Learner;

/// A learner with fresh weights, and how records are read for it.
pub(crate) struct Prepared {
    pub(crate) learner: Learner,
    pub(crate) loading: LoaderConfig,
}

/// Makes the learner and says on what it will train.
///
/// # Errors
/// If there is no such device, no such fold, or too little memory for a step.
pub(crate) fn prepare(
    config: &RunConfig,
    data: &TrainingData,
    cache: Cache,
    observer: &mut dyn Observer,
) -> Result<Prepared, Failure> {
    let threads = config.resolved_threads();
    let learner = Learner::new(&config.learner(&data.prevalence), config.seed)?;
    let loading = LoaderConfig {
        batch_size: config.training.batch_size,
        seed: config.seed,
        threads,
        cache,
        skip_bad: config.data.skip_bad,
        // A GPU is sent a quarter of the bytes, and normalises them.
        as_levels: learner.runs_behind(),
        ..LoaderConfig::default()
    };
    let info = learner.device();
    announce(info, observer)?;
    observer.observe(&Event::Note(&format!(
        "{} of {} parameters on {} ({}, {}), {}",
        config.model.architecture.name(),
        learner.num_parameters(),
        info.name,
        info.backend.name(),
        info.precision,
        counted(threads, "thread"),
    )))?;
    observer.observe(&Event::Note(&format!(
        "{} (fraction {}), {}, from {}",
        counted(data.records.len(), "training image"),
        config.data.fraction,
        counted(data.dataset.labels().len(), "label"),
        data.dataset.path().display(),
    )))?;
    if let Some(fold) = config.data.fold()? {
        let (index, of) = (fold.index(), fold.of());
        let text = format!(
            "cross-validation by patient: fold {index} of {of} (0 to {}) validates, the others train",
            of - 1
        );
        observer.observe(&Event::Note(&text))?;
    }
    // Found out before a step is taken: too little memory, too.
    let images = config.training.images_at_once().min(data.records.len());
    if let Some(work) = learner.count_step(images, data.preprocessing.size)? {
        observer.observe(&Event::Note(&work_of_step(work)))?;
    }
    Ok(Prepared { learner, loading })
}

/// The training records, in the order and changed at random as the settings say.
///
/// # Errors
/// If settings cannot be, or the cache cannot be opened.
pub(crate) fn training_loader(
    config: &RunConfig,
    data: &TrainingData,
    loading: &LoaderConfig,
) -> Result<Loader, Failure> {
    let augmentation = config.data.augment.then_some(config.augmentation);
    let uncertain = config.data.uncertain;
    let loading = LoaderConfig { shuffle: true, augmentation, uncertain, ..loading.clone() };
    let (dataset, records) = (data.dataset.clone(), data.records.clone());
    Ok(Loader::new(dataset, records, data.preprocessing.clone(), loading)?)
}
