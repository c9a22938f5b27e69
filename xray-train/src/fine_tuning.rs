//! Starting from weights that others trained, and how much of the network then learns.

use crate::checkpoint::Progress;
use crate::config::duration_of_training;
use crate::events::{Event, Observer};
use crate::given_file::{GivenFile, WEIGHTS};
use serde::{Deserialize, Serialize};
use std::path::Path;
use xray_artifacts::{Exit, Failure, Length};
use xray_model::{Head, ImportOptions, Learner, Note, StateDict, read_weights};

/// Where first weights come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTuning {
    /// A safetensors or PyTorch file of first weights; empty to draw them.
    pub weights: GivenFile,
    /// `keep` the file's last layer, or `replace` it by a new one.
    pub head: Head,
    /// Whether tensors that do not fit are left out.
    pub partial: bool,
    /// Which network of a file that holds several, such as `encoder_k`; empty for the one that gradients trained.
    pub part: String,
    /// Whether the optimizer's state is taken from the file too, which must then be a checkpoint.
    pub optimizer: bool,
    /// How long only the last layer learns, such as `1 epochs`; `always`; empty for not at all.
    pub frozen: String,
    /// The learning rate of all layers but the last, as a part of the last one's.
    pub backbone_rate: f64,
}

impl Default for FineTuning {
    fn default() -> Self {
        FineTuning {
            weights: GivenFile::default(),
            head: Head::Keep,
            partial: false,
            part: String::new(),
            optimizer: false,
            frozen: String::new(),
            backbone_rate: 1.0,
        }
    }
}

/// Value of `frozen` for the whole training.
pub const ALWAYS: &str = "always";

impl FineTuning {
    /// Refuses values that mean nothing.
    pub fn check(&self) -> Result<(), Failure> {
        let frozen = self.frozen_steps(|_| 1)? > 0;
        if frozen && self.weights.is_none() {
            return Err(Failure::new(Exit::Usage, "fine_tuning.frozen without fine_tuning.weights")
                .hint("layers that were drawn at random must learn; give --init FILE"));
        }
        if self.optimizer && self.weights.is_none() {
            return Err(Failure::new(Exit::Usage, "fine_tuning.optimizer without fine_tuning.weights")
                .hint("name the checkpoint of a run, or continue a finished run with --from RUN"));
        }
        if self.optimizer && (self.head != Head::Keep || self.partial || !self.part.is_empty()) {
            let message = "fine_tuning.optimizer takes a checkpoint as a whole";
            return Err(Failure::new(Exit::Usage, message)
                .hint("leave fine_tuning.head, fine_tuning.part and fine_tuning.partial out"));
        }
        Ok(())
    }

    /// The steps in which only the last layer learns.
    pub fn frozen_steps(&self, steps: impl Fn(Length) -> u64) -> Result<u64, Failure> {
        match self.frozen.as_str() {
            "" => Ok(0),
            ALWAYS => Ok(u64::MAX),
            text => duration_of_training("fine_tuning.frozen", text).map(steps),
        }
    }

    /// Gives a fresh learner the file's weights, where there is a file, and says what of them was not simply copied.
    /// `files` is the folder of files that are named by a relative path; `progress` keeps which weights they are, for the
    /// model's card.
    pub fn begin(
        &self,
        files: &Path,
        learner: &mut Learner,
        progress: &mut Progress,
        observer: &mut dyn Observer,
    ) -> Result<(), Failure> {
        let Some(path) = self.weights.find(WEIGHTS, files)? else { return Ok(()) };
        if self.optimizer {
            return self.go_on(&path, learner, progress, observer);
        }
        let options = ImportOptions { head: self.head, partial: self.partial, part: self.part.clone() };
        let found = read_weights(&path)?;
        let import = learner.import(found, options).map_err(|error| in_file(&path, error))?;
        let part = if import.part.is_empty() { String::new() } else { format!(", {}", import.part) };
        let weights = format!("{}{part}", self.weights);
        let (taken, all) = (import.taken, import.weights.tensors.len());
        observer.observe(&Event::Note(&format!("first weights from {weights}: {taken} of {all} tensors")))?;
        for note in &import.notes {
            let text = note.to_string();
            // Which of several networks it was stands in the run's result too.
            match note {
                Note::Part { .. } => progress.warn(text, observer)?,
                _ => observer.observe(&Event::Note(&text))?,
            }
        }
        progress.first_weights = Some(weights);
        Ok(())
    }

    /// Gives the learner the weights and the optimizer's state of another run's checkpoint.
    fn go_on(
        &self,
        path: &Path,
        learner: &mut Learner,
        progress: &mut Progress,
        observer: &mut dyn Observer,
    ) -> Result<(), Failure> {
        let state = StateDict::load(path)?;
        learner.begin_with(state).map_err(|error| in_file(path, error))?;
        let text = format!("weights and optimizer's state from {}", self.weights);
        observer.observe(&Event::Note(&text))?;
        progress.first_weights = Some(self.weights.to_string());
        Ok(())
    }
}

fn in_file(path: &Path, error: xray_model::Error) -> Failure {
    let failure = Failure::from(error);
    Failure { message: format!("{}: {}", path.display(), failure.message), ..failure }
}
