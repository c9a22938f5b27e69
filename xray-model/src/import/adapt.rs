//! Fitting the tensors of a file to a network that may have another first layer or another set of findings.

use super::head::FileHead;
use super::names::{Sorted, sorted};
use super::parts::{self, choose};
use crate::{Error, HostTensor, Result, StateDict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How strict an import is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// What becomes of the last layer.
    pub head: Head,
    /// Whether tensors that have no counterpart, or one of another shape, are left out; otherwise they are an error.
    pub partial: bool,
    /// Of a file that holds several networks, which: what stands before its tensors' names, such as `encoder_k`. Empty for
    /// the only one, or the one that the others are copies of.
    pub part: String,
}

/// The layer that makes logits of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// It is taken from the file, whose classes are then this network's, in the same order.
    #[default]
    Keep,
    /// It starts anew.
    Replace,
}

/// Weights for every tensor of a network, and what was done to get them.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// As the network names and shapes them.
    pub weights: StateDict,
    /// How many of them come from the file.
    pub taken: usize,
    /// What stands before their names in the file; empty where nothing does.
    pub part: String,
    /// Everything that was not simply copied.
    pub notes: Vec<Note>,
}

/// Something that was not simply copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The file holds several networks, and one was taken because the others are copies of it.
    Part {
        /// What stands before its tensors' names.
        taken: String,
        /// What stands before those of the others.
        others: Vec<String>,
    },
    /// The file holds tensors beside those of the network: an optimizer's state, say, or another network.
    Beside {
        /// How many under which names.
        groups: BTreeMap<String, usize>,
    },
    /// The file's last layer has another name.
    Renamed {
        /// The file's name.
        found: String,
        /// The network's name.
        name: String,
    },
    /// The network's tensor starts anew: the head, or, in a partial import, one that the file lacks.
    Fresh {
        /// The network's name.
        name: String,
    },
    /// The file's tensor has no place in the network.
    Unused {
        /// The file's name.
        name: String,
    },
    /// A partial import leaves a tensor out because of its shape.
    OtherShape {
        /// The network's name.
        name: String,
        /// In the file.
        found: Vec<usize>,
        /// In the network.
        expected: Vec<usize>,
    },
    /// A first convolution of three colours became one of gray: its kernels were summed over the colours, which is
    /// what it computes of a gray picture given three times.
    Summed {
        /// The network's name.
        name: String,
    },
    /// A first convolution of gray became one of three colours: each has a third of its kernel.
    Spread {
        /// The network's name.
        name: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Part { taken, others } => {
                let others = others.join("` and `");
                write!(
                    f,
                    "the file holds several networks: `{taken}` is taken, not its copy in `{others}`; --init-part \
                     chooses"
                )
            }
            Note::Beside { groups } => {
                const SHOWN: usize = 6;
                let shown = groups.iter().take(SHOWN).map(|(group, count)| format!("{group} ({count})"));
                let more = groups.len().saturating_sub(SHOWN);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                write!(
                    f,
                    "tensors of the file that are not used: {}{more}",
                    shown.collect::<Vec<_>>().join(", ")
                )
            }
            Note::Renamed { found, name } => write!(f, "{found} of the file is the last layer, {name}"),
            Note::Fresh { name } => write!(f, "{name} starts fresh"),
            Note::Unused { name } => write!(f, "{name} of the file is not used"),
            Note::OtherShape { name, found, expected } => {
                write!(f, "{name} starts fresh: the file has shape {found:?}, the network {expected:?}")
            }
            Note::Summed { name } => write!(f, "{name}: three colours summed to gray"),
            Note::Spread { name } => write!(f, "{name}: gray spread over three colours"),
        }
    }
}

