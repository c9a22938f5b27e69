//! `--from RUN`: a new run that continues a finished one, with more epochs, another schedule or another loss. The finished
//! run is only read.
//!
//! The new run begins with the weights and the optimizer's state of the last checkpoint, where the finished run kept it
//! (`training.keep`) and both runs have the same optimizer; else with the finished model's weights. Its settings are those
//! of the finished run, but for what is given. Network, images and splits must stay what they were: with other splits,
//! patients that the finished run trained on would be scored as if they were new.

use crate::config::RunConfig;
use crate::run::Outcome;
use crate::run_dir::deciding_settings;
use crate::settings::Settings;
use std::path::{Path, PathBuf};
use toml::Value;
use xray_artifacts::{Exit, Failure, State, read_json, read_sealed_text};

/// The finished run that a new one continues.
#[derive(Clone, Debug)]
pub struct Continuation {
    run: PathBuf,
    config: RunConfig,
    outcome: Outcome,
}

/// What a new run takes from the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct Continued {
    /// The settings of the new run.
    pub config: RunConfig,
    /// What it begins with, and why.
    pub note: String,
}

/// The data that a continued run must be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    run: PathBuf,
    dataset: String,
}

/// Settings that `--from` itself decides.
const DECIDED: [&str; 5] = [
    "fine_tuning.weights",
    "fine_tuning.head",
    "fine_tuning.partial",
    "fine_tuning.part",
    "fine_tuning.optimizer",
];

impl Continuation {
    /// Reads what the finished run left.
    ///
    /// # Errors
    /// A folder that holds no run, a damaged file, or a run that is not finished.
    pub fn open(run: &Path) -> Result<Self, Failure> {
        let path = run.join("config.toml");
        read_sealed_text(&path, "configuration")?;
        let config = Settings::read(Some(&path))?.resolve(&[])?;
        let outcome: Outcome = read_json(&run.join("result.json"))?;
        if outcome.state != State::Finished {
            let message = format!("--from: the run in {} is not finished", run.display());
            return Err(Failure::new(Exit::Usage, message).hint("the command that started it continues it"));
        }
        Ok(Continuation { run: run.to_owned(), config, outcome })
    }

    /// The new run's settings, where `given` says what is to be different.
    ///
    /// # Errors
    /// Settings that describe no run, or contradict the finished one.
    pub fn resolve(&self, given: &[(String, Value)]) -> Result<Continued, Failure> {
        if let Some((key, _)) = given.iter().find(|(key, _)| DECIDED.contains(&key.as_str())) {
            let message = format!("{key} and --from both set the first weights");
            return Err(Failure::new(Exit::Usage, message).hint("give one of them"));
        }
        let epochs = self.config.training.first_epoch + self.outcome.training.epochs.ceil() as u64;
        let text = |text: &str| Value::String(text.to_owned());
        let model = self.run.join("model/model.safetensors");
        let own = [
            ("fine_tuning.weights", text(&model.to_string_lossy())),
            ("fine_tuning.head", text("keep")),
            ("fine_tuning.partial", Value::Boolean(false)),
            ("fine_tuning.part", text("")),
            ("fine_tuning.optimizer", Value::Boolean(false)),
            ("fine_tuning.frozen", text("")),
            ("training.first_epoch", Value::Integer(i64::try_from(epochs).unwrap_or(i64::MAX))),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        let settings: Vec<_> = own.chain(given.iter().cloned()).collect();
        let mut config = Settings::read(Some(&self.run.join("config.toml")))?.resolve(&settings)?;
        self.check(&config)?;
        let checkpoint = self.run.join("checkpoints/last/state.safetensors");
        let why_not = self.why_not_the_state(&config, &checkpoint);
        let run = self.run.display();
        let note = match why_not {
            None => {
                config.fine_tuning.weights = checkpoint.to_string_lossy().into_owned().into();
                config.fine_tuning.optimizer = true;
                format!("continuing {run} with the weights and the optimizer's state of its last checkpoint")
            }
            Some(why) => {
                format!("continuing {run} with the weights of its model; the optimizer starts fresh: {why}")
            }
        };
        Ok(Continued { config, note })
    }

    /// The data that the new run must be on.
    pub fn origin(&self) -> Origin {
        Origin { run: self.run.clone(), dataset: self.outcome.dataset.clone() }
    }

    /// Why the optimizer's state is not taken over; none where it is.
    fn why_not_the_state(&self, config: &RunConfig, checkpoint: &Path) -> Option<String> {
        let (before, now) = (&self.config, config);
        if !checkpoint.is_file() {
            return Some("the run kept no checkpoint (training.keep=resumable keeps one)".to_owned());
        }
        let rules = [before, now].map(|config| {
            serde_json::to_string(&config.optimizer.algorithm).expect("a name").replace('"', "")
        });
        if rules[0] != rules[1] {
            return Some(format!("optimizer.algorithm was {}, it is {}", rules[0], rules[1]));
        }
        if before.precision != now.precision {
            return Some(format!("precision was {}, it is {}", before.precision, now.precision));
        }
        None
    }

    /// Refuses settings that would make it another network, other images or other splits.
    fn check(&self, config: &RunConfig) -> Result<(), Failure> {
        let [before, now] = [&self.config, config].map(deciding_settings);
        let find = |list: &[(String, Value)], key: &str| {
            list.iter().find(|(other, _)| other == key).map_or("absent".to_owned(), |(_, v)| v.to_string())
        };
        for (key, _) in now.iter().chain(&before) {
            let (was, is) = (find(&before, key), find(&now, key));
            let Some(hint) = why_it_must_stay(key).filter(|_| was != is) else { continue };
            let message = format!("--from: {key} is {was} in {}, {is} here", self.run.display());
            return Err(
                Failure::new(Exit::Usage, message).hint(hint.replace("RUN", &self.run.to_string_lossy()))
            );
        }
        Ok(())
    }
}

/// Why a setting of a continued run is that of the run before; none where it may change.
fn why_it_must_stay(key: &str) -> Option<&'static str> {
    let (group, name) = key.split_once('.')?;
    match (group, name) {
        ("model", "flip") => None,
        ("model" | "preprocessing", _) => Some(
            "a run goes on with its own network and images; --init RUN/model/model.safetensors starts another",
        ),
        ("data", "features" | "patients" | "folds" | "fold") => Some(
            "with other splits, patients that the run trained on could be among those that validate or test",
        ),
        _ => None,
    }
}

impl Origin {
    /// Refuses other data: patients that the finished run trained on could be among those that validate or test.
    ///
    /// # Errors
    /// If the data set is another.
    pub(crate) fn check(&self, dataset: &str) -> Result<(), Failure> {
        if self.dataset == dataset {
            return Ok(());
        }
        let run = self.run.display();
        let message =
            format!("--from: {run} was trained on other data, of which patients could validate or test here");
        Err(Failure::new(Exit::ModelMismatch, message).hint(format!(
            "give the same data with --data; --init {run}/model/model.safetensors starts a run on others, of other patients"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_network_images_and_splits_must_stay() {
        for (key, may_change) in [
            ("model.width", false),
            ("model.flip", true),
            ("preprocessing.size", false),
            ("data.fold", false),
            ("data.fraction", true),
            ("schedule.shape", true),
            ("loss.name", true),
            ("seed", true),
        ] {
            assert_eq!(why_it_must_stay(key).is_none(), may_change, "{key}");
        }
    }
}
