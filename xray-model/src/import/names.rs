//! What others call the tensors that we call by torchvision's names.

use crate::StateDict;
use std::collections::BTreeSet;

/// Tensors that no network here has and that say nothing about what a network computes: the batch counter of
/// PyTorch's batch norm, and the operating points that torchxrayvision keeps beside its weights.
const IGNORED: [&str; 2] = ["num_batches_tracked", "op_threshs"];

/// The same tensors under this project's names: wrappers' prefixes and what has no meaning here are left out, and the
/// layers of a DenseNet are named as torchvision names them since 2017.
pub(super) fn translated(found: StateDict, expected: &StateDict) -> StateDict {
    let prefix = common_prefix(&found, expected);
    let mut dict = StateDict::default();
    for (name, tensor) in found.tensors {
        let Some(name) = name.strip_prefix(&prefix) else {
            // Beside the weights: an optimizer's state, say.
            continue;
        };
        let last = name.rsplit('.').next().unwrap_or(name);
        if !IGNORED.contains(&last) {
            dict.tensors.insert(dense_layer(name), tensor);
        }
    }
    dict
}

/// What stands before the names: `module.` of a parallel wrapper, `state_dict.` or `network.` of a checkpoint,
/// `densenet121.` of a class that holds a network. The one under which most expected names are found.
fn common_prefix(found: &StateDict, expected: &StateDict) -> String {
    let names = |prefix: &str| {
        let stripped = found.tensors.keys().filter_map(|name| name.strip_prefix(prefix));
        stripped.filter(|name| expected.tensors.contains_key(&dense_layer(name))).count()
    };
    let prefixes = found.tensors.keys().flat_map(|name| {
        let dots = name.match_indices('.');
        dots.map(|(dot, _)| &name[..=dot])
    });
    let prefixes: BTreeSet<&str> = std::iter::once("").chain(prefixes).collect();
    // Of equals the first, which is the shortest.
    let best = prefixes.into_iter().rev().max_by_key(|prefix| names(prefix));
    best.unwrap_or_default().to_owned()
}

/// `denselayer1.norm.1.weight`, as torchvision's published file still says, is `denselayer1.norm1.weight`.
fn dense_layer(name: &str) -> String {
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
    use crate::HostTensor;

    fn dict(names: &[&str]) -> StateDict {
        let tensor = HostTensor { shape: vec![1], values: vec![0.0] };
        StateDict { tensors: names.iter().map(|name| ((*name).to_owned(), tensor.clone())).collect() }
    }

    fn check(found: &[&str], expected: &[&str], translated_names: &[&str]) {
        let translated = translated(dict(found), &dict(expected));
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
        // A norm within something that is no dense layer keeps its name.
        check(&["features.norm.1.weight"], &["features.norm.1.weight"], &["features.norm.1.weight"]);
    }
}
