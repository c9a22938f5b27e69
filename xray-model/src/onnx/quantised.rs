//! A plan written down as ONNX operations in 8 bits: `QuantizeLinear` and `DequantizeLinear` around every operation that is
//! computed in integers here, weights with a scale for each output channel, batch norm in them. Runtimes make integer
//! operations of that. Where an integer kernel here adds a skip connection to a sum of 32 bits, the sum is quantised first,
//! so that a runtime can compute it in integers too.

use super::messages::{Attribute, FLOAT, GraphMessage, INT8, INT32, Node, TensorMessage, UINT8};
use crate::HostTensor;
use crate::integer::{Gate, Operation, Plan, Step};
use xray_kernels::{ConvSpec, Nonlinearity, Quantisation, quantised_weights};

/// The last layer, `[classes, features]` and a bias.
pub(crate) struct Head<'a> {
    pub(crate) weight: &'a HostTensor,
    pub(crate) bias: &'a HostTensor,
}

/// Images of this name to logits of that.
pub(crate) fn quantised_graph(
    plan: &Plan,
    ranges: &[[f32; 2]],
    head: &Head<'_>,
    [images, logits]: [&str; 2],
) -> GraphMessage {
    let bytes = ranges.iter().map(|&[low, high]| Quantisation::of_range(low, high)).collect();
    let message = GraphMessage { name: "xray".into(), ..GraphMessage::default() };
    let mut writer = Writer { plan, bytes, message, maps: Vec::new() };
    let first = writer.quantised(images.to_owned(), 0);
    writer.maps.push(first);
    for (number, step) in plan.steps.iter().enumerate() {
        let map = writer.step(step, &format!("layer{}", number + 1));
        writer.maps.push(map);
    }
    writer.classify(head, logits);
    writer.message
}

struct Writer<'a> {
    plan: &'a Plan,
    bytes: Vec<Quantisation>,
    message: GraphMessage,
    /// The name of each map's values.
    maps: Vec<String>,
}