impl Import {
    /// Fits what a file holds to a network whose tensors are those of `fresh`, with their first values. `head` is the
    /// name of its last layer, such as `classifier`.
    ///
    /// # Errors
    /// Unless the import is partial: if the network has a tensor that the file lacks, or of another shape, or the file
    /// one that the network lacks, or several last layers. In any case: if nothing fits, a value is NaN or infinite, one
    /// tensor has two values, or the file holds several networks and `part` does not say which.
    pub fn new(fresh: &StateDict, head: &str, found: StateDict, options: &ImportOptions) -> Result<Import> {
        let choice = choose(&found, fresh, head, &options.part)?;
        let mut sorted = sorted(found, &choice.prefix)?;
        let part = choice.prefix.trim_end_matches('.').to_owned();
        let mut import = Import { weights: fresh.clone(), taken: 0, part, notes: Vec::new() };
        if !choice.others.is_empty() {
            let others = choice.others.iter().map(|other| parts::shown_part(other)).collect();
            import.notes.push(Note::Part { taken: parts::shown_part(&choice.prefix), others });
        }
        let is_head = |name: &str| name.strip_prefix(head).is_some_and(|rest| rest.starts_with('.'));
        // Of another network's file nothing is known to be a last layer.
        if choice.is_whole {
            import.take_head(&mut sorted, &choice.prefix, head, options)?;
        }
        let Sorted { inside: mut found, outside } = sorted;
        let has_head = found.keys().any(|name| is_head(name));
        for (name, target) in &mut import.weights.tensors {
            let tensor = found.remove(name);
            if options.head == Head::Replace && is_head(name) {
                import.notes.push(Note::Fresh { name: name.clone() });
                continue;
            }
            if tensor.as_ref().is_some_and(|tensor| !tensor.is_finite()) {
                return Err(Error::NotFinite { name: name.clone() });
            }
            match tensor.map(|tensor| fitted(tensor, &target.shape)) {
                Some(Ok((tensor, how))) => {
                    *target = tensor;
                    import.taken += 1;
                    import.notes.extend(how.map(|how| how(name.clone())));
                }
                Some(Err(tensor)) if options.partial => {
                    let (found, expected) = (tensor.shape, target.shape.clone());
                    import.notes.push(Note::OtherShape { name: name.clone(), found, expected });
                }
                Some(Err(tensor)) if is_head(name) && tensor.shape.first() != target.shape.first() => {
                    let (found, expected) = (tensor.shape, target.shape.clone());
                    return Err(Error::Head { name: name.clone(), found, expected });
                }
                Some(Err(tensor)) => {
                    let (found, expected) = (tensor.shape, target.shape.clone());
                    return Err(Error::Shape { name: name.clone(), found, expected });
                }
                None if options.partial => import.notes.push(Note::Fresh { name: name.clone() }),
                None if choice.is_whole && is_head(name) && !has_head => {
                    return Err(Error::NoHead { name: head.to_owned() });
                }
                None => return Err(Error::MissingTensor { name: name.clone() }),
            }
        }
        for name in found.into_keys() {
            if !options.partial {
                return Err(Error::UnknownTensor { name });
            }
            import.notes.push(Note::Unused { name });
        }
        if import.taken == 0 {
            return Err(Error::NothingFits);
        }
        if !outside.is_empty() {
            import.notes.push(Note::Beside { groups: groups(outside.keys(), &choice.prefix) });
        }
        Ok(import)
    }

