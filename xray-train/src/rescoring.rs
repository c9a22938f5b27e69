//! The data of an earlier run, opened as that run opened them, to score a model that the run did not score.

use crate::config::RunConfig;
use crate::data::{self, TrainingData, Trust};
use crate::observers::Console;
use crate::scoring::Evaluator;
use crate::signals::StopFlag;
use std::path::Path;
use xray_artifacts::{Exit, Failure, Predictions, Preprocessing, Split};
use xray_data::{Dataset, LoaderConfig};
use xray_model::Predictor;

/// An earlier run's data.
pub struct Rescoring<'a> {
    config: &'a RunConfig,
    data: TrainingData,
    console: Console,
}

impl<'a> Rescoring<'a> {
    /// Opens the data that the run's configuration names. Warnings go to stderr.
    pub fn open(config: &'a RunConfig) -> Result<Self, Failure> {
        let mut console = Console::new(true);
        let data = data::open(config, Path::new(""), Trust::AsListed, &mut console)?;
        Ok(Rescoring { config, data, console })
    }

    /// The open data set.
    pub fn dataset(&self) -> &Dataset {
        &self.data.dataset
    }

    /// The model's outputs on a whole split; the exit code of the signal, if one arrived meanwhile. Signals are listened
    /// to from then on.
    pub fn predict(
        &mut self,
        split: Split,
        preprocessing: &Preprocessing,
        model: &Predictor,
    ) -> Result<Result<Predictions, Exit>, Failure> {
        let stop = StopFlag::install()?;
        let loading = LoaderConfig {
            batch_size: self.config.training.batch_size,
            threads: self.config.resolved_threads(),
            skip_bad: self.config.data.skip_bad,
            ..LoaderConfig::default()
        };
        let TrainingData { dataset, prevalence, .. } = &self.data;
        let evaluator = Evaluator::new(split, dataset, preprocessing, loading, prevalence)?;
        let predictions = evaluator.predict(model, &stop, &mut self.console)?;
        Ok(predictions.ok_or_else(|| stop.requested().unwrap_or(Exit::Interrupted)))
    }
}