impl Writer<'_> {
    fn initializer(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) -> String {
        let dims = shape.iter().map(|&size| size as i64).collect();
        self.message.initializer.push(TensorMessage { dims, data_type, name: name.to_owned(), raw_data });
        name.to_owned()
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, shape, FLOAT, bytes)
    }

    /// The result of one more operation.
    fn node(&mut self, op_type: &str, input: Vec<String>, attribute: Vec<Attribute>) -> String {
        let output = format!("{}_{}", op_type.to_lowercase(), self.message.node.len());
        self.named_node(op_type, input, output, attribute)
    }

    fn named_node(
        &mut self,
        op_type: &str,
        input: Vec<String>,
        output: String,
        attribute: Vec<Attribute>,
    ) -> String {
        let name = format!("{op_type}_{}", self.message.node.len());
        let op_type = op_type.to_owned();
        self.message.node.push(Node { input, output: vec![output.clone()], name, op_type, attribute });
        output
    }

    /// As bytes that reach over a range, and back.
    fn quantised(&mut self, values: String, range: usize) -> String {
        let Quantisation { scale, zero_point } = self.bytes[range];
        let at = self.message.node.len();
        let scale = self.floats(&format!("scale_{at}"), &[], &[scale]);
        let zero = self.initializer(&format!("zero_{at}"), &[], UINT8, vec![zero_point]);
        let bytes = self.node("QuantizeLinear", vec![values, scale.clone(), zero.clone()], Vec::new());
        self.node("DequantizeLinear", vec![bytes, scale, zero], Vec::new())
    }

    /// Integers with a scale for each output channel.
    fn per_channel(
        &mut self,
        name: &str,
        shape: &[usize],
        data_type: i32,
        bytes: Vec<u8>,
        scales: &[f32],
    ) -> String {
        let values = self.initializer(name, shape, data_type, bytes);
        let scale = self.floats(&format!("{name}.scale"), &[scales.len()], scales);
        let zeros = vec![0; scales.len() * if data_type == INT32 { 4 } else { 1 }];
        let zero = self.initializer(&format!("{name}.zero"), &[scales.len()], data_type, zeros);
        self.node("DequantizeLinear", vec![values, scale, zero], vec![Attribute::int("axis", 0)])
    }

    fn convolved(
        &mut self,
        (input, range): (String, usize),
        spec: &ConvSpec,
        groups: usize,
        (weights, bias): (&[f32], &[f32]),
        name: &str,
    ) -> String {
        let (bytes, mut scales) = quantised_weights(weights, spec.out_channels);
        // A channel of zeros has a scale of zero, which the operator does not take.
        scales.iter_mut().filter(|scale| **scale == 0.0).for_each(|scale| *scale = 1.0);
        let shape = [spec.out_channels, spec.in_channels / groups, spec.kernel, spec.kernel];
        let bytes = bytes.into_iter().map(i8::cast_unsigned).collect();
        let weights = self.per_channel(&format!("{name}.weight"), &shape, INT8, bytes, &scales);
        let sums: Vec<f32> = scales.iter().map(|scale| scale * self.bytes[range].scale).collect();
        // A float becomes an integer with saturation.
        let bias = bias.iter().zip(&sums).map(|(bias, scale)| (bias / scale).round_ties_even() as i32);
        let bias = bias.flat_map(i32::to_le_bytes).collect();
        let bias = self.per_channel(&format!("{name}.bias"), &[spec.out_channels], INT32, bias, &sums);
        let attributes = vec![
            Attribute::ints("kernel_shape", &[spec.kernel; 2]),
            Attribute::ints("strides", &[spec.stride; 2]),
            Attribute::ints("pads", &[spec.padding; 4]),
            Attribute::int("group", groups),
        ];
        self.node("Conv", vec![input, weights, bias], attributes)
    }

    fn activated(&mut self, function: Nonlinearity, values: String, name: &str) -> String {
        match function {
            Nonlinearity::Identity => values,
            Nonlinearity::Relu => self.node("Relu", vec![values], Vec::new()),
            Nonlinearity::Relu6 => {
                let limits = [("zero", 0.0), ("six", 6.0)];
                let [low, high] =
                    limits.map(|(limit, value)| self.floats(&format!("{name}.{limit}"), &[], &[value]));
                self.node("Clip", vec![values, low, high], Vec::new())
            }
            Nonlinearity::Silu => {
                let sigmoid = self.node("Sigmoid", vec![values.clone()], Vec::new());
                self.node("Mul", vec![values, sigmoid], Vec::new())
            }
        }
    }

    fn pooled(&mut self, op_type: &str, values: String, kernel: usize, padding: usize) -> String {
        let attributes = vec![
            Attribute::ints("kernel_shape", &[kernel; 2]),
            Attribute::ints("strides", &[2; 2]),
            Attribute::ints("pads", &[padding; 4]),
        ];
        self.node(op_type, vec![values], attributes)
    }

    fn step(&mut self, step: &Step, name: &str) -> String {
        let input = (self.maps[step.inputs[0]].clone(), self.plan.range_of(step.inputs[0]));
        let output = step.ranges.output;
        match &step.operation {
            Operation::Conv { conv, weights, bias, skip, activation } => {
                let mut values = self.convolved(input, conv, 1, (weights, bias), name);
                if let (Some(skip), Some(sum)) = (skip, step.ranges.sum) {
                    let sum = self.quantised(values, sum);
                    values = self.node("Add", vec![sum, self.maps[*skip].clone()], Vec::new());
                }
                let map = self.finished(values, activation.function, step, name);
                if !activation.pool {
                    return map;
                }
                let pooled = self.pooled("MaxPool", map, 2, 0);
                self.quantised(pooled, output)
            }
            Operation::Depthwise { conv, weights, bias, function } => {
                let spec = ConvSpec {
                    in_channels: conv.channels,
                    out_channels: conv.channels,
                    kernel: conv.kernel,
                    stride: conv.stride,
                    padding: conv.padding,
                };
                let values = self.convolved(input, &spec, conv.channels, (weights, bias), name);
                self.finished(values, *function, step, name)
            }
            Operation::MaxPool(pool) => {
                let pooled = self.pooled("MaxPool", input.0, pool.kernel, pool.padding);
                self.quantised(pooled, output)
            }
            Operation::Gate(gate) => {
                let gated = self.gated(gate, input.0, name);
                self.quantised(gated, output)
            }
            Operation::NormRelu { scale, shift, average } => {
                let maps: Vec<_> = step.inputs.iter().map(|&map| self.maps[map].clone()).collect();
                let all = match &maps[..] {
                    [one] => one.clone(),
                    _ => self.node("Concat", maps, vec![Attribute::int("axis", 1)]),
                };
                let shape = [1, scale.len(), 1, 1];
                let factor = self.floats(&format!("{name}.factor"), &shape, scale);
                let summand = self.floats(&format!("{name}.summand"), &shape, shift);
                let scaled = self.node("Mul", vec![all, factor], Vec::new());
                let shifted = self.node("Add", vec![scaled, summand], Vec::new());
                let mut values = self.activated(Nonlinearity::Relu, shifted, name);
                if *average {
                    values = self.pooled("AveragePool", values, 2, 0);
                }
                self.quantised(values, output)
            }
        }
    }

    /// The nonlinearity, with its argument as bytes where it is looked up by them.
    fn finished(&mut self, values: String, function: Nonlinearity, step: &Step, name: &str) -> String {
        let values = match step.ranges.argument {
            Some(argument) => self.quantised(values, argument),
            None => values,
        };
        let activated = self.activated(function, values, name);
        self.quantised(activated, step.ranges.output)
    }

    fn gated(&mut self, gate: &Gate, map: String, name: &str) -> String {
        let mut values = self.node("GlobalAveragePool", vec![map.clone()], Vec::new());
        for (number, (weights, bias)) in gate.layers.iter().enumerate() {
            let shape = [bias.len(), weights.len() / bias.len(), 1, 1];
            let parameters = [
                self.floats(&format!("{name}.fc{}.weight", number + 1), &shape, weights),
                self.floats(&format!("{name}.fc{}.bias", number + 1), &[bias.len()], bias),
            ];
            let attributes = vec![Attribute::ints("kernel_shape", &[1; 2])];
            values = self.node("Conv", std::iter::once(values).chain(parameters).collect(), attributes);
            values = match number {
                0 => self.activated(Nonlinearity::Silu, values, name),
                _ => self.node("Sigmoid", vec![values], Vec::new()),
            };
        }
        self.node("Mul", vec![map, values], Vec::new())
    }

    fn classify(&mut self, head: &Head<'_>, logits: &str) {
        let last = self.maps[self.plan.output].clone();
        let means = self.node("GlobalAveragePool", vec![last], Vec::new());
        let flat = self.node("Flatten", vec![means], vec![Attribute::int("axis", 1)]);
        let weight = self.floats("head.weight", &head.weight.shape, &head.weight.values);
        let bias = self.floats("head.bias", &head.bias.shape, &head.bias.values);
        let transposed = vec![Attribute::int("transB", 1)];
        self.named_node("Gemm", vec![flat, weight, bias], logits.to_owned(), transposed);
    }
}
