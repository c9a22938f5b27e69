//! What others call the tensors that we call by torchvision's names.

use super::parts;
use crate::{Error, HostTensor, Result, StateDict};
use std::collections::BTreeMap;

/// The operating points that torchxrayvision keeps beside its weights.
pub(super) const OPERATING_POINTS: &str = "op_threshs";

/// Tensors that no network here has and that say nothing about the logits it computes: the batch counter of PyTorch's batch
/// norm, and operating points.
const IGNORED: [&str; 2] = ["num_batches_tracked", OPERATING_POINTS];

/// A file's tensors, apart by whether they belong to one network of it.
pub(super) struct Sorted {
    /// Under this project's names.
    pub(super) inside: BTreeMap<String, HostTensor>,
    /// Under the file's.
    pub(super) outside: BTreeMap<String, HostTensor>,
}

/// The tensors below `prefix` under this project's names: what has no meaning here is left out, and the layers of a
/// DenseNet are named as torchvision names them since 2017.
///
/// # Errors
/// If two tensors of different values get one name.
pub(super) fn sorted(found: StateDict, prefix: &str) -> Result<Sorted> {
    let mut sorted = Sorted { inside: BTreeMap::new(), outside: BTreeMap::new() };
    for (name, tensor) in found.tensors {
        let last = name.rsplit('.').next().unwrap_or(&name);
        if IGNORED.contains(&last) {
            continue;
        }
        let Some(rest) = name.strip_prefix(prefix) else {
            sorted.outside.insert(name, tensor);
            continue;
        };
        let ours = dense_layer(rest);
        match sorted.inside.get(&ours) {
            Some(known) if !known.same_bits(&tensor) => return Err(Error::Twice { name: ours }),
            _ => drop(sorted.inside.insert(ours, tensor)),
        }
    }
    Ok(sorted)
}

/// The names of the network that is most like the expected one; empty where two tensors get one name.
pub(super) fn of_best_part(found: StateDict, expected: &StateDict) -> StateDict {
    let prefix = parts::best(&found, expected);
    StateDict { tensors: sorted(found, &prefix).map(|sorted| sorted.inside).unwrap_or_default() }
}

/// `denselayer1.norm.1.weight`, as torchvision's published file still says, is `denselayer1.norm1.weight`.
pub(super) fn dense_layer(name: &str) -> String {
    let old = ["norm.1.", "norm.2.", "conv.1.", "conv.2."];
    let found = old.into_iter().find_map(|part| {
        let at = name.find(part)?;
        let layer = name[..at].trim_end_matches('.').rsplit('.').next()?;
        layer.starts_with("denselayer").then(|| name.replacen(part, &part.replacen('.', "", 1), 1))
    });
    found.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict(names: &[&str]) -> StateDict {
        let tensor = HostTensor { shape: vec![1], values: vec![0.0] };
        StateDict { tensors: names.iter().map(|name| ((*name).to_owned(), tensor.clone())).collect() }
    }

    fn check(found: &[&str], expected: &[&str], translated_names: &[&str]) {
        let translated = of_best_part(dict(found), &dict(expected));
        assert_eq!(translated.tensors.keys().collect::<Vec<_>>(), translated_names);
    }

    #[test]
    fn wrappers_and_counters_are_left_out() {
        let ours = ["conv1.weight", "fc.weight"];
        check(&["conv1.weight", "fc.weight", "bn1.num_batches_tracked"], &ours, &ours);
        check(&["module.conv1.weight", "module.fc.weight"], &ours, &ours);
        check(
            &[
                "epoch_loss",
                "optimizer.conv1.weight",
                "state_dict.model.conv1.weight",
                "state_dict.model.fc.weight",
            ],
            &ours,
            &ours,
        );
        check(&["op_threshs", "fc.weight"], &ours, &["fc.weight"]);
    }

    #[test]
    fn layers_of_densenet_bear_their_new_names() {
        let ours = ["features.denseblock1.denselayer1.conv2.weight", "features.norm0.weight"];
        check(&["features.denseblock1.denselayer1.conv.2.weight", "features.norm0.weight"], &ours, &ours);
        // A norm within something that is not a dense layer keeps its name.
        check(&["features.norm.1.weight"], &["features.norm.1.weight"], &["features.norm.1.weight"]);
    }

    #[test]
    fn one_parameter_under_two_names_has_one_value() {
        let (old, new) = ("features.denselayer1.norm.1.bias", "features.denselayer1.norm1.bias");
        let mut found = dict(&[old, new]);
        assert_eq!(sorted(found.clone(), "").expect("the same twice").inside.len(), 1);
        found.tensors.get_mut(old).expect("is there").values[0] = 1.0;
        let message = sorted(found, "").err().expect("refused").to_string();
        assert_eq!(message, format!("the weights hold `{new}` twice, with different values"));
    }
}
