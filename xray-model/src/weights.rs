//! A network's parameters and running statistics as a state dict, under the names and in the layouts that
//! PyTorch uses, so that either side reads the other's files.

use crate::architectures::Network;
use crate::{Error, HostTensor, Result, StateDict};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};
use std::collections::HashMap;

/// The weights as they are now.
pub(crate) fn weights_of(network: &Network) -> StateDict {
    let mut reader = Reader { place: Place::in_network(network), dict: StateDict::default() };
    network.visit(&mut reader);
    reader.dict
}

/// That every tensor of the network is in `dict`, in its shape, and no other.
pub(crate) fn check_fit(network: &Network, dict: &StateDict) -> Result<()> {
    let expected = weights_of(network);
    for (name, tensor) in &expected.tensors {
        let found = dict.tensors.get(name).ok_or_else(|| Error::MissingTensor { name: name.clone() })?;
        if found.shape != tensor.shape {
            let (found, expected) = (found.shape.clone(), tensor.shape.clone());
            return Err(Error::Shape { name: name.clone(), found, expected });
        }
    }
    if let Some(name) = dict.tensors.keys().find(|name| !expected.tensors.contains_key(*name)) {
        return Err(Error::UnknownTensor { name: name.clone() });
    }
    Ok(())
}

/// The same network with the values of `dict`, which must fit. It takes the network whole, because burn's clones share
/// their running statistics: writing into a clone would change the original.
pub(crate) fn with_weights(network: Network, dict: &StateDict) -> Result<Network> {
    check_fit(&network, dict)?;
    let place = Place::in_network(&network);
    Ok(network.map(&mut Writer { place, dict }))
}

/// Where a visit stands: the path of field names, and whether the innermost layer is linear.
pub(crate) struct Place {
    path: Vec<String>,
    layers: Vec<String>,
    spelling: fn(&[&str]) -> String,
}

impl Place {
    pub(crate) fn in_network(network: &Network) -> Self {
        Place { path: Vec::new(), layers: Vec::new(), spelling: network.spelling() }
    }

    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        // An enum's variant is not part of a parameter's name: `Network::SmallCnn` is the network itself.
        if !container.starts_with("Enum:") {
            self.path.push(name.to_owned());
        }
        self.layers.push(container.to_owned());
    }

    pub(crate) fn exit(&mut self) {
        let container = self.layers.pop().unwrap_or_default();
        if !container.starts_with("Enum:") {
            self.path.pop();
        }
    }

    /// `features.0.conv.weight`.
    pub(crate) fn name(&self) -> String {
        let path: Vec<_> = self.path.iter().map(String::as_str).collect();
        (self.spelling)(&path)
    }

    /// burn keeps a linear layer's matrix as `[in, out]`, PyTorch as `[out, in]`.
    fn is_transposed(&self, rank: usize) -> bool {
        rank == 2 && self.layers.last().is_some_and(|layer| layer.ends_with("Linear"))
    }
}

/// The name of each parameter.
pub(crate) fn names_of(network: &Network) -> HashMap<ParamId, String> {
    let mut names = Names { place: Place::in_network(network), names: HashMap::new() };
    network.visit(&mut names);
    names.names
}

struct Names {
    place: Place,
    names: HashMap<ParamId, String>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.names.insert(param.id, self.place.name());
    }
}

struct Reader {
    place: Place,
    dict: StateDict,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let value = if self.place.is_transposed(D) { value.transpose() } else { value };
        self.dict.tensors.insert(self.place.name(), to_host(value));
    }
}

struct Writer<'a> {
    place: Place,
    dict: &'a StateDict,
}

impl ModuleMapper for Writer<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(found) = self.dict.tensors.get(&self.place.name()) else { return param };
        param.map(|old| {
            // Transposed here and not by a view: a matrix product rounds differently on a strided matrix, and
            // a run that loads its weights must equal one that kept them.
            let data = if self.place.is_transposed(D) { to_data(&transposed(found)) } else { to_data(found) };
            Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
        })
    }
}

fn transposed(matrix: &HostTensor) -> HostTensor {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1]);
    let values = (0..rows * columns).map(|i| matrix.values[i % rows * columns + i / rows]).collect();
    HostTensor { shape: vec![columns, rows], values }
}

/// Copies a tensor to the host.
pub(crate) fn to_host<const D: usize>(tensor: Tensor<D>) -> HostTensor {
    let shape = tensor.dims().to_vec();
    let values = tensor.into_data_as::<f32>().try_to_vec().expect("read as float32 just now");
    HostTensor { shape, values }
}

/// The other way.
pub(crate) fn to_data(tensor: &HostTensor) -> TensorData {
    TensorData::new(tensor.values.clone(), tensor.shape.clone())
}
