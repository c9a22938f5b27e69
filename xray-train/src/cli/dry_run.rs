//! `--dry-run`: what a configuration comes to, without doing it.

use crate::config::RunConfig;
use crate::data::{self, TrainingData, Trust};
use crate::environment::{announce, work_of_step};
use crate::events::{Event, Observer};
use serde::Serialize;
use std::path::Path;
use xray_artifacts::{Failure, FileError};
use xray_cli::say;
use xray_display::counted;
use xray_model::{DeviceWork, Learner};

/// What a run costs.
#[derive(Clone, Debug, Serialize)]
pub struct Costs {
    /// Training records.
    pub train_images: usize,
    /// Adjustable weights.
    pub parameters: usize,
    /// Multiply-adds of one forward pass of one image.
    pub multiply_adds: u64,
    /// What computes, by which backend and in which precision: `NVIDIA H200 (wgpu, f16)`.
    pub device: String,
    /// Steps of one epoch.
    pub steps_per_epoch: u64,
    /// Steps of the run.
    pub total_steps: u64,
    /// Bytes of prepared training images with `data.cache = "ram"`.
    pub cache_bytes: u64,
    /// What a step asks of the device, for the images that it is given at once; none where nobody counts.
    pub step: Option<DeviceWork>,
}

/// Opens the data, makes the network, and counts. `files` is the folder of files that settings name by a relative path.
pub fn dry_run(config: &RunConfig, files: &Path) -> Result<Costs, Failure> {
    let TrainingData { dataset, records, prevalence, .. } =
        data::open(config, files, Trust::AsListed, &mut ToStderr)?;
    let learner = Learner::new(&config.learner(&prevalence), config.seed)?;
    announce(learner.device(), &mut ToStderr)?;
    let info = learner.device();
    let steps_per_epoch = records.len().div_ceil(config.training.batch_size) as u64;
    let size = config.preprocessing.size;
    let images = config.training.images_at_once().min(records.len());
    Ok(Costs {
        train_images: records.len(),
        parameters: learner.num_parameters(),
        device: format!("{} ({}, {})", info.name, info.backend.name(), info.precision),
        multiply_adds: config.model.multiply_adds(dataset.labels().len(), size),
        steps_per_epoch,
        total_steps: config.training.duration.steps(steps_per_epoch, config.training.batch_size as u64),
        cache_bytes: records.len() as u64 * u64::from(size).pow(2),
        step: learner.count_step(images, size)?,
    })
}

impl Costs {
    /// Lines for a terminal.
    pub fn text(&self) -> String {
        let text = format!(
            "{} · {} parameters · {:.3} billion multiply-adds per image forward\n\
             {} per epoch · {} in all · {:.0} MB of prepared training images\n\
             on {}",
            counted(self.train_images, "training image"),
            self.parameters,
            self.multiply_adds as f64 / 1e9,
            counted(self.steps_per_epoch, "step"),
            counted(self.total_steps, "step"),
            self.cache_bytes as f64 / 1e6,
            self.device,
        );
        match self.step {
            Some(work) => format!("{text}\n{}", work_of_step(work)),
            None => text,
        }
    }
}

/// Notes and warnings of the data.
struct ToStderr;

impl Observer for ToStderr {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), FileError> {
        match event {
            Event::Warning(text) => say(format_args!("warning: {text}")),
            Event::Note(text) => say(text),
            _ => {}
        }
        Ok(())
    }
}
