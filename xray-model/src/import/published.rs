//! A published model whole: its weights with its own last layer, and the operating points that lie beside them.

use super::names::OPERATING_POINTS;
use super::{Import, ImportOptions, Note, explained, names_only};
use crate::architectures::Network;
use crate::weights::{check_fit, weights_of};
use crate::{Backend, Error, HostTensor, ModelConfig, Result, StateDict};

/// A published model as a network of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Every tensor of the network.
    pub weights: StateDict,
    /// What stands before their names in the file; empty where nothing does.
    pub part: String,
    /// Everything that was not simply copied.
    pub notes: Vec<Note>,
    /// Of each output the probability at which "positive" begins, as torchxrayvision publishes it (`op_threshs`), and NaN of
    /// an output that was never trained; empty where the file has none.
    pub operating_points: Vec<f32>,
    head: &'static str,
}

/// Fits what a file holds to the network `model` with so many `outputs`, all of it: nothing is drawn, and no first layer is
/// changed to take other images. `part` chooses one of several networks, as in [`ImportOptions`].
///
/// # Errors
/// Weights of another network, width, number of outputs or number of channels, with what is missing or too much; values that
/// are NaN or infinite; operating points that are not probabilities.
pub fn published(model: &ModelConfig, outputs: usize, found: StateDict, part: &str) -> Result<Published> {
    let network = Network::new(model, outputs, &Backend::Flex.open()?.device)?;
    let fresh = weights_of(&network);
    let names = names_only(&found);
    let points = points(&found);
    let options = ImportOptions { part: part.to_owned(), ..ImportOptions::default() };
    let import = Import::new(&fresh, network.head(), found, &options)
        .map_err(|error| explained(error, &names, model.architecture))?;
    check_fit(&network, &import.weights)?;
    for note in &import.notes {
        match note {
            Note::Summed { .. } => return Err(Error::Channels { found: 3, expected: 1 }),
            Note::Spread { .. } => return Err(Error::Channels { found: 1, expected: 3 }),
            _ => {}
        }
    }
    let Import { weights, part, notes, .. } = import;
    let operating_points = match points_of(&points, &part) {
        Some(points) => checked(points, outputs)?,
        None => Vec::new(),
    };
    Ok(Published { weights, part, notes, operating_points, head: network.head() })
}

impl Published {
    /// Only these outputs, in this order; the others are as if they had never been.
    ///
    /// # Panics
    /// If there is no such output.
    #[must_use]
    pub fn with_outputs(mut self, outputs: &[usize]) -> Self {
        for (name, tensor) in &mut self.weights.tensors {
            if name.strip_prefix(self.head).is_some_and(|rest| rest.starts_with('.')) {
                let row: usize = tensor.shape[1..].iter().product();
                let rows = outputs.iter().flat_map(|&at| &tensor.values[at * row..(at + 1) * row]);
                tensor.values = rows.copied().collect();
                tensor.shape[0] = outputs.len();
            }
        }
        if !self.operating_points.is_empty() {
            self.operating_points = outputs.iter().map(|&at| self.operating_points[at]).collect();
        }
        self
    }
}

/// All operating points of a file, by what stands before their name.
fn points(found: &StateDict) -> Vec<(String, HostTensor)> {
    let of = |(name, tensor): (&String, &HostTensor)| {
        let prefix = name.strip_suffix(OPERATING_POINTS)?;
        (prefix.is_empty() || prefix.ends_with('.')).then(|| (prefix.to_owned(), tensor.clone()))
    };
    found.tensors.iter().filter_map(of).collect()
}

/// Those of a network: beside its layers, or beside what holds it.
fn points_of<'a>(points: &'a [(String, HostTensor)], part: &str) -> Option<&'a HostTensor> {
    let prefix = if part.is_empty() { String::new() } else { format!("{part}.") };
    let held = points.iter().filter(|(holder, _)| prefix.starts_with(holder.as_str()));
    held.max_by_key(|(holder, _)| holder.len()).map(|(_, tensor)| tensor)
}

