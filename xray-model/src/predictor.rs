//! A network that only predicts: logits and class activation maps of images.

use crate::architectures::Network;
use crate::backend::{Backend, Opened};
use crate::channels::Channels;
use crate::cpu;
use crate::gpu;
use crate::integer::{Calibration, IntegerNetwork, LastMaps};
use crate::layers::Maps;
use crate::weights::with_weights;
use crate::{DeviceInfo, Error, ModelConfig, Pixels, RangeRule, Result, StateDict};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::{Mutex, PoisonError};
use xray_artifacts::ChannelRange;
use xray_kernels::PlanarShape;

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
    /// In integers, on the CPU; the last layer by burn's own operations.
    Integers {
        device: Device,
        integers: IntegerNetwork,
    },
    /// Nowhere: it is only watched, in so many images.
    Watched {
        calibration: Mutex<Calibration>,
        most: usize,
    },
}

/// The ranges of a network's activations, in the order in which it computes them.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationRanges {
    /// In how many images they were found.
    pub images: usize,
    /// The lowest and the highest value of each map; zero lies between.
    pub(crate) ranges: Vec<[f32; 2]>,
}

impl Predictor {
    /// From the weights that [`Learner::weights`](crate::Learner::weights) gave. Where those of a file come with the ranges of
    /// activations ([`StoredDict::with_ranges`](crate::StoredDict::with_ranges)), the CPU computes in integers; other devices
    /// compute in float32 what the weights stand for.
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
        let (weights, ranges) = weights.without_ranges()?;
        let network = with_weights(Network::new(model, classes, &device)?, &weights)?;
        let predictor = match (gpu, ranges) {
            (None, Some(ranges)) if info.backend == Backend::Cpu => {
                Predictor::in_integers(network, device, &ranges, model)?
            }
            (None, _) => Predictor::on_graph(network, device, info.backend, model),
            (Some(gpu), _) => Predictor::on_gpu(network, gpu, model)?,
        };
        Ok((predictor, info))
    }

    /// One that computes in float32 on the CPU and watches the range of each map in the first `images` images that it is
    /// given, in whole batches. It tells nothing of them: their logits are zero.
    ///
    /// # Errors
    /// If the weights do not fit.
    pub fn calibrating(
        model: &ModelConfig,
        classes: usize,
        weights: &StateDict,
        images: usize,
    ) -> Result<Self> {
        let device = Backend::Cpu.open()?.device;
        let network = with_weights(Network::new(model, classes, &device)?, weights)?;
        let calibration = Mutex::new(Calibration::new(network.plan(model.channels)));
        let place = Place::Watched { calibration, most: images };
        Ok(Predictor::at(place, network, model))
    }

    /// What a [calibrating](Predictor::calibrating) one has found so far, by a rule.
    pub fn activation_ranges(&self, rule: RangeRule) -> Option<ActivationRanges> {
        let Place::Watched { calibration, .. } = &self.place else { return None };
        let calibration = calibration.lock().unwrap_or_else(PoisonError::into_inner);
        Some(ActivationRanges { images: calibration.images(), ranges: calibration.ranges(rule) })
    }

    fn in_integers(
        network: Network,
        device: Device,
        ranges: &[[f32; 2]],
        model: &ModelConfig,
    ) -> Result<Self> {
        let integers = IntegerNetwork::new(network.plan(model.channels), ranges)?;
        Ok(Predictor::at(Place::Integers { device, integers }, network, model))
    }

    pub(crate) fn on_graph(network: Network, device: Device, backend: Backend, model: &ModelConfig) -> Self {
        let network = if backend == Backend::Cpu { network.folded() } else { network };
        Predictor::at(Place::Graph { device, backend }, network, model)
    }

    fn at(place: Place, network: Network, model: &ModelConfig) -> Self {
        let parameters = network.num_params();
        Predictor { network, place, channels: Channels::of(model), parameters, flip: model.flip }
    }

    /// Its weights go to the device as they are now.
    pub(crate) fn on_gpu(network: Network, gpu: gpu::Device, model: &ModelConfig) -> Result<Self> {
        let place = Place::Gpu(gpu::Predictor::new(gpu, &network)?);
        Ok(Predictor::at(place, network, model))
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
                Ok(One::Done(self.in_parts(pixels, size, logits)))
            }
            Place::Integers { device, integers } => {
                let logits = |pixels: Pixels<'_>| {
                    host(self.classified(&self.integer_maps(integers, &pixels.normalised(), size), device))
                };
                Ok(One::Done(self.in_parts(pixels, size, logits)))
            }
            Place::Watched { calibration, most } => {
                let mut calibration = calibration.lock().unwrap_or_else(PoisonError::into_inner);
                let (images, shape) = self.planar(&pixels.normalised(), size);
                if calibration.images() < *most {
                    calibration.watch(&images, shape);
                }
                Ok(One::Done(vec![0.0; shape.images * self.network.classes()]))
            }
            Place::Gpu(predictor) => {
                Ok(One::Begun(Box::new(predictor.begin(&self.network, &self.images(pixels, size))?)))
            }
        }
    }

    /// Logits of parts of a batch: each of as many images as have maps like the weights. With fewer, weights pass by more
    /// often than they need; with more, maps go to memory and back instead of staying in the caches. An image's logits
    /// do not depend on it.
    fn in_parts(&self, pixels: Pixels<'_>, size: u32, logits: impl Fn(Pixels<'_>) -> Vec<f32>) -> Vec<f32> {
        /// Floats for a pixel of an image in the largest maps of the networks here.
        const FLOATS: usize = 16;
        let image = (size as usize).pow(2);
        let (images, most) = (pixels.len() / image, (self.parameters / (FLOATS * image)).max(1));
        // Parts of one size, as nearly as there can be: few images keep fewer threads busy.
        let part = images.div_ceil(images.div_ceil(most).max(1)).max(1);
        pixels.chunks(part * image).flat_map(logits).collect()
    }

    fn integer_maps<'a>(&self, integers: &'a IntegerNetwork, pixels: &[f32], size: u32) -> LastMaps<'a> {
        let (images, shape) = self.planar(pixels, size);
        integers.maps(&images, shape)
    }

    /// Images channel by channel.
    fn planar(&self, pixels: &[f32], size: u32) -> (Vec<f32>, PlanarShape) {
        let (width, channels) = (size as usize, self.channels.count);
        let images = pixels.len() / (width * width);
        (self.channels.planar(pixels, width), PlanarShape { images, channels, height: width, width })
    }

    /// Logits of the last maps.
    fn classified(&self, maps: &LastMaps, device: &Device) -> Tensor<2> {
        let means = maps.means();
        let features = maps.channels();
        let means_nf = TensorData::new(means, [maps.images(), features]);
        self.network.classify(Tensor::from_data(means_nf, device))
    }

    fn images<'a>(&self, pixels: impl Into<Pixels<'a>>, size: u32) -> gpu::Images<'a> {
        gpu::Images { pixels: pixels.into(), size: size as usize, channels: self.channels }
    }

    /// Embeddings `[n, features]` of normalised images `[n, 1, size, size]`: the means of the last maps, of which the last
    /// layer makes the logits. With a flip, the mean of those of an image and of its mirror image.
    ///
    /// # Errors
    /// If the device failed, as a GPU may.
    pub fn embeddings(&self, pixels: &[f32], size: u32) -> Result<Vec<f32>> {
        let plain = self.features(pixels, size)?;
        if !self.flip {
            return Ok(plain);
        }
        Ok(mean(plain, self.features(&mirrored(pixels, size as usize), size)?))
    }

    fn features(&self, pixels: &[f32], size: u32) -> Result<Vec<f32>> {
        Ok(match &self.place {
            Place::Graph { device, backend } => self.in_parts(Pixels::Floats(pixels), size, |pixels| {
                let images = images(&pixels.normalised(), size, &self.channels, device, *backend);
                host(self.network.features(images))
            }),
            Place::Integers { integers, .. } => self.in_parts(Pixels::Floats(pixels), size, |pixels| {
                self.integer_maps(integers, &pixels.normalised(), size).means()
            }),
            Place::Watched { .. } => unreachable!("a network that is only watched tells nothing of an image"),
            Place::Gpu(predictor) => {
                let (_, maps_nchw) = predictor.logits_and_maps(&self.network, &self.images(pixels, size))?;
                let [images, features, height, width] = maps_nchw.dims();
                let places_nfp = maps_nchw.reshape([images, features, height * width]);
                host(places_nfp.mean_dim(2).reshape([images, features]))
            }
        })
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
            Place::Integers { device, integers } => {
                let maps = self.integer_maps(integers, pixels, size);
                let (values, dimensions) = maps.values();
                let maps_nchw = Tensor::from_data(TensorData::new(values, dimensions), device);
                (host(self.classified(&maps, device)), self.network.class_maps(maps_nchw))
            }
            Place::Watched { .. } => unreachable!("a network that is only watched explains nothing"),
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
        return Maps::Cpu(cpu::images(pixels, size, channels, device.is_autodiff()));
    }
    let n = pixels.len() / (size * size);
    let planar = channels.planar(pixels, size);
    Maps::Nchw(Tensor::from_data(TensorData::new(planar, [n, count, size, size]), device))
}
