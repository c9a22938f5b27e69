//! Starting from weights that others trained, and how much of the network then learns.

use crate::checkpoint::Progress;
use crate::config::duration_of_training;
use crate::events::{Event, Observer};
use crate::given_file::{GivenFile, WEIGHTS};
use serde::{Deserialize, Serialize};
use std::path::Path;
use xray_artifacts::{Exit, Failure, Length};
use xray_model::{Head, ImportOptions, Learner, Note, read_weights};

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
    /// Of a file that holds several networks, which, such as `encoder_k`; empty for the one that gradients trained.
    pub part: String,
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
            frozen: String::new(),
            backbone_rate: 1.0,
        }
    }
}

/// As written for `frozen`.
pub const ALWAYS: &str = "always";

impl FineTuning {
    /// Refuses values that mean nothing.
    pub fn check(&self) -> Result<(), Failure> {
        let frozen = self.frozen_steps(|_| 1)? > 0;
        if frozen && self.weights.is_none() {
            return Err(Failure::new(Exit::Usage, "fine_tuning.frozen without fine_tuning.weights")
                .hint("layers that were drawn at random must learn; give --init FILE"));
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
        let options = ImportOptions { head: self.head, partial: self.partial, part: self.part.clone() };
        let found = read_weights(&path)?;
        let import = learner.import(found, options).map_err(|error| {
            let failure = Failure::from(error);
            Failure { message: format!("{}: {}", path.display(), failure.message), ..failure }
        })?;
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
}
