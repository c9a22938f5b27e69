//! What is recorded of a pass, in a process of its own: a recorder sees all passes of its process.

use std::num::NonZero;
use xray_kernels::{
    Activation, BlockGradients, BlockParameters, Context, ConvBlock, ConvInput, ConvSpec, GradientMap, Isa,
    MapShape, Nonlinearity, Recorder, Recording, TaskCosts,
};

/// Forward and backward of a block: the weights' gradient, as bits.
fn block() -> Vec<u32> {
    let context = Context::new(Isa::widest());
    let conv = ConvSpec { in_channels: 16, out_channels: 32, kernel: 3, stride: 1, padding: 1 };
    let block = ConvBlock { conv, activation: Activation::of(Nonlinearity::Relu), epsilon: 1e-5 };
    let shape = MapShape::new(8, 16, 20, 20, 1);
    let values = |len: usize| -> Vec<f32> { (0..len).map(|i| (i as f32 * 0.7).sin()).collect() };
    let (map, weights) = (values(shape.len()), values(conv.weight_len()));
    let parameters = BlockParameters { weights: &weights, gamma: &[1.0; 32], beta: &[0.0; 32] };
    let input = ConvInput::Map(&map, shape);
    let out_shape = block.output_shape(&input, 0);
    let mut output = vec![0.0; out_shape.len()];
    let saved = block.forward_training(&context, input, parameters, (&mut output, out_shape));
    let mut grads = [vec![0.0; weights.len()], vec![0.0; 32], vec![0.0; 32]];
    let [grad_weights, gamma, beta] = &mut grads;
    let mut grad_input = vec![0.0; shape.len()];
    let input_gradient = Some(GradientMap::new(&mut grad_input, shape));
    let gradients = BlockGradients { weights: grad_weights, gamma, beta, input: input_gradient };
    let given = (&values(out_shape.len())[..], out_shape);
    block.backward(&context, input, parameters, &saved, given, gradients);
    grads[0].iter().map(|value| value.to_bits()).collect()
}

fn recorded(workers: usize) -> (Vec<u32>, Recording) {
    let recorder = Recorder::start(NonZero::new(workers).expect("not zero"));
    (block(), recorder.finish())
}

#[test]
fn a_recording_holds_every_pass_cut_for_its_workers_and_changes_no_bits() {
    let bits = block();
    let (of_one, one) = recorded(1);
    let (of_many, many) = recorded(64);
    assert!(bits == of_one && bits == of_many, "other bits while it is recorded");
    let names = |recording: &Recording| recording.passes.iter().map(|pass| pass.name).collect::<Vec<_>>();
    for name in ["packing weights", "convolution", "batch norm", "batch norm, sums backward"] {
        assert!(names(&one).contains(&name) && names(&many).contains(&name), "{name} in {:?}", names(&one));
    }
    let tasks = |recording: &Recording| {
        let pass = recording.passes.iter().find(|pass| pass.name == "convolution").expect("a convolution");
        assert!(pass.task_nanoseconds.iter().all(|&time| time > 0), "{pass:?}");
        (pass.floats, pass.task_nanoseconds.len())
    };
    let ((floats, few), (as_many_floats, more)) = (tasks(&one), tasks(&many));
    assert_eq!((floats, as_many_floats), (8 * 32 * 400, 8 * 32 * 400));
    assert!(few < 4 && more > 8, "{few} and {more} tasks");

    // Nothing is recorded behind the recorder's back, and costs are those of threads.
    let (_, again) = recorded(1);
    assert_eq!(names(&again), names(&one));
    let costs = TaskCosts::measure();
    assert!(costs.pass_nanoseconds > 0.0 && costs.task_nanoseconds < 1e6, "{costs:?}");
}
