//! The last layer of a file's network, which others keep in a sequence of layers or call otherwise.

use super::names::Sorted;
use crate::{Error, HostTensor, Result};
use std::collections::{BTreeMap, BTreeSet};

/// What last layers are called.
const HEADS: [&str; 8] = ["fc", "classifier", "head", "heads", "linear", "last_linear", "output", "logits"];

/// All tensors of a file's last layers, under the file's names below the network.
pub(super) struct FileHead {
    tensors: BTreeMap<String, HostTensor>,
}

impl FileHead {
    /// Takes them out of `sorted`: those that share the first word of `head`, otherwise those of another of [`HEADS`]
    /// beside the network's layers, or beside what holds the network, whose names begin with `prefix`.
    pub(super) fn take(sorted: &mut Sorted, prefix: &str, head: &str) -> FileHead {
        let own = head.split('.').next().unwrap_or(head);
        for word in [own].into_iter().chain(HEADS) {
            let tensors = taken(&mut sorted.inside, &format!("{word}."));
            if !tensors.is_empty() {
                return FileHead { tensors };
            }
        }
        let holders = prefix.trim_end_matches('.').rmatch_indices('.').map(|(dot, _)| &prefix[..=dot]);
        for holder in holders.chain([""]) {
            for word in HEADS {
                let tensors = taken(&mut sorted.outside, &format!("{holder}{word}."));
                if !tensors.is_empty() {
                    return FileHead { tensors };
                }
            }
        }
        FileHead { tensors: BTreeMap::new() }
    }

    /// Their names.
    pub(super) fn into_names(self) -> impl Iterator<Item = String> {
        self.tensors.into_keys()
    }

    /// The only linear layer, as the layer `head`, and what it was called if that is another name.
    ///
    /// # Errors
    /// If there are other layers beside it.
    pub(super) fn into_layer(self, head: &str) -> Result<(BTreeMap<String, HostTensor>, Option<String>)> {
        let layer_of = |name: &str| name.rsplit_once('.').map_or("", |(layer, _)| layer).to_owned();
        let layers: BTreeSet<String> = self.tensors.keys().map(|name| layer_of(name)).collect();
        let mut layers = layers.into_iter();
        match (layers.next(), layers.next()) {
            (Some(layer), None) if layer == head => Ok((self.tensors, None)),
            (Some(layer), None) => {
                let renamed = |(name, tensor): (String, HostTensor)| {
                    (format!("{head}{}", &name[layer.len()..]), tensor)
                };
                Ok((self.tensors.into_iter().map(renamed).collect(), Some(layer)))
            }
            (None, _) => Ok((BTreeMap::new(), None)),
            (Some(one), Some(two)) => {
                let layers = [one, two].into_iter().chain(layers).collect();
                Err(Error::HeadLayers { layers, tensors: self.tensors.into_keys().collect() })
            }
        }
    }
}

/// Takes out the tensors whose names begin with `prefix`.
fn taken(tensors: &mut BTreeMap<String, HostTensor>, prefix: &str) -> BTreeMap<String, HostTensor> {
    let (taken, left) = std::mem::take(tensors).into_iter().partition(|(name, _)| name.starts_with(prefix));
    *tensors = left;
    taken
}
