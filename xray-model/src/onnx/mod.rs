//! ONNX: the messages of a file, and the operations of a network as they are written down.

mod graph;
mod messages;
mod quantised;

pub(crate) use graph::{Graph, GraphMaps};
pub(crate) use messages::{Entry, GraphMessage, Model, OperatorSet, ValueInfo};
pub(crate) use quantised::{Head, quantised_graph};