    /// Gives the file's last layer the network's name for it, or drops what cannot be kept.
    fn take_head(
        &mut self,
        sorted: &mut Sorted,
        prefix: &str,
        head: &str,
        options: &ImportOptions,
    ) -> Result<()> {
        let found = FileHead::take(sorted, prefix, head);
        if options.head == Head::Replace {
            let own = |name: &String| self.weights.tensors.contains_key(name);
            let others = found.into_names().filter(|name| !own(name)).map(|name| Note::Unused { name });
            self.notes.extend(others.collect::<Vec<_>>());
            return Ok(());
        }
        match found.into_layer(head) {
            Ok((tensors, renamed)) => {
                sorted.inside.extend(tensors);
                self.notes.extend(renamed.map(|found| Note::Renamed { found, name: head.to_owned() }));
                Ok(())
            }
            Err(Error::HeadLayers { tensors, .. }) if options.partial => {
                self.notes.extend(tensors.into_iter().map(|name| Note::Unused { name }));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// How many of these names begin alike, as far as they begin like `prefix` and a word further.
fn groups<'a>(names: impl Iterator<Item = &'a String>, prefix: &str) -> BTreeMap<String, usize> {
    let mut groups = BTreeMap::new();
    for name in names {
        let shared = name.split('.').zip(prefix.split('.')).take_while(|(a, b)| a == b).count();
        let group: Vec<&str> = name.split('.').take(shared + 1).collect();
        *groups.entry(group.join(".")).or_default() += 1;
    }
    groups
}

/// A tensor in the shape that is asked for, and what was done to it; or the tensor as it was.
type Fitted = std::result::Result<(HostTensor, Option<fn(String) -> Note>), HostTensor>;

fn fitted(tensor: HostTensor, shape: &[usize]) -> Fitted {
    if tensor.shape == shape {
        return Ok((tensor, None));
    }
    match (tensor.shape.as_slice(), shape) {
        (&[out, 3, h, w], &[expected, 1, rows, columns]) if [out, h, w] == [expected, rows, columns] => {
            Ok((summed(&tensor), Some(|name| Note::Summed { name })))
        }
        (&[out, 1, h, w], &[expected, 3, rows, columns]) if [out, h, w] == [expected, rows, columns] => {
            Ok((spread(&tensor), Some(|name| Note::Spread { name })))
        }
        _ => Err(tensor),
    }
}

/// `[out, 3, h, w]` to `[out, 1, h, w]`.
fn summed(tensor: &HostTensor) -> HostTensor {
    let pixels = tensor.shape[2] * tensor.shape[3];
    let filters = tensor.values.chunks_exact(3 * pixels);
    let sum = |filter: &[f32], pixel: usize| (0..3).map(|colour| filter[colour * pixels + pixel]).sum();
    let values = filters.flat_map(|filter| (0..pixels).map(move |pixel| sum(filter, pixel))).collect();
    HostTensor { shape: vec![tensor.shape[0], 1, tensor.shape[2], tensor.shape[3]], values }
}

/// `[out, 1, h, w]` to `[out, 3, h, w]`.
fn spread(tensor: &HostTensor) -> HostTensor {
    let pixels = tensor.shape[2] * tensor.shape[3];
    let thirds = |filter: &[f32]| filter.iter().map(|value| value / 3.0).collect::<Vec<_>>().repeat(3);
    let values = tensor.values.chunks_exact(pixels).flat_map(thirds).collect();
    HostTensor { shape: vec![tensor.shape[0], 3, tensor.shape[2], tensor.shape[3]], values }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], first: f32) -> HostTensor {
        let values = (0..shape.iter().product()).map(|i: usize| first + i as f32).collect();
        HostTensor { shape: shape.to_vec(), values }
    }

    fn dict(tensors: &[(&str, &[usize], f32)]) -> StateDict {
        let tensors = tensors.iter().map(|(name, shape, first)| ((*name).to_owned(), tensor(shape, *first)));
        StateDict { tensors: tensors.collect() }
    }

    /// A network of one convolution and 14 findings.
    fn fresh() -> StateDict {
        dict(&[("conv.weight", &[2, 1, 1, 2], 0.0), ("fc.bias", &[14], 0.0), ("fc.weight", &[14, 2], 0.0)])
    }

    const STRICT: ImportOptions = ImportOptions { head: Head::Keep, partial: false, part: String::new() };

    fn import(found: StateDict, options: ImportOptions) -> Result<Import> {
        Import::new(&fresh(), "fc", found, &options)
    }

    #[test]
    fn colours_are_summed_and_the_head_is_kept() {
        let found = dict(&[
            ("module.conv.weight", &[2, 3, 1, 2], 1.0),
            ("module.fc.bias", &[14], 5.0),
            ("module.fc.weight", &[14, 2], 6.0),
        ]);
        let import = import(found, STRICT).expect("it fits");
        // The first filter is [[1, 2], [3, 4], [5, 6]].
        assert_eq!(import.weights.tensors["conv.weight"].values, [9.0, 12.0, 27.0, 30.0]);
        assert_eq!(import.weights.tensors["fc.bias"].values[0], 5.0);
        assert_eq!((import.taken, import.notes), (3, vec![Note::Summed { name: "conv.weight".into() }]));
    }

    #[test]
    fn gray_is_spread_over_three_colours_without_changing_what_gray_gives() {
        let fresh = dict(&[("conv.weight", &[1, 3, 1, 2], 0.0)]);
        let import = Import::new(&fresh, "fc", dict(&[("conv.weight", &[1, 1, 1, 2], 3.0)]), &STRICT);
        let weights = import.expect("it fits").weights;
        assert_eq!(weights.tensors["conv.weight"].values, [1.0, 4.0 / 3.0].repeat(3));
    }

    #[test]
    fn a_head_of_other_classes_is_refused_or_replaced() {
        let found = || {
            dict(&[
                ("conv.weight", &[2, 1, 1, 2], 1.0),
                ("fc.bias", &[18], 5.0),
                ("fc.weight", &[18, 2], 6.0),
            ])
        };
        let error = import(found(), STRICT).expect_err("18 classes");
        assert_eq!(error.to_string(), "the weights end in 18 classes (`fc.bias`), this network in 14");
        assert!(error.hint().is_some_and(|hint| hint.contains("--init-head replace")));
        let import = import(found(), REPLACED).expect("the head is not taken");
        assert_eq!((import.taken, import.notes.len()), (1, 2));
        assert_eq!(import.weights.tensors["fc.bias"].values[0], 0.0);
    }

    #[test]
    fn what_does_not_fit_is_named_or_left_out() {
        let found =
            || dict(&[("conv.weight", &[2, 1, 3, 3], 1.0), ("fc.bias", &[14], 5.0), ("layer9.a", &[1], 0.0)]);
        let message = import(found(), STRICT).expect_err("another shape").to_string();
        assert_eq!(message, "tensor `conv.weight` has shape [2, 1, 3, 3], this network needs [2, 1, 1, 2]");
        let partial = ImportOptions { partial: true, ..STRICT };
        let import = import(found(), partial).expect("one tensor fits");
        let notes: Vec<_> = import.notes.iter().map(ToString::to_string).collect();
        assert_eq!(
            notes,
            [
                "conv.weight starts fresh: the file has shape [2, 1, 3, 3], the network [2, 1, 1, 2]",
                "fc.weight starts fresh",
                "layer9.a of the file is not used",
            ]
        );
        assert_eq!(import.taken, 1);
    }

    #[test]
    fn missing_and_surplus_tensors_are_errors_and_so_is_nothing() {
        let mut found = fresh();
        found.tensors.remove("fc.weight");
        let message = import(found, STRICT).expect_err("one is missing").to_string();
        assert_eq!(message, "tensor `fc.weight` is missing from the weights");
        let mut found = fresh();
        found.tensors.insert("layer1.norm.weight".into(), tensor(&[1], 0.0));
        let message = import(found, STRICT).expect_err("one too many").to_string();
        assert_eq!(message, "tensor `layer1.norm.weight` of the weights has no place in this network");
        let partial = ImportOptions { partial: true, ..STRICT };
        let message = import(dict(&[("a.b", &[1], 0.0)]), partial).expect_err("nothing fits").to_string();
        assert_eq!(message, "none of the weights has a place in this network");
    }

    const REPLACED: ImportOptions =
        ImportOptions { head: Head::Replace, partial: false, part: String::new() };

    /// A convolution under `prefix`, and matrices and biases of these layers; of 14 classes where they are the last.
    fn with_layers(prefix: &str, layers: &[&str]) -> StateDict {
        let mut found = dict(&[("conv.weight", &[2, 1, 1, 2], 1.0)]);
        found = StateDict {
            tensors: found.tensors.into_iter().map(|(name, t)| (format!("{prefix}{name}"), t)).collect(),
        };
        for layer in layers {
            found.tensors.insert(format!("{layer}.weight"), tensor(&[14, 2], 6.0));
            found.tensors.insert(format!("{layer}.bias"), tensor(&[14], 5.0));
        }
        found
    }

    #[test]
    fn the_only_linear_layer_of_a_head_is_the_last_layer() {
        for (prefix, layer) in [
            ("", "fc"),
            ("", "fc.0"),
            ("", "fc.1"),
            ("", "classifier"),
            ("", "classifier.0"),
            ("", "head.1"),
            ("module.", "module.fc.3"),
            ("model.net.", "model.net.last_linear"),
            ("backbone.", "head.1"),
            ("model.backbone.", "model.classifier.0"),
        ] {
            let found = || with_layers(prefix, &[layer]);
            let kept = import(found(), STRICT).unwrap_or_else(|error| panic!("{layer}: {error}"));
            assert_eq!((kept.taken, kept.weights.tensors["fc.bias"].values[0]), (3, 5.0), "{layer}");
            let renamed = kept.notes.iter().any(|note| matches!(note, Note::Renamed { .. }));
            assert_eq!(renamed, !layer.ends_with("fc"), "{layer}: {:?}", kept.notes);
            let replaced = import(found(), REPLACED).unwrap_or_else(|error| panic!("{layer}: {error}"));
            assert_eq!((replaced.taken, replaced.weights.tensors["fc.bias"].values[0]), (1, 0.0), "{layer}");
        }
    }

    #[test]
    fn of_several_last_layers_none_is_kept_and_all_are_dropped() {
        for layers in
            [["fc.0", "fc.3"], ["head.mlp.0", "head.mlp.2"], ["fc", "fc.1"], ["classifier.1", "classifier.4"]]
        {
            let message = import(with_layers("", &layers), STRICT).expect_err("several").to_string();
            let [one, two] = layers;
            let expected =
                format!("the weights end in several layers (`{one}`, `{two}`), this network in one");
            assert_eq!(message, expected);
            let replaced = import(with_layers("", &layers), REPLACED).expect("they are dropped");
            assert_eq!(replaced.taken, 1, "{layers:?}");
            let partial = import(with_layers("", &layers), ImportOptions { partial: true, ..STRICT });
            assert_eq!(partial.expect("they are left out").taken, 1, "{layers:?}");
        }
        let found = with_layers("encoder.", &[]);
        let error = import(found.clone(), STRICT).expect_err("no head");
        assert_eq!(error.to_string(), "the weights have no last layer, `fc`");
        assert!(error.hint().is_some_and(|hint| hint.contains("--init-head replace")));
        assert_eq!(import(found, REPLACED).expect("a new head").taken, 1);
    }

    #[test]
    fn which_of_several_networks_was_taken_is_said() {
        let mut found = StateDict::default();
        found.extend_prefixed("model.", with_layers("", &["fc"]));
        let mut copy = with_layers("", &["fc"]);
        copy.tensors.get_mut("conv.weight").expect("is there").values[0] = 9.0;
        found.extend_prefixed("ema_model.", copy);
        found.tensors.insert("optimizer.state.0".into(), tensor(&[2], 0.0));
        let import = |options| import(found.clone(), options).expect("it fits");
        let plain = import(STRICT);
        assert_eq!((plain.part.as_str(), plain.weights.tensors["conv.weight"].values[0]), ("model", 1.0));
        let notes: Vec<_> = plain.notes.iter().map(ToString::to_string).collect();
        assert_eq!(
            notes,
            [
                "the file holds several networks: `model` is taken, not its copy in `ema_model`; --init-part chooses",
                "tensors of the file that are not used: ema_model (3), optimizer (1)",
            ]
        );
        let asked = import(ImportOptions { part: "ema_model".into(), ..STRICT });
        assert_eq!((asked.part.as_str(), asked.weights.tensors["conv.weight"].values[0]), ("ema_model", 9.0));
        assert!(!asked.notes.iter().any(|note| matches!(note, Note::Part { .. })), "{:?}", asked.notes);
    }

    #[test]
    fn values_that_are_not_finite_are_refused_where_they_are_used() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut found = with_layers("", &["fc"]);
            found.tensors.get_mut("conv.weight").expect("is there").values[1] = value;
            let error = import(found, ImportOptions { partial: true, ..STRICT }).expect_err("not finite");
            assert_eq!(error.to_string(), "tensor `conv.weight` holds values that are NaN or infinite");
            let mut found = with_layers("", &["fc"]);
            found.tensors.get_mut("fc.bias").expect("is there").values[1] = value;
            assert!(import(found.clone(), STRICT).is_err());
            // torchxrayvision has NaN where a label has no operating point.
            found.tensors.insert("op_threshs".into(), HostTensor { shape: vec![1], values: vec![value] });
            assert_eq!(import(found, REPLACED).expect("the head is not taken").taken, 1);
        }
    }
}
