//! What is kept equal across fractions: with epochs, less data also means fewer steps; with steps, every fraction trains
//! as many steps as all the data would take, so that the curve shows the effect of the data alone.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use xray_artifacts::{Length, LengthUnit};

/// What is held constant over fractions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// The lengths as they are configured: of epochs, each fraction has its own.
    #[default]
    Epochs,
    /// Lengths in epochs become the steps that they take on all the training records.
    Steps,
}

/// Configuration keys that hold a length.
const LENGTHS: [&str; 3] = ["duration", "evaluate_every", "checkpoint_every"];

impl Budget {
    /// Writes the lengths of a resolved configuration anew, for `train_images` records at fraction 1.
    pub fn apply(self, config: &mut Json, train_images: u64) {
        for key in LENGTHS {
            let length = config["training"][key].as_str().and_then(|text| text.parse().ok());
            if let Some(steps) = length.and_then(|length| self.steps(length, config, train_images)) {
                config["training"][key] = json!(String::from(steps));
            }
        }
    }

    /// A length as runs with this configuration take it.
    pub fn length(self, length: Length, config: &Json, train_images: u64) -> Length {
        self.steps(length, config, train_images).unwrap_or(length)
    }

    /// None where it stays as it is.
    fn steps(self, length: Length, config: &Json, train_images: u64) -> Option<Length> {
        if self == Budget::Epochs || length.unit() != LengthUnit::Epochs {
            return None;
        }
        let batch_size = config["training"]["batch_size"].as_u64().unwrap_or(1).max(1);
        let steps_per_epoch = train_images.div_ceil(batch_size).max(1);
        Some(Length::Steps(length.steps(steps_per_epoch, batch_size)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(budget: Budget, duration: &str) -> Json {
        let training =
            json!({ "batch_size": 32, "duration": duration, "evaluate_every": "1 epochs", "log_every": 10 });
        let mut config = json!({ "training": training });
        budget.apply(&mut config, 5727);
        config["training"].take()
    }

    #[test]
    fn epochs_become_the_steps_of_all_the_data() {
        let found = applied(Budget::Steps, "5 epochs");
        assert_eq!(
            (&found["duration"], &found["evaluate_every"]),
            (&json!("895 steps"), &json!("179 steps"))
        );
        assert_eq!(applied(Budget::Steps, "0.001 epochs")["duration"], "1 steps");
        assert_eq!((&found["log_every"], &found["batch_size"]), (&json!(10), &json!(32)));
    }

    #[test]
    fn other_lengths_are_the_same_for_all_fractions_already() {
        assert_eq!(applied(Budget::Steps, "700 steps")["duration"], "700 steps");
        assert_eq!(applied(Budget::Steps, "9000 examples")["duration"], "9000 examples");
        assert_eq!(applied(Budget::Epochs, "5 epochs")["duration"], "5 epochs");
    }
}
