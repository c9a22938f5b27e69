//! A network as an ONNX file.

use crate::architectures::Network;
use crate::layers::Maps;
use crate::onnx::{Entry, Graph, GraphMessage, Head, Model, OperatorSet, ValueInfo, quantised_graph};
use crate::weights::{names_of, with_weights};
use crate::{Backend, Error, ModelConfig, Result, StateDict, StoredDict};
use prost::Message;
use std::ops::RangeInclusive;

/// Operator sets that [`onnx`] can write: every operator in use has been the same in all of them.
pub const OPSETS: RangeInclusive<u32> = 13..=21;

/// How a network is written down.
#[derive(Clone, Debug)]
pub struct Onnx {
    /// Width and height of the images.
    pub size: u32,
    /// Of [`OPSETS`].
    pub opset: u32,
    /// Words for whoever opens the file.
    pub metadata: Vec<(String, String)>,
}

/// A network of these weights as an ONNX file: `images` `[batch, channels, size, size]`, normalised as for training, to
/// `logits` `[batch, classes]`. Initializers have the names of the state dict; those that are not float32 pass through
/// `Cast` or `DequantizeLinear`. Batch norm stays an operator of its own: runtimes fold it. Weights that come with the ranges
/// of activations are written down as they are computed here, in integers: with batch norm in the weights, under names of
/// their own, and with `QuantizeLinear` and `DequantizeLinear` around each operation.
///
/// # Errors
/// If the weights are of another network.
///
/// # Panics
/// If the operator set is none of [`OPSETS`].
pub fn onnx(config: &ModelConfig, classes: usize, weights: &StoredDict, how: &Onnx) -> Result<Vec<u8>> {
    assert!(OPSETS.contains(&how.opset), "operator set {}", how.opset);
    let device = Backend::Cpu.open()?.device;
    let restored = weights.restored();
    let (plain, ranges) = restored.without_ranges()?;
    let network = with_weights(Network::new(config, classes, &device)?, &plain)?;
    let mut message = match ranges {
        Some(ranges) => in_integers(&network, config, &plain, &ranges)?,
        None => {
            let graph = Graph::new(names_of(&network), weights.clone());
            network.write_down(Maps::Graph(Graph::input(&graph, IMAGES)), LOGITS);
            graph.borrow().message()
        }
    };
    let size = how.size as usize;
    message.input = vec![ValueInfo::of_batch(IMAGES, &[config.channels, size, size])];
    message.output = vec![ValueInfo::of_batch(LOGITS, &[classes])];
    let entry = |(key, value): &(String, String)| Entry { key: key.clone(), value: value.clone() };
    let model = Model {
        ir_version: ir_version(how.opset),
        producer_name: "xray-model".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(message),
        opset_import: vec![OperatorSet { domain: String::new(), version: i64::from(how.opset) }],
        metadata_props: how.metadata.iter().map(entry).collect(),
    };
    Ok(model.encode_to_vec())
}

fn in_integers(
    network: &Network,
    config: &ModelConfig,
    weights: &StateDict,
    ranges: &[[f32; 2]],
) -> Result<GraphMessage> {
    let plan = network.plan(config.channels);
    if ranges.len() != plan.ranges {
        return Err(Error::ActivationRanges { found: ranges.len(), expected: plan.ranges });
    }
    let [weight, bias] =
        ["weight", "bias"].map(|part| &weights.tensors[&format!("{}.{part}", network.head())]);
    Ok(quantised_graph(&plan, ranges, &Head { weight, bias }, [IMAGES, LOGITS]))
}

const IMAGES: &str = "images";
const LOGITS: &str = "logits";

/// The version of the file format that came with an operator set
/// ([list](https://github.com/onnx/onnx/blob/main/docs/Versioning.md)). Older runtimes refuse newer ones.
fn ir_version(opset: u32) -> i64 {
    match opset {
        ..=14 => 7,
        15..=18 => 8,
        19..=20 => 9,
        _ => 10,
    }
}
