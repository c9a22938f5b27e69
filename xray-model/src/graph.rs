//! A network in training by burn's graph: by burn's own operations, or on the CPU by those of `cpu/`.

use crate::architectures::Network;
use crate::average::Average;
use crate::backend::Backend;
use crate::channels::Channels;
use crate::losses::Targets;
use crate::optimizer::{Optimizer, Rates};
use crate::predictor::images;
use crate::records::{StepRecord, Unread, is_finite};
use crate::weights::{weights_of, with_weights};
use crate::{LabelledImages, LearnerConfig, Loss, Result, StateDict};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};

/// Everything of a network in training.
pub(crate) struct Trainer {
    /// The optimizer has it while it steps: what no one else holds is written in its place.
    network: Option<Network>,
    optimizer: Optimizer,
    average: Option<Average>,
    loss: Loss,
    positive_weights: Vec<f32>,
    label_smoothing: f32,
    /// Of the images' copies of the gray value.
    channels: Channels,
    device: Device,
    backend: Backend,
    steps: u64,
    unread: Unread,
}

/// A forward pass.
pub(crate) struct Pass {
    logits: Tensor<2>,
    loss: Tensor<1>,
}

/// What a backward pass found, and the loss that it began with.
pub(crate) struct Gradients {
    of_parameters: burn::tensor::Gradients,
    loss: Tensor<1>,
}

impl Trainer {
    /// A network with its weights, on a device that records gradients.
    pub(crate) fn new(network: Network, config: &LearnerConfig, device: Device, backend: Backend) -> Self {
        let decay = config.average_decay;
        Trainer {
            optimizer: Optimizer::new(config.optimizer.clone(), backend, &network),
            average: (decay > 0.0).then(|| Average::new(decay, weights_of(&network.valid()))),
            loss: config.loss.clone(),
            positive_weights: config.positive_weights(),
            label_smoothing: config.label_smoothing,
            channels: Channels::of(&config.model),
            network: Some(network),
            device,
            backend,
            steps: 0,
            unread: Unread::default(),
        }
    }

    pub(crate) fn device(&self) -> Device {
        self.device.clone()
    }

    pub(crate) fn network(&self) -> &Network {
        self.network.as_ref().expect(NETWORK_IS_HERE)
    }

    /// Its passes record nothing from now on. What is recorded is kept until a backward pass, which then never comes.
    pub(crate) fn hold(&mut self) {
        self.network = self.network.take().map(Module::no_grad);
    }

    pub(crate) fn forward(&self, batch: &LabelledImages<'_>, is_frozen: bool) -> Pass {
        let pixels = batch.images.normalised();
        let images = |device: &Device| images(&pixels, batch.size, &self.channels, device, self.backend);
        let logits = if is_frozen {
            let features = self.network().valid().features(images(&self.device.clone().inner()));
            self.network().classify(Tensor::from_inner(features))
        } else {
            self.network().forward(images(&self.device))
        };
        let targets = Targets::new(batch.labels, &self.positive_weights, self.label_smoothing, &self.device);
        let loss = self.loss.mean(logits.clone(), &targets);
        Pass { logits: logits.inner(), loss }
    }

    pub(crate) fn backward(&self, pass: Pass) -> Gradients {
        let loss = pass.loss.clone().inner();
        Gradients { of_parameters: pass.loss.backward(), loss }
    }

    pub(crate) fn add(&self, sum: Gradients, more: Gradients) -> Gradients {
        let mut adder = Adder { sum: sum.of_parameters, more: more.of_parameters };
        self.network().visit(&mut adder);
        Gradients { of_parameters: adder.sum, loss: sum.loss + more.loss }
    }

    pub(crate) fn step(&mut self, gradients: Gradients, [backbone_rate, head_rate]: [f64; 2]) {
        let Gradients { of_parameters, loss } = gradients;
        let network = self.network.take().expect(NETWORK_IS_HERE);
        let rates = Rates { head: network.head(), head_rate, backbone_rate };
        let (network, is_taken) = self.optimizer.step(network, of_parameters, &rates, |norm| {
            self.unread.push(loss.clone(), norm.clone());
            self.backend.runs_behind() || is_finite(loss) && is_finite(norm.clone())
        });
        if is_taken {
            self.steps += 1;
            if let Some(average) = &mut self.average {
                average.update(&weights_of(&network.valid()), self.steps);
            }
        }
        self.network = Some(network);
    }

    pub(crate) fn records(&mut self) -> Result<Vec<StepRecord>> {
        self.unread.read()
    }

    /// The network for evaluation, with weights that fit in place of its own where some are given.
    pub(crate) fn evaluated(&self, weights: Option<&StateDict>) -> Result<Network> {
        let network = self.network().valid();
        match weights {
            Some(weights) => with_weights(network, weights),
            None => Ok(network),
        }
    }

    pub(crate) fn weights(&self) -> StateDict {
        weights_of(&self.network().valid())
    }

    pub(crate) fn average(&self) -> Option<&StateDict> {
        self.average.as_ref().map(|average| &average.weights)
    }

    /// What the optimizer keeps.
    pub(crate) fn optimizer_state(&self) -> StateDict {
        self.optimizer.state()
    }

    /// Takes up weights that were seen to fit; the moving average, where one is kept, is then `average`.
    pub(crate) fn write(&mut self, weights: &StateDict, average: &StateDict) -> Result<()> {
        let network = self.network.take().expect(NETWORK_IS_HERE);
        self.network = Some(with_weights(network, weights)?);
        if let Some(kept) = &mut self.average {
            kept.weights = average.clone();
        }
        Ok(())
    }

    /// Takes up what the optimizer kept, after so many steps.
    pub(crate) fn restore_optimizer(&mut self, state: &StateDict, steps: u64) -> Result<()> {
        self.steps = steps;
        self.optimizer.restore(state, &self.device.clone().inner())
    }
}

impl Pass {
    /// Whether a backward pass would find a gradient.
    #[cfg(test)]
    pub(crate) fn is_recorded(&self) -> bool {
        self.loss.is_tracked()
    }

    pub(crate) fn loss(&self) -> f32 {
        self.loss.clone().into_scalar()
    }

    pub(crate) fn weighted(self, weight: f32) -> Self {
        if weight == 1.0 { self } else { Pass { loss: self.loss.mul_scalar(weight), ..self } }
    }

    pub(crate) fn logits(&self) -> Vec<f32> {
        self.logits.clone().into_data_as::<f32>().try_to_vec().expect("read as float32 just now")
    }
}

const NETWORK_IS_HERE: &str = "a step that took it has put it back";

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
