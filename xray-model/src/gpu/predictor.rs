//! A network that only predicts.

use super::given::Images;
use super::head::Logits;
use super::maps::GpuMaps;
use super::run::Run;
use super::store::Store;
use super::view::View;
use crate::Pixels;
use crate::architectures::Network;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;
use xray_gpu::{Buffer, Error, Gpu, MapShape, images_from_bytes};

/// The weights of a network on a device; batch norm is folded into them when they are first used.
pub(crate) struct Predictor(Arc<Run>);

impl Predictor {
    pub(crate) fn new(gpu: Arc<Gpu>, network: &Network) -> Result<Self, Error> {
        let store = Store::of(&gpu, network)?;
        Ok(Predictor(Arc::new(Run::inference(gpu, store))))
    }

    /// Asks for the logits of images.
    pub(crate) fn begin(&self, network: &Network, images: &Images<'_>) -> Result<Logits, Error> {
        Logits::of(network, GpuMaps::images(self.0.clone(), images.view(&self.0.gpu)?))
    }

    /// Logits `[n][classes]`, and the last maps, `[n, channels, h, w]` on the processor.
    pub(crate) fn logits_and_maps(
        &self,
        network: &Network,
        images: &Images<'_>,
    ) -> Result<(Vec<f32>, Tensor<4>), Error> {
        let logits = self.begin(network, images)?;
        Ok((logits.read()?, logits.maps()?))
    }
}

impl Images<'_> {
    /// On the device.
    pub(super) fn view(&self, gpu: &Gpu) -> Result<View, Error> {
        let &Images { pixels, size, channels } = self;
        let (images, count) = (pixels.len() / (size * size), channels.count);
        let shape = MapShape { images, height: size, width: size, channels: count };
        let buffer = match pixels {
            Pixels::Levels { levels, values } if channels.ranges.is_none() => {
                let view = View::empty(gpu, shape)?;
                images_from_bytes(gpu, levels, values, view.map())?;
                return Ok(view);
            }
            Pixels::Floats(floats) if count == 1 => Buffer::of(gpu, floats),
            // The device's own kernel gives all channels the same.
            _ => {
                let of_pixel = |&gray: &f32| (0..count).map(move |channel| channels.value(channel, gray));
                Buffer::of(gpu, &pixels.normalised().iter().flat_map(of_pixel).collect::<Vec<_>>())
            }
        };
        Ok(View::new(buffer?, shape))
    }
}

impl Logits {
    /// Waits for the device.
    pub(crate) fn read(&self) -> Result<Vec<f32>, Error> {
        self.values.read(&self.run.gpu)
    }

    fn maps(&self) -> Result<Tensor<4>, Error> {
        let (values, MapShape { images, height, width, channels }) = self.read_maps()?;
        let nhwc = TensorData::new(values, [images, height, width, channels]);
        Ok(Tensor::<4>::from_data(nhwc, &Device::flex()).permute([0, 3, 1, 2]))
    }
}
