//! A network that only predicts: logits and class activation maps of images.

use crate::architectures::Network;
use crate::backend::{Backend, Opened};
use crate::channels::Channels;
use crate::cpu;
use crate::gpu;
use crate::layers::Maps;
use crate::weights::with_weights;
use crate::{DeviceInfo, Error, ModelConfig, Pixels, Result, StateDict};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use xray_artifacts::ChannelRange;

/// A network that only predicts.
pub struct Predictor {
    network: Network,
    place: Place,
    channels: Channels,
    /// How many the network has.
    parameters: usize,
    flip: bool,
}

/// Where the network is computed.
enum Place {
    /// By burn's own operations, or those of `cpu/`.
    Graph {
        device: Device,
        backend: Backend,
    },
    Gpu(gpu::Predictor),
}

impl Predictor {
    /// From the weights that [`Learner::weights`](crate::Learner::weights) gave.
    ///
    /// # Errors
    /// If there is no such device, or the weights do not fit.
    pub fn new(model: &ModelConfig, classes: usize, weights: &StateDict, backend: Backend) -> Result<Self> {
        Ok(Predictor::open(model, classes, weights, backend)?.0)
    }

    /// The same, with the device that was opened.
    ///
    /// # Errors
    /// As there.
    pub fn open(
        model: &ModelConfig,
        classes: usize,
        weights: &StateDict,
        backend: Backend,
    ) -> Result<(Self, DeviceInfo)> {
        let Opened { device, info, gpu } = backend.open()?;
        let network = with_weights(Network::new(model, classes, &device)?, weights)?;
        let predictor = match gpu {
            None => Predictor::on_graph(network, device, info.backend, model),
            Some(gpu) => Predictor::on_gpu(network, gpu, model)?,
        };
        Ok((predictor, info))
    }

    pub(crate) fn on_graph(network: Network, device: Device, backend: Backend, model: &ModelConfig) -> Self {
        let network = if backend == Backend::Cpu { network.folded() } else { network };
        let (place, parameters) = (Place::Graph { device, backend }, network.num_params());
        Predictor { network, place, channels: Channels::of(model), parameters, flip: model.flip }
    }

    /// Its weights go to the device as they are now.
    pub(crate) fn on_gpu(network: Network, gpu: gpu::Device, model: &ModelConfig) -> Result<Self> {
        let place = Place::Gpu(gpu::Predictor::new(gpu, &network)?);
        let parameters = network.num_params();
        Ok(Predictor { network, place, channels: Channels::of(model), parameters, flip: model.flip })
    }

    /// The same with channels that each normalise the gray image in a way of their own.
    ///
    /// # Errors
    /// If the network has not three channels.
    pub fn with_ranges(mut self, ranges: Option<[ChannelRange; 3]>) -> Result<Self> {
        if ranges.is_some() && self.channels.count != 3 {
            let value = self.channels.count.to_string();
            return Err(Error::Config {
                key: "channels",
                value,
                expected: "3 where each has a range of its own",
            });
        }
        self.channels.ranges = ranges;
        Ok(self)
    }