fn checked(points: &HostTensor, outputs: usize) -> Result<Vec<f32>> {
    if points.shape != [outputs] {
        let (name, found) = (OPERATING_POINTS.to_owned(), points.shape.clone());
        return Err(Error::Shape { name, found, expected: vec![outputs] });
    }
    match points.values.iter().find(|value| !(value.is_nan() || **value > 0.0 && **value < 1.0)) {
        Some(&value) => Err(Error::OperatingPoint { value }),
        None => Ok(points.values.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Architecture, Learner, LearnerConfig};

    fn model(channels: usize) -> ModelConfig {
        ModelConfig { width: 2, channels, ..ModelConfig::of(Architecture::SmallCnn) }
    }

    /// A network's weights as a class that holds it saves them.
    fn file(outputs: usize, prefix: &str) -> StateDict {
        let learner = Learner::new(&LearnerConfig { model: model(1), ..LearnerConfig::new(outputs) }, 5);
        let mut found = StateDict::default();
        found.extend_prefixed(prefix, learner.and_then(|learner| learner.weights()).expect("a CPU"));
        found
    }

    fn with_points(mut found: StateDict, name: &str, values: &[f32]) -> StateDict {
        let tensor = HostTensor { shape: vec![values.len()], values: values.to_vec() };
        found.tensors.insert(name.to_owned(), tensor);
        found
    }

    #[test]
    fn all_outputs_are_taken_and_some_are_kept() {
        let found = with_points(file(3, "model."), "op_threshs", &[0.25, f32::NAN, 0.75]);
        let whole = published(&model(1), 3, found, "").expect("it fits");
        assert_eq!(
            (whole.part.as_str(), whole.operating_points[0], whole.operating_points[2]),
            ("model", 0.25, 0.75)
        );
        assert!(whole.operating_points[1].is_nan());
        let kept = whole.clone().with_outputs(&[2, 0]);
        let (before, after) = (&whole.weights.tensors, &kept.weights.tensors);
        let features = before["classifier.weight"].shape[1];
        assert_eq!(after["classifier.weight"].shape, [2, features]);
        assert_eq!(
            after["classifier.weight"].values[..features],
            before["classifier.weight"].values[2 * features..]
        );
        assert_eq!(
            after["classifier.weight"].values[features..],
            before["classifier.weight"].values[..features]
        );
        let bias = &before["classifier.bias"].values;
        assert_eq!(after["classifier.bias"].values, [bias[2], bias[0]]);
        assert_eq!(kept.operating_points, [0.75, 0.25]);
        assert_eq!(after["features.0.conv.weight"], before["features.0.conv.weight"]);
    }

    #[test]
    fn what_is_another_model_than_said_is_refused() {
        let refused =
            |model: &ModelConfig, outputs, found| published(model, outputs, found, "").expect_err("refused");
        let said = refused(&model(3), 3, file(3, "")).to_string();
        assert_eq!(said, "the weights take images of 1 channel, but 3 are set");
        let said = refused(&model(1), 4, file(3, "")).to_string();
        assert_eq!(said, "the weights end in 3 classes (`classifier.bias`), this network in 4");
        let mut cut = file(3, "");
        cut.tensors.remove("features.2.norm.running_mean");
        assert_eq!(
            refused(&model(1), 3, cut).to_string(),
            "tensor `features.2.norm.running_mean` is missing from the weights"
        );
        let said = refused(&model(1), 3, with_points(file(3, ""), "op_threshs", &[0.5; 2])).to_string();
        assert_eq!(said, "tensor `op_threshs` has shape [2], this network needs [3]");
        let said =
            refused(&model(1), 3, with_points(file(3, ""), "op_threshs", &[0.5, 1.5, f32::NAN])).to_string();
        assert_eq!(said, "op_threshs holds 1.5, which is not a probability between 0 and 1");
        // Those of another network in the file are not this one's.
        let found = with_points(file(3, "a."), "b.op_threshs", &[0.5; 2]);
        assert!(published(&model(1), 3, found, "").expect("it fits").operating_points.is_empty());
    }
}
