//! ONNX: the messages of a file, and the operations of a network as they are written down.

mod graph;
mod messages;

pub(crate) use graph::{Graph, GraphMaps};
pub(crate) use messages::{Entry, Model, OperatorSet, ValueInfo};