    /// Logits `[n, classes]` of images `[n, 1, size, size]`.
    ///
    /// # Errors
    /// If the device failed, as a GPU may.
    pub fn predict<'a>(&self, pixels: impl Into<Pixels<'a>>, size: u32) -> Result<Vec<f32>> {
        self.begin(pixels, size)?.logits()
    }

    /// [`Predictor::predict`] without waiting for a device that runs behind: the next images can be prepared meanwhile.
    ///
    /// # Errors
    /// If the device failed, as a GPU may.
    pub fn begin<'a>(&self, pixels: impl Into<Pixels<'a>>, size: u32) -> Result<Begun> {
        let (pixels, width) = (pixels.into(), size as usize);
        let plain = self.one(pixels, size)?;
        let of_mirrored = || match pixels {
            Pixels::Floats(floats) => self.one(Pixels::Floats(&mirrored(floats, width)), size),
            Pixels::Levels { levels, values } => {
                self.one(Pixels::Levels { levels: &mirrored(levels, width), values }, size)
            }
        };
        let flipped = self.flip.then(of_mirrored).transpose()?;
        Ok(Begun { plain, flipped })
    }

    fn one(&self, pixels: Pixels<'_>, size: u32) -> Result<One> {
        match &self.place {
            Place::Graph { device, backend } => {
                let logits = |pixels: Pixels<'_>| {
                    let images = images(&pixels.normalised(), size, &self.channels, device, *backend);
                    host(self.network.forward(images))
                };
                let at_once = self.images_at_once(size) * (size as usize).pow(2);
                Ok(One::Done(pixels.chunks(at_once).flat_map(logits).collect()))
            }
            Place::Gpu(predictor) => {
                Ok(One::Begun(Box::new(predictor.begin(&self.network, &self.images(pixels, size))?)))
            }
        }
    }

    /// Images that go through the network together: as many as have maps like the weights. With fewer, weights pass by more
    /// often than they need; with more, maps go to memory and back instead of staying in the caches. An image's logits
    /// do not depend on it.
    fn images_at_once(&self, size: u32) -> usize {
        /// Floats for a pixel of an image in the largest maps of the networks here.
        const FLOATS: usize = 16;
        (self.parameters / (FLOATS * (size as usize).pow(2))).max(1)
    }

    fn images<'a>(&self, pixels: impl Into<Pixels<'a>>, size: u32) -> gpu::Images<'a> {
        gpu::Images { pixels: pixels.into(), size: size as usize, channels: self.channels }
    }

    /// Class activation maps (Zhou et al., CVPR 2016) of normalised images `[n, 1, size, size]`: what each place
    /// of the image adds to each logit. The mean of a map is the logit.
    ///
    /// # Errors
    /// If the device failed, as a GPU may.
    pub fn activation_maps(&self, pixels: &[f32], size: u32) -> Result<ActivationMaps> {
        Ok(self.predict_with_maps(pixels, size)?.1)
    }

    /// [`Predictor::predict`] and [`Predictor::activation_maps`] in one pass over the network.
    ///
    /// # Errors
    /// If the device failed, as a GPU may.
    pub fn predict_with_maps(&self, pixels: &[f32], size: u32) -> Result<(Vec<f32>, ActivationMaps)> {
        let (logits, maps) = self.logits_and_maps(pixels, size)?;
        if !self.flip {
            return Ok((logits, maps));
        }
        let (of_mirrored, mirrored_maps) = self.logits_and_maps(&mirrored(pixels, size as usize), size)?;
        let values = mean(maps.values, mirrored(&mirrored_maps.values, maps.width));
        Ok((mean(logits, of_mirrored), ActivationMaps { values, ..maps }))
    }

    fn logits_and_maps(&self, pixels: &[f32], size: u32) -> Result<(Vec<f32>, ActivationMaps)> {
        let (logits, maps) = match &self.place {
            Place::Graph { device, backend } => {
                let images = images(pixels, size, &self.channels, device, *backend);
                let (logits, maps) = self.network.forward_with_maps(images);
                (host(logits), maps)
            }
            Place::Gpu(predictor) => {
                let (logits, maps) = predictor.logits_and_maps(&self.network, &self.images(pixels, size))?;
                (logits, self.network.class_maps(maps))
            }
        };
        let [_, classes, height, width] = maps.dims();
        Ok((logits, ActivationMaps { values: host(maps), classes, height, width }))
    }
}

/// Logits that a device may not have computed yet.
pub struct Begun {
    plain: One,
    /// Of the mirror images, where their mean is asked for.
    flipped: Option<One>,
}

/// Of one pass over the network.
enum One {
    Done(Vec<f32>),
    Begun(Box<gpu::Logits>),
}

impl Begun {
    /// `[n, classes]`; waits for the device.
    ///
    /// # Errors
    /// If the device failed, as a GPU may.
    pub fn logits(self) -> Result<Vec<f32>> {
        let plain = self.plain.logits()?;
        match self.flipped {
            None => Ok(plain),
            Some(flipped) => Ok(mean(plain, flipped.logits()?)),
        }
    }
}

impl One {
    fn logits(self) -> Result<Vec<f32>> {
        match self {
            One::Done(logits) => Ok(logits),
            One::Begun(logits) => Ok(logits.read()?),
        }
    }
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data_as::<f32>().try_to_vec().expect("read as float32 just now")
}

/// One coarse map per image and class.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationMaps {
    /// Row-major `[n, classes, height, width]`.
    pub values: Vec<f32>,
    /// Maps per image.
    pub classes: usize,
    /// Rows of a map.
    pub height: usize,
    /// Columns of a map.
    pub width: usize,
}

/// Each row of `width` from its end.
fn mirrored<T: Copy>(pixels: &[T], width: usize) -> Vec<T> {
    pixels.chunks(width).flat_map(|row| row.iter().rev()).copied().collect()
}

fn mean(a: Vec<f32>, b: Vec<f32>) -> Vec<f32> {
    a.into_iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect()
}

/// `[n, channels, size, size]`: every channel holds the gray image, in its own range.
pub(crate) fn images(
    pixels: &[f32],
    size: u32,
    channels: &Channels,
    device: &Device,
    backend: Backend,
) -> Maps {
    let (size, count) = (size as usize, channels.count);
    if backend == Backend::Cpu {
        return Maps::of_images(cpu::images(pixels, size, channels, device), backend);
    }
    let n = pixels.len() / (size * size);
    let mut repeated = Vec::with_capacity(count * pixels.len());
    for image in pixels.chunks_exact(size * size) {
        for channel in 0..count {
            repeated.extend(image.iter().map(|&value| channels.value(channel, value)));
        }
    }
    Maps::of_images(Tensor::from_data(TensorData::new(repeated, [n, count, size, size]), device), backend)
}
