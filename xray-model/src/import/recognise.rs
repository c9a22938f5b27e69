//! Whose weights a file holds, by the names of its tensors.

use super::names::of_best_part;
use crate::architectures::Network;
use crate::weights::names_of;
use crate::{Architecture, Backend, Error, HostTensor, ModelConfig, Result, StateDict};

/// The network whose tensors are named most like those of a file, if nine of ten names are shared.
fn recognise(found: &StateDict) -> Option<Architecture> {
    let alike = |architecture| Some((similarity(found, architecture).ok()?, architecture));
    let known = Architecture::ALL.into_iter().filter_map(alike);
    let (similarity, architecture) = known.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (similarity >= 0.9).then_some(architecture)
}

/// An error of weights that are to be of `architecture`, with whose they are if they are another network's.
pub(crate) fn explained(error: Error, names: &StateDict, architecture: Architecture) -> Error {
    let other = || recognise(names).filter(|found| *found != architecture);
    match error {
        Error::MissingTensor { .. } | Error::UnknownTensor { .. } | Error::NothingFits => match other() {
            Some(architecture) => Error::OtherNetwork { architecture, problem: Box::new(error) },
            None => error,
        },
        error => error,
    }
}

/// The names of a state dict, without its values.
pub(crate) fn names_only(dict: &StateDict) -> StateDict {
    let empty = || HostTensor { shape: vec![0], values: Vec::new() };
    StateDict { tensors: dict.tensors.keys().map(|name| (name.clone(), empty())).collect() }
}

/// Names in both, as a part of the names in either (Jaccard 1912).
fn similarity(found: &StateDict, architecture: Architecture) -> Result<f64> {
    let device = Backend::Flex.open()?.device;
    // Names do not depend on the width.
    let narrow = ModelConfig { width: 8, ..ModelConfig::of(architecture) };
    let names = names_of(&Network::new(&narrow, 1, &device)?).into_values();
    let empty = || HostTensor { shape: vec![0], values: Vec::new() };
    let expected = StateDict { tensors: names.map(|name| (name, empty())).collect() };
    let found = of_best_part(names_only(found), &expected);
    let shared = found.tensors.keys().filter(|name| expected.tensors.contains_key(*name)).count();
    let either = found.tensors.len() + expected.tensors.len() - shared;
    Ok(shared as f64 / either as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Learner, LearnerConfig};

    #[test]
    fn every_network_is_known_by_its_names() {
        for architecture in Architecture::ALL {
            let model = ModelConfig { width: 8, ..ModelConfig::of(architecture) };
            let learner = Learner::new(&LearnerConfig { model, ..LearnerConfig::new(3) }, 0).expect("a CPU");
            let mut wrapped = StateDict::default();
            wrapped.extend_prefixed("module.", learner.weights().expect("a CPU"));
            assert_eq!(recognise(&wrapped), Some(architecture));
            let half = wrapped.tensors.len() / 2;
            let cut = wrapped.tensors.into_iter().take(half).collect();
            assert_eq!(recognise(&StateDict { tensors: cut }), None, "half of it could be anything");
        }
    }
}
