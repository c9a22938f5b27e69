//! A network with its loss, optimizer and device, behind slices: forward, backward, step, predict, and the
//! state that a checkpoint needs. Nothing that a step needs is read from the device, which may run behind.

use crate::architectures::Network;
use crate::average::Average;
use crate::backend::{Backend, DeviceInfo};
use crate::import::{names_only, recognise};
use crate::initialise::initialise;
use crate::layers::Maps;
use crate::losses::Targets;
use crate::optimizer::{Optimizer, Rates};
use crate::records::{StepRecord, Unread, is_finite};
use crate::weights::{check_fit, weights_of, with_weights};
use crate::{Error, Import, ImportOptions, Loss, ModelConfig, OptimizerConfig, Result, StateDict};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

/// Everything that makes a learner besides its seed.
#[derive(Clone, Debug)]
pub struct LearnerConfig {
    /// The network.
    pub model: ModelConfig,
    /// What to minimise.
    pub loss: Loss,
    /// How to step.
    pub optimizer: OptimizerConfig,
    /// Where to run.
    pub backend: Backend,
    /// Decay of the weights' moving average; 0 keeps none.
    pub average_decay: f32,
    /// How far training labels are pulled towards even odds, 0 to below 1; 0 leaves them.
    pub label_smoothing: f32,
    /// Share of positives among the known training labels, one per output. It sets the output bias to the
    /// log-odds, so that training starts from the base rates, and the weights of [`Loss::WeightedBce`].
    pub prevalence: Vec<f64>,
}

impl LearnerConfig {
    /// Defaults for that many outputs, with no knowledge of their prevalence.
    pub fn new(classes: usize) -> Self {
        LearnerConfig {
            model: ModelConfig::default(),
            loss: Loss::Bce,
            optimizer: OptimizerConfig::default(),
            backend: Backend::Cpu,
            average_decay: 0.0,
            label_smoothing: 0.0,
            prevalence: vec![0.5; classes],
        }
    }
}

/// Images and labels of one step.
#[derive(Clone, Copy, Debug)]
pub struct LabelledImages<'a> {
    /// Normalised gray pixels, `[n, 1, size, size]`, whatever the network's channels.
    pub images: &'a [f32],
    /// 0, 1 or NaN for unknown, `[n, classes]`.
    pub labels: &'a [f32],
    /// Width and height.
    pub size: u32,
}

/// A forward pass that awaits its backward pass.
pub struct Pass {
    logits: Tensor<2>,
    loss: Tensor<1>,
}

impl Pass {
    /// The batch's mean loss times its weight. Waits for a device that runs behind: training reads
    /// [`Learner::records`] instead.
    pub fn loss(&self) -> f32 {
        self.loss.clone().into_scalar()
    }

    /// The same pass, whose loss counts so much.
    pub fn weighted(self, weight: f32) -> Self {
        if weight == 1.0 {
            return self;
        }
        Pass { loss: self.loss.mul_scalar(weight), ..self }
    }

    /// Logits `[n, classes]` in training mode. Waits for a device that runs behind.
    pub fn logits(&self) -> Vec<f32> {
        self.logits.clone().into_data_as::<f32>().try_to_vec().expect("read as float32 just now")
    }
}

/// What a backward pass found, and the loss that it began with.
pub struct Gradients {
    of_parameters: burn::tensor::Gradients,
    loss: Tensor<1>,
}

/// A network in training.
pub struct Learner {
    /// The optimizer has it while it steps: what no one else holds is written in its place.
    network: Option<Network>,
    optimizer: Optimizer,
    average: Option<Average>,
    loss: Loss,
    positive_weights: Vec<f32>,
    label_smoothing: f32,
    device: Device,
    info: DeviceInfo,
    model: ModelConfig,
    steps: u64,
    backbone_rate: f64,
    unread: Unread,
}

impl Learner {
    /// Steps whose records a device keeps at most: [`Learner::records`] must be asked at least this often.
    pub const MAX_UNREAD: usize = 64;

