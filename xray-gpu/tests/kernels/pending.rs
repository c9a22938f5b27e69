//! Weight gradients whose pieces one launch adds up have the bits of those that are added up at once.

use crate::reference::{Maps, assert_same_bits, gpu, random, read, shape, unwritten};
use xray_gpu::{
    Counts, PendingGradients, output_shape, pending_gradients_passes, weight_gradient, weight_gradient_passes,
};
use xray_kernels::ConvSpec;

#[test]
fn pieces_of_many_layers_are_added_up_together() {
    let spec = |in_channels, out_channels, kernel| ConvSpec {
        in_channels,
        out_channels,
        kernel,
        stride: 1,
        padding: kernel / 2,
    };
    let layers = [
        (spec(8, 20, 3), shape(2, 20, 20, 8)),
        // One piece, whose gradient needs no second launch.
        (spec(12, 4, 1), shape(1, 6, 6, 12)),
        (spec(1, 33, 5), shape(2, 24, 16, 1)),
        (spec(40, 12, 1), shape(3, 18, 18, 40)),
    ];
    let maps: Vec<_> = layers
        .iter()
        .map(|(spec, from)| {
            let to = output_shape(spec, *from);
            [(*from, 1), (to, 2)].map(|(shape, seed)| Maps::of(&random(shape.len(), seed), shape, [0, 0]))
        })
        .collect();
    let lengths = layers.map(|(spec, _)| spec.weight_len());
    let at = |i: usize| 3 + lengths[..i].iter().sum::<usize>();
    let total = at(layers.len());
    let expected = unwritten(total);
    for (i, ((spec, _), [input, grad])) in layers.iter().zip(&maps).enumerate() {
        let part = expected.part(at(i), lengths[i]);
        weight_gradient(gpu(), spec, input.map(), grad.map(), part).expect("small");
    }
    let pieces = |i: usize| {
        let (spec, from): &(ConvSpec, _) = &layers[i];
        weight_gradient_passes(spec, *from)[0].groups
    };
    assert!(pieces(0)[1] > 1 && pieces(3)[1] > 1, "the contractions are not cut");
    // Everything at once, two groups, and nothing that waits.
    for (limit, flushes) in [(8 << 20, 1), (28 << 10, 2), (4, 0)] {
        // Of its own, so that no other test's launches are counted.
        let own = crate::reference::open();
        let mut pending = PendingGradients::new(limit);
        let found = unwritten(total);
        for _ in 0..2 {
            for (i, ((spec, _), [input, grad])) in layers.iter().zip(&maps).enumerate() {
                let part = found.part(at(i), lengths[i]);
                pending.weight_gradient(&own, spec, input.map(), grad.map(), part).expect("small");
            }
            pending.flush(&own).expect("small");
        }
        assert_same_bits(&format!("{limit} bytes"), &read(&expected), &read(&found));
        let passes = pending_gradients_passes(limit, layers);
        let mut counts = Counts::default();
        passes.iter().chain(&passes).for_each(|pass| counts += pass);
        assert_eq!(own.counts(), counts, "{limit} bytes");
        let found = passes.iter().filter(|pass| pass.name == "add segments").count();
        assert_eq!(found, flushes, "{limit} bytes");
    }
}
