//! Fitting the tensors of a file to a network that may have another first layer or another set of findings.

use super::names::translated;
use crate::{Error, HostTensor, Result, StateDict};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How strict an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// What becomes of the last layer.
    pub head: Head,
    /// Whether tensors that have no counterpart, or one of another shape, are left out; otherwise they are an error.
    pub partial: bool,
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
    /// Everything that was not simply copied.
    pub notes: Vec<Note>,
}

/// Something that was not simply copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
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
            Note::Fresh { name } => write!(f, "{name} starts anew"),
            Note::Unused { name } => write!(f, "{name} of the file is not used"),
            Note::OtherShape { name, found, expected } => {
                write!(f, "{name} starts anew: the file has shape {found:?}, the network {expected:?}")
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
    /// one that the network lacks. In any case: if nothing fits.
    pub fn new(fresh: &StateDict, head: &str, found: StateDict, options: ImportOptions) -> Result<Import> {
        let mut found = translated(found, fresh);
        let mut import = Import { weights: fresh.clone(), taken: 0, notes: Vec::new() };
        let is_head = |name: &str| name.strip_prefix(head).is_some_and(|rest| rest.starts_with('.'));
        for (name, target) in &mut import.weights.tensors {
            let tensor = found.tensors.remove(name);
            if options.head == Head::Replace && is_head(name) {
                import.notes.push(Note::Fresh { name: name.clone() });
                continue;
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
                None => return Err(Error::MissingTensor { name: name.clone() }),
            }
        }
        for name in found.tensors.into_keys() {
            if !options.partial {
                return Err(Error::UnknownTensor { name });
            }
            import.notes.push(Note::Unused { name });
        }
        if import.taken == 0 {
            return Err(Error::NothingFits);
        }
        Ok(import)
    }
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

    const STRICT: ImportOptions = ImportOptions { head: Head::Keep, partial: false };

    fn import(found: StateDict, options: ImportOptions) -> Result<Import> {
        Import::new(&fresh(), "fc", found, options)
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
        let import = Import::new(&fresh, "fc", dict(&[("conv.weight", &[1, 1, 1, 2], 3.0)]), STRICT);
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
        let replaced = ImportOptions { head: Head::Replace, ..STRICT };
        let import = import(found(), replaced).expect("the head is not taken");
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
                "conv.weight starts anew: the file has shape [2, 1, 3, 3], the network [2, 1, 1, 2]",
                "fc.weight starts anew",
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
        found.tensors.insert("layer1.conv.weight".into(), tensor(&[1], 0.0));
        let message = import(found, STRICT).expect_err("one too many").to_string();
        assert_eq!(message, "tensor `layer1.conv.weight` of the weights has no place in this network");
        let partial = ImportOptions { partial: true, ..STRICT };
        let message = import(dict(&[("a.b", &[1], 0.0)]), partial).expect_err("nothing fits").to_string();
        assert_eq!(message, "none of the weights has a place in this network");
    }
}
