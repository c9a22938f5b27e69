//! Maps of a network that is written down as ONNX operations instead of being computed. The layers' own `forward` writes
//! it, so that what is exported is what runs.

use super::messages::{Attribute, FLOAT, FLOAT16, GraphMessage, INT8, Node, TensorMessage};
use crate::stored::{StoredDict, StoredTensor, WeightType};
use burn::module::{Param, ParamId};
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use xray_kernels::Nonlinearity;

/// The operations so far.
#[derive(Debug)]
pub(crate) struct Graph {
    /// The state dict's name of each parameter.
    names: HashMap<ParamId, String>,
    weights: StoredDict,
    written: HashSet<String>,
    message: GraphMessage,
}

/// The result of an operation.
#[derive(Clone, Debug)]
pub(crate) struct GraphMaps {
    graph: Rc<RefCell<Graph>>,
    name: String,
}

impl Graph {
    pub(crate) fn new(names: HashMap<ParamId, String>, weights: StoredDict) -> Rc<RefCell<Self>> {
        let message = GraphMessage { name: "xray".into(), ..GraphMessage::default() };
        Rc::new(RefCell::new(Graph { names, weights, written: HashSet::new(), message }))
    }

    pub(crate) fn input(graph: &Rc<RefCell<Self>>, name: &str) -> GraphMaps {
        GraphMaps { graph: Rc::clone(graph), name: name.to_owned() }
    }

    pub(crate) fn message(&self) -> GraphMessage {
        self.message.clone()
    }

    fn name_of(&self, parameter: ParamId) -> String {
        self.names.get(&parameter).expect("every parameter of the network has a name").clone()
    }

    /// Writes a weight of the network down, and gives the name of its value in float32.
    fn weight(&mut self, name: &str) -> String {
        let StoredTensor { shape, numbers, bytes, scales } =
            self.weights.tensors.get(name).expect("the weights are those of the network").clone();
        let value = match numbers {
            WeightType::F32 => name.to_owned(),
            WeightType::F16 | WeightType::Int8 => format!("{name}.f32"),
        };
        if !self.written.insert(name.to_owned()) {
            return value;
        }
        let data_type = match numbers {
            WeightType::F32 => FLOAT,
            WeightType::F16 => FLOAT16,
            WeightType::Int8 => INT8,
        };
        self.initializer(name, &shape, data_type, bytes);
        match numbers {
            WeightType::F32 => {}
            WeightType::F16 => {
                let to = Attribute::int("to", FLOAT as usize);
                self.node("Cast", vec![name.to_owned()], value.clone(), vec![to]);
            }
            WeightType::Int8 => {
                let scale = format!("{name}.scale");
                let bytes = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
                self.initializer(&scale, &[scales.len()], FLOAT, bytes);
                let axis = Attribute::int("axis", 0);
                self.node("DequantizeLinear", vec![name.to_owned(), scale], value.clone(), vec![axis]);
            }
        }
        value
    }

    /// A scalar.
    fn constant(&mut self, name: &str, value: f32) -> String {
        if self.written.insert(name.to_owned()) {
            self.initializer(name, &[], FLOAT, value.to_le_bytes().to_vec());
        }
        name.to_owned()
    }

    fn initializer(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) {
        let dims = shape.iter().map(|&size| size as i64).collect();
        self.message.initializer.push(TensorMessage { dims, data_type, name: name.to_owned(), raw_data });
    }

    fn node(&mut self, op_type: &str, input: Vec<String>, output: String, attribute: Vec<Attribute>) {
        let name = format!("{op_type}_{}", self.message.node.len());
        self.message.node.push(Node {
            input,
            output: vec![output],
            name,
            op_type: op_type.to_owned(),
            attribute,
        });
    }
}

impl GraphMaps {
    /// The result of one more operation.
    fn then(&self, op_type: &str, others: Vec<String>, attributes: Vec<Attribute>) -> Self {
        let mut graph = self.graph.borrow_mut();
        let name = format!("{}_{}", op_type.to_lowercase(), graph.message.node.len());
        let input = std::iter::once(self.name.clone()).chain(others).collect();
        graph.node(op_type, input, name.clone(), attributes);
        GraphMaps { graph: Rc::clone(&self.graph), name }
    }

