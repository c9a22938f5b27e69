//! The last layer: logits of the means of maps, and the way back from theirs.

use super::given::LinearIds;
use super::maps::{GpuMaps, Made, Read};
use super::run::{Back, Run};
use crate::architectures::Network;
use crate::layers::Maps;
use std::sync::Arc;
use xray_gpu::{Buffer, Error, Linear, MapShape, Part, global_average, global_average_gradient};

/// Logits `[n][classes]`, and what their gradient leads back to.
pub(crate) struct Logits {
    pub(super) run: Arc<Run>,
    pub(super) values: Buffer,
    layer: Linear,
    ids: LinearIds,
    maps: Read,
    /// Means of the maps, `[n][channels]`.
    features: Buffer,
}

impl Logits {
    /// Of a network's images.
    pub(super) fn of(network: &Network, images: GpuMaps) -> Result<Self, Error> {
        let Maps::Gpu(maps) = network.maps(Maps::Gpu(images)) else {
            unreachable!("all maps of a network lie in one place")
        };
        let Made { run, read: maps } = maps.made()?;
        let classifier = network.classifier();
        let bias = classifier.bias.as_ref().expect("made with a bias").id;
        let ids = LinearIds { weight: classifier.weight.id, bias };
        let [channels, classes] = classifier.weight.dims();
        let (gpu, store, images) = (&*run.gpu, &run.store, maps.view.shape().images);
        let layer = Linear { channels, classes };
        let features = Buffer::empty(gpu, images * channels)?;
        global_average(gpu, maps.view.map(), features.whole());
        let values = Buffer::empty(gpu, images * classes)?;
        let [weight, bias] = [ids.weight, ids.bias].map(|id| store.part(id));
        layer.forward(gpu, features.whole(), weight, bias, values.whole());
        Ok(Logits { values, layer, ids, maps, features, run: run.clone() })
    }

    /// Leaves the gradients of the last layer, and of the maps where they lead on.
    pub(super) fn back(self, back: &Back<'_>, grad_logits: Part<'_>) -> Result<(), Error> {
        let Logits { run, layer, ids, maps, features, .. } = self;
        let grad_features = Buffer::empty(back.gpu, features.len())?;
        layer.backward(
            back.gpu,
            (features.whole(), back.store.part(ids.weight)),
            grad_logits,
            back.gradients.part(ids.weight),
            back.gradients.part(ids.bias),
            grad_features.whole(),
        );
        if !run.learns() {
            return Ok(());
        }
        maps.write_gradient(back.gpu, |grad_maps| {
            global_average_gradient(back.gpu, grad_features.whole(), grad_maps);
            Ok(())
        })
    }

    /// The maps, `[images][height][width][channels]`; waits for the device.
    pub(super) fn read_maps(&self) -> Result<(Vec<f32>, MapShape), Error> {
        Ok((self.maps.view.read(&self.run.gpu)?, self.maps.view.shape()))
    }
}