    /// A fresh network. The same seed gives the same weights on every device.
    pub fn new(config: &LearnerConfig, seed: u64) -> Result<Self> {
        let (device, info) = config.backend.open()?;
        let device = device.autodiff();
        let network = Network::new(&config.model, config.prevalence.len(), &device)?;
        let mut weights = weights_of(&network);
        initialise(&mut weights, &network.initialisation(), seed);
        if let Some(bias) = weights.tensors.get_mut(&format!("{}.bias", network.head())) {
            bias.values = config.prevalence.iter().map(|&share| log_odds(share)).collect();
        }
        let network = with_weights(network, &weights)?;
        let average = (config.average_decay > 0.0).then(|| Average::new(config.average_decay, weights));
        Ok(Learner {
            network: Some(network),
            optimizer: Optimizer::new(config.optimizer.clone(), info.backend),
            average,
            loss: config.loss.clone(),
            positive_weights: config.prevalence.iter().map(|&p| config.loss.positive_weight(p)).collect(),
            label_smoothing: config.label_smoothing,
            device,
            info,
            model: config.model.clone(),
            steps: 0,
            backbone_rate: 1.0,
            unread: Unread::default(),
        })
    }

    /// Takes up weights that others trained, such as [`read_weights`](crate::read_weights) found. The moving average
    /// begins with them.
    pub fn import(&mut self, found: StateDict, options: ImportOptions) -> Result<Import> {
        let fresh = weights_of(&self.network().valid());
        let names = names_only(&found);
        let import = Import::new(&fresh, self.network().head(), found, &options)
            .map_err(|error| self.explained(error, &names))?;
        check_fit(self.network(), &import.weights)?;
        self.write(&import.weights)?;
        if let Some(average) = &mut self.average {
            average.weights = import.weights.clone();
        }
        Ok(import)
    }

    /// An error of weights, with whose they are if they are another network's.
    fn explained(&self, error: Error, names: &StateDict) -> Error {
        let other = || recognise(names).filter(|architecture| *architecture != self.model.architecture);
        match error {
            Error::MissingTensor { .. } | Error::UnknownTensor { .. } | Error::NothingFits => match other() {
                Some(architecture) => Error::OtherNetwork { architecture, problem: Box::new(error) },
                None => error,
            },
            error => error,
        }
    }

    /// The learning rate of all layers but the last, as a part of the last one's, from the next step on. At 0 they are
    /// frozen: they compute as in inference, and neither weights nor batch norm's statistics change.
    pub fn set_backbone_rate(&mut self, factor: f64) {
        self.backbone_rate = factor;
    }

    /// The device that was opened.
    pub fn device(&self) -> &DeviceInfo {
        &self.info
    }

    fn network(&self) -> &Network {
        self.network.as_ref().expect(NETWORK_IS_HERE)
    }

    /// How many weights training adjusts.
    pub fn num_parameters(&self) -> usize {
        let weights = weights_of(self.network());
        let trained = weights.tensors.iter().filter(|(name, _)| !name.contains(".running_"));
        trained.map(|(_, tensor)| tensor.values.len()).sum()
    }

    /// Logits and loss of a batch, in training mode.
    pub fn forward(&self, batch: &LabelledImages<'_>) -> Pass {
        let logits = if self.backbone_rate == 0.0 {
            let inner = self.device.clone().inner();
            let images = images(batch.images, batch.size, self.model.channels, &inner, self.info.backend);
            self.network().classify(Tensor::from_inner(self.network().valid().features(images)))
        } else {
            self.network().forward(self.images(batch.images, batch.size))
        };
        let targets = Targets::new(batch.labels, &self.positive_weights, self.label_smoothing, &self.device);
        let loss = self.loss.mean(logits.clone(), &targets);
        Pass { logits: logits.inner(), loss }
    }

    /// Gradients of the loss by every parameter.
    pub fn backward(&self, pass: Pass) -> Gradients {
        let loss = pass.loss.clone().inner();
        Gradients { of_parameters: pass.loss.backward(), loss }
    }

    /// The sum of two passes' gradients, and of their losses.
    pub fn add(&self, sum: Gradients, more: Gradients) -> Gradients {
        let mut adder = Adder { sum: sum.of_parameters, more: more.of_parameters };
        self.network().visit(&mut adder);
        Gradients { of_parameters: adder.sum, loss: sum.loss + more.loss }
    }