    /// A convolution, with its bias where it has one.
    pub(crate) fn convolved(&self, conv: &Conv2d) -> Self {
        let [_, _, height, width] = conv.weight.dims();
        let parameters = {
            let mut graph = self.graph.borrow_mut();
            let ids = std::iter::once(conv.weight.id).chain(conv.bias.as_ref().map(|bias| bias.id));
            let names: Vec<_> = ids.map(|id| graph.name_of(id)).collect();
            names.iter().map(|name| graph.weight(name)).collect()
        };
        let attributes = vec![
            Attribute::ints("kernel_shape", &[height, width]),
            Attribute::ints("strides", &conv.stride),
            Attribute::ints("pads", &[height / 2, width / 2, height / 2, width / 2]),
            Attribute::int("group", conv.groups),
        ];
        self.then("Conv", parameters, attributes)
    }

    /// The batch norm of this scale, by the running statistics.
    pub(crate) fn normalised(&self, scale: &Param<Tensor<1>>, epsilon: f64) -> Self {
        let parameters = {
            let mut graph = self.graph.borrow_mut();
            let scale = graph.name_of(scale.id);
            let layer =
                scale.strip_suffix("weight").expect("the scale of a batch norm is called weight").to_owned();
            let parts = ["weight", "bias", "running_mean", "running_var"];
            parts.map(|part| graph.weight(&format!("{layer}{part}"))).to_vec()
        };
        let epsilon = Attribute::float("epsilon", epsilon as f32);
        self.then("BatchNormalization", parameters, vec![epsilon])
    }

    pub(crate) fn activated(&self, function: Nonlinearity) -> Self {
        match function {
            Nonlinearity::Identity => self.clone(),
            Nonlinearity::Relu => self.then("Relu", Vec::new(), Vec::new()),
            Nonlinearity::Relu6 => {
                let limits = {
                    let mut graph = self.graph.borrow_mut();
                    vec![graph.constant("zero", 0.0), graph.constant("six", 6.0)]
                };
                self.then("Clip", limits, Vec::new())
            }
            Nonlinearity::Silu => self.times(&self.sigmoid()),
        }
    }

    pub(crate) fn sigmoid(&self) -> Self {
        self.then("Sigmoid", Vec::new(), Vec::new())
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.then("Add", vec![other.name.clone()], Vec::new())
    }

    /// Element by element; of maps of one pixel, that pixel for all.
    pub(crate) fn times(&self, other: &Self) -> Self {
        self.then("Mul", vec![other.name.clone()], Vec::new())
    }

    /// The channels of both.
    pub(crate) fn beside(&self, other: &Self) -> Self {
        self.then("Concat", vec![other.name.clone()], vec![Attribute::int("axis", 1)])
    }

    pub(crate) fn max_pooled(&self, kernel: usize, padding: usize) -> Self {
        self.pooled("MaxPool", kernel, padding)
    }

    pub(crate) fn average_pooled(&self, kernel: usize) -> Self {
        self.pooled("AveragePool", kernel, 0)
    }

    /// Every second place.
    fn pooled(&self, op_type: &str, kernel: usize, padding: usize) -> Self {
        let attributes = vec![
            Attribute::ints("kernel_shape", &[kernel; 2]),
            Attribute::ints("strides", &[2; 2]),
            Attribute::ints("pads", &[padding; 4]),
        ];
        self.then(op_type, Vec::new(), attributes)
    }

    /// The mean of each map, as a map of one pixel.
    pub(crate) fn global_average(&self) -> Self {
        self.then("GlobalAveragePool", Vec::new(), Vec::new())
    }

    /// Maps of one pixel to the outputs of a linear layer, called `output`.
    pub(crate) fn classified(&self, classifier: &Linear, output: &str) {
        let flat = self.then("Flatten", Vec::new(), vec![Attribute::int("axis", 1)]);
        let mut graph = self.graph.borrow_mut();
        let bias = classifier.bias.as_ref().expect("made with a bias");
        let names = [classifier.weight.id, bias.id].map(|id| graph.name_of(id));
        let [weight, bias] = names.map(|name| graph.weight(&name));
        let is_transposed = Attribute::int("transB", 1);
        graph.node("Gemm", vec![flat.name, weight, bias], output.to_owned(), vec![is_transposed]);
    }
}
