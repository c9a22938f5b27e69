//! Nothing outside a buffer is read or written: slices lie at odd addresses between guard zones of NaN, which
//! would spread into every result, and which must hold the same bits afterwards.

use crate::reference;
use crate::reference::{Random, single};
use xray_kernels::{
    Activation, AdamStep, BlockGradients, BlockParameters, Context, ConvBlock, ConvInput, ConvSpec,
    FoldedBlock, GradientMap, Isa, MapShape, Nonlinearity, PlanarShape,
};

const ZONE: usize = 4096 + 5;
const POISON: u32 = 0x7FC0_1234;

/// Floats with poison before and after, aligned to four bytes and no more.
struct Guarded(Vec<f32>);

impl Guarded {
    fn new(values: &[f32]) -> Self {
        let poison = || std::iter::repeat_n(f32::from_bits(POISON), ZONE);
        Self(poison().chain(values.iter().copied()).chain(poison()).collect())
    }

    fn get(&self) -> &[f32] {
        &self.0[ZONE..self.0.len() - ZONE]
    }

    fn get_mut(&mut self) -> &mut [f32] {
        let end = self.0.len() - ZONE;
        &mut self.0[ZONE..end]
    }

    /// The values, once the zones are seen to be whole and the values to be numbers.
    fn check(&self, what: &str) -> &[f32] {
        let whole = |zone: &[f32]| zone.iter().all(|value| value.to_bits() == POISON);
        assert!(whole(&self.0[..ZONE]) && whole(&self.0[self.0.len() - ZONE..]), "{what}: written outside");
        assert!(self.get().iter().all(|value| value.is_finite()), "{what}: read outside, or left unwritten");
        self.get()
    }
}

fn block_stays_inside(
    isa: Isa,
    conv: ConvSpec,
    [images, height, width]: [usize; 3],
    activation: Activation,
    planar: bool,
) {
    let context = Context::watched(isa);
    let mut random = Random::new(11);
    let shape = MapShape::new(images, conv.in_channels, height, width, conv.padding);
    let planar_shape = PlanarShape { images, channels: conv.in_channels, height, width };
    let pixels = reference::Images::random([images, conv.in_channels, height, width], &mut random);
    let (data, map) = (Guarded::new(&pixels.planar()), Guarded::new(&pixels.blocked(&shape, 0.0)));
    let input =
        if planar { ConvInput::Planar(data.get(), planar_shape) } else { ConvInput::Map(map.get(), shape) };
    let weights = Guarded::new(&single(&random.values(conv.weight_len())));
    let gamma = Guarded::new(&single(&random.values(conv.out_channels)));
    let beta = Guarded::new(&single(&random.values(conv.out_channels)));
    let parameters = BlockParameters { weights: weights.get(), gamma: gamma.get(), beta: beta.get() };
    let block = ConvBlock { conv, activation, epsilon: 1e-2 };
    let out_shape = block.output_shape(&input, 1);
    let what = format!("{isa}, {conv:?}, {activation:?}");

    // NaN where results belong: what is not written shows.
    let unwritten = |len: usize| Guarded::new(&vec![f32::NAN; len]);
    let mut output = unwritten(out_shape.len());
    let saved = block.forward_training(&context, input, parameters, (output.get_mut(), out_shape));
    output.check(&what);
    let folded = FoldedBlock::new(&context, block, planar, weights.get(), &saved.normalisation);
    let mut inferred = unwritten(out_shape.len());
    folded.forward(&context, input, (inferred.get_mut(), out_shape));
    inferred.check(&what);

    let gradient = reference::Images::random(
        [images, conv.out_channels, out_shape.height, out_shape.width],
        &mut random,
    );
    let grad_output = Guarded::new(&gradient.blocked(&out_shape, 0.0));
    let channels = conv.out_channels;
    let mut grad_weights = vec![f32::NAN; conv.weight_len()];
    let mut grads = [unwritten(channels), unwritten(channels)];
    let [grad_gamma, grad_beta] = &mut grads;
    let in_shape = shape.with_halo(0);
    let mut grad_input = unwritten(in_shape.len());
    let gradients = BlockGradients {
        weights: &mut grad_weights,
        gamma: grad_gamma.get_mut(),
        beta: grad_beta.get_mut(),
        input: (!planar).then_some(GradientMap::new(grad_input.get_mut(), in_shape)),
    };
    block.backward(&context, input, parameters, &saved, (grad_output.get(), out_shape), gradients);
    assert_eq!(grad_weights.len(), conv.weight_len(), "{what}");
    assert!(grad_weights.iter().all(|value| value.is_finite()), "{what}");
    grads.iter().for_each(|gradient| _ = gradient.check(&what));
    if !planar {
        grad_input.check(&what);
    }
}

#[test]
fn blocks_stay_inside() {
    for isa in Isa::available() {
        for (in_channels, out_channels, kernel, stride, size) in [
            (1, 1, 1, 1, [1, 2, 2]),
            (17, 33, 3, 1, [2, 7, 7]),
            (33, 16, 3, 1, [5, 12, 18]),
            (16, 32, 3, 2, [1, 9, 6]),
            (40, 16, 1, 2, [3, 5, 4]),
            (16, 48, 5, 1, [2, 6, 31]),
            (3, 20, 7, 2, [2, 15, 12]),
        ] {
            let conv = ConvSpec { in_channels, out_channels, kernel, stride, padding: kernel / 2 };
            let activations =
                [(Nonlinearity::Relu, true), (Nonlinearity::Identity, false), (Nonlinearity::Silu, false)];
            for (function, pool) in activations {
                let activation = Activation { function, pool };
                block_stays_inside(isa, conv, size, activation, false);
                block_stays_inside(isa, conv, size, activation, true);
            }
        }
    }
}

#[test]
fn adam_stays_inside() {
    for isa in Isa::available() {
        for length in [1, 15, 16, 17, 100] {
            let mut state = [0.5, 0.25, 0.125, 1.0].map(|value| Guarded::new(&vec![value; length]));
            let [weights, gradient, mean, square] = &mut state;
            let context = Context::watched(isa);
            let step = AdamStep::default();
            step.apply(&context, weights.get_mut(), gradient.get(), mean.get_mut(), square.get_mut());
            let first = state[0].check("adam")[0].to_bits();
            assert!(state[0].get().iter().all(|value| value.to_bits() == first), "{isa}: {length}");
            state.iter().for_each(|values| _ = values.check("adam"));
        }
    }
}