    /// One optimizer step, of which [`Learner::records`] tells. Where the device does not run behind, a step whose loss
    /// or gradients are not finite changes nothing.
    pub fn step(&mut self, gradients: Gradients, learning_rate: f64) {
        let Gradients { of_parameters, loss } = gradients;
        let norm = self.optimizer.global_norm(self.network(), &of_parameters);
        self.unread.push(loss.clone(), norm.clone());
        if !self.runs_behind() && !(is_finite(loss) && is_finite(norm.clone())) {
            return;
        }
        let network = self.network.take().expect(NETWORK_IS_HERE);
        let rates = Rates {
            head: network.head(),
            head_rate: learning_rate,
            backbone_rate: learning_rate * self.backbone_rate,
        };
        let network = self.optimizer.step(network, of_parameters, norm, &rates);
        self.steps += 1;
        if let Some(average) = &mut self.average {
            average.update(&weights_of(&network.valid()), self.steps);
        }
        self.network = Some(network);
    }

    /// Loss and gradient norm of each step since the last call, oldest first. Waits for a device that runs behind.
    ///
    /// # Errors
    /// What the device reports of anything since the last read.
    pub fn records(&mut self) -> Result<Vec<StepRecord>> {
        self.unread.read()
    }

    /// Whether steps return before the device has taken them, so that [`Learner::records`] waits for it: a GPU. The CPU
    /// has taken a step when [`Learner::step`] returns.
    pub fn runs_behind(&self) -> bool {
        self.info.backend.runs_behind()
    }

    /// Logits `[n, classes]` of normalised images `[n, 1, size, size]`, in inference mode, with the averaged
    /// weights where an average is kept.
    pub fn predict(&self, images: &[f32], size: u32) -> Vec<f32> {
        self.predictor().predict(images, size)
    }

    /// A copy for evaluation, with the averaged weights where an average is kept.
    pub fn predictor(&self) -> Predictor {
        let network = self.network().valid();
        let network = match &self.average {
            Some(average) => {
                with_weights(network, &average.weights).expect("the average holds this network's tensors")
            }
            None => network,
        };
        Predictor::of(network, self.device.clone().inner(), self.info.backend, &self.model)
    }

    fn images(&self, pixels: &[f32], size: u32) -> Maps {
        images(pixels, size, self.model.channels, &self.device, self.info.backend)
    }

    /// The weights to keep: the averaged ones where an average is kept.
    pub fn weights(&self) -> StateDict {
        match &self.average {
            Some(average) => average.weights.clone(),
            None => weights_of(&self.network().valid()),
        }
    }

    /// All that training needs to go on: weights, optimizer, average.
    pub fn state(&self) -> StateDict {
        let mut state = StateDict::default();
        state.extend_prefixed(NETWORK, weights_of(&self.network().valid()));
        state.extend_prefixed(OPTIMIZER, self.optimizer.state());
        if let Some(average) = &self.average {
            state.extend_prefixed(AVERAGE, average.weights.clone());
        }
        state
    }

    /// Takes up what [`Learner::state`] gave after `steps` steps.
    pub fn restore(&mut self, state: &StateDict, steps: u64) -> Result<()> {
        let weights = state.with_prefix(NETWORK);
        weights.check_finite()?;
        check_fit(self.network(), &weights)?;
        let average = state.with_prefix(AVERAGE);
        if self.average.is_some() {
            check_fit(self.network(), &average)?;
        }
        self.optimizer.restore(&state.with_prefix(OPTIMIZER), &self.device.clone().inner())?;
        self.steps = steps;
        if let Some(kept) = &mut self.average {
            kept.weights = average;
        }
        self.write(&weights)
    }

    /// Gives the network weights that were seen to fit.
    fn write(&mut self, weights: &StateDict) -> Result<()> {
        let network = self.network.take().expect(NETWORK_IS_HERE);
        self.network = Some(with_weights(network, weights)?);
        Ok(())
    }
}

struct Adder {
    sum: burn::tensor::Gradients,
    more: burn::tensor::Gradients,
}

impl ModuleVisitor for Adder {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let weight = param.val();
        let Some(more) = weight.grad_remove(&mut self.more) else { return };
        let sum = match weight.grad_remove(&mut self.sum) {
            Some(sum) => sum + more,
            None => more,
        };
        weight.grad_replace(&mut self.sum, sum);
    }
}

/// A network that only predicts.
pub struct Predictor {
    network: Network,
    device: Device,
    backend: Backend,
    channels: usize,
    flip: bool,
}

impl Predictor {
    /// From the weights that [`Learner::weights`] gave.
    pub fn new(model: &ModelConfig, classes: usize, weights: &StateDict, backend: Backend) -> Result<Self> {
        let (device, DeviceInfo { backend, .. }) = backend.open()?;
        let network = with_weights(Network::new(model, classes, &device)?, weights)?;
        Ok(Predictor::of(network, device, backend, model))
    }

    fn of(network: Network, device: Device, backend: Backend, model: &ModelConfig) -> Self {
        let network = if backend == Backend::Cpu { network.folded() } else { network };
        Predictor { network, device, backend, channels: model.channels, flip: model.flip }
    }

    fn images(&self, pixels: &[f32], size: u32) -> Maps {
        images(pixels, size, self.channels, &self.device, self.backend)
    }

    /// Logits `[n, classes]` of normalised images `[n, 1, size, size]`.
    pub fn predict(&self, pixels: &[f32], size: u32) -> Vec<f32> {
        let logits = self.logits(pixels, size);
        if !self.flip {
            return logits;
        }
        mean(logits, self.logits(&mirrored(pixels, size as usize), size))
    }

    fn logits(&self, pixels: &[f32], size: u32) -> Vec<f32> {
        let logits = self.network.forward(self.images(pixels, size));
        logits.into_data_as::<f32>().try_to_vec().expect("read as float32 just now")
    }

    /// Class activation maps (Zhou et al., CVPR 2016) of normalised images `[n, 1, size, size]`: what each place
    /// of the image adds to each logit. The mean of a map is the logit.
    pub fn activation_maps(&self, pixels: &[f32], size: u32) -> ActivationMaps {
        self.predict_with_maps(pixels, size).1
    }

    /// [`Predictor::predict`] and [`Predictor::activation_maps`] in one pass over the network.
    pub fn predict_with_maps(&self, pixels: &[f32], size: u32) -> (Vec<f32>, ActivationMaps) {
        let (logits, maps) = self.logits_and_maps(pixels, size);
        if !self.flip {
            return (logits, maps);
        }
        let (of_mirrored, mirrored_maps) = self.logits_and_maps(&mirrored(pixels, size as usize), size);
        let values = mean(maps.values, mirrored(&mirrored_maps.values, maps.width));
        (mean(logits, of_mirrored), ActivationMaps { values, ..maps })
    }

    fn logits_and_maps(&self, pixels: &[f32], size: u32) -> (Vec<f32>, ActivationMaps) {
        let (logits, maps) = self.network.forward_with_maps(self.images(pixels, size));
        let [_, classes, height, width] = maps.dims();
        let values = |data: TensorData| data.try_to_vec().expect("read as float32 just now");
        let maps = ActivationMaps { values: values(maps.into_data_as::<f32>()), classes, height, width };
        (values(logits.into_data_as::<f32>()), maps)
    }
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

const NETWORK_IS_HERE: &str = "a step that took it has put it back";

const NETWORK: &str = "network.";
const OPTIMIZER: &str = "optimizer.";
const AVERAGE: &str = "average.";

/// Each row of `width` from its end.
fn mirrored(pixels: &[f32], width: usize) -> Vec<f32> {
    pixels.chunks(width).flat_map(|row| row.iter().rev()).copied().collect()
}

fn mean(a: Vec<f32>, b: Vec<f32>) -> Vec<f32> {
    a.into_iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect()
}

/// `[n, channels, size, size]`: every channel holds the gray image.
fn images(pixels: &[f32], size: u32, channels: usize, device: &Device, backend: Backend) -> Maps {
    let size = size as usize;
    let pixels = pixels.chunks(size * size).flat_map(|image| std::iter::repeat_n(image, channels)).flatten();
    let pixels: Vec<_> = pixels.copied().collect();
    let n = pixels.len() / (channels * size * size);
    Maps::of_images(Tensor::from_data(TensorData::new(pixels, [n, channels, size, size]), device), backend)
}

/// ln(p / (1 − p)), held within ±log-odds of 1 in 10,000 for labels that never or always occur.
fn log_odds(prevalence: f64) -> f32 {
    let p = prevalence.clamp(1e-4, 1.0 - 1e-4);
    (p / (1.0 - p)).ln() as f32
}
