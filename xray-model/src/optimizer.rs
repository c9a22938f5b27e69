//! Adam, AdamW and SGD with the clipping of the gradients' global norm. Own code, because a checkpoint must
//! name each parameter's state (burn keys it by an id drawn anew in every process) and because burn clips
//! each tensor by itself.

use crate::architectures::Network;
use crate::cpu;
use crate::weights::{Place, to_data, to_host};
use crate::{Backend, Error, HostTensor, Result, StateDict};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xray_kernels::AdamStep;

/// How gradients become steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Which rule.
    pub algorithm: Algorithm,
    /// Decay of the mean of the gradients (Adam's β₁), or SGD's momentum.
    pub momentum: f32,
    /// Decay of the mean of their squares (Adam's β₂).
    pub beta2: f32,
    /// Added to the root of the mean square.
    pub epsilon: f32,
    /// AdamW: the weights shrink by this times the learning rate. Adam and SGD: added to the gradient.
    /// Biases and batch norm are left out.
    pub weight_decay: f32,
    /// The gradients are scaled down to this global norm; 0 leaves them.
    pub clip_norm: f32,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            algorithm: Algorithm::Adam,
            momentum: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: 0.0,
        }
    }
}

/// The update rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Kingma & Ba 2015.
    #[default]
    Adam,
    /// Loshchilov & Hutter 2019: decay apart from the gradient.
    AdamW,
    /// With momentum, as PyTorch defines it.
    Sgd,
}

/// The rule and what it remembers of each parameter.
pub(crate) struct Optimizer {
    config: OptimizerConfig,
    backend: Backend,
    /// Steps taken.
    steps: u64,
    /// Flattened, by parameter name.
    moments: BTreeMap<String, Moments>,
}

#[derive(Clone)]
struct Moments {
    mean: Tensor<1>,
    mean_square: Option<Tensor<1>>,
}

/// Learning rates of a step.
pub(crate) struct Rates {
    /// The name of the last layer.
    pub(crate) head: &'static str,
    pub(crate) head_rate: f64,
    /// Of all other layers.
    pub(crate) backbone_rate: f64,
}

impl Rates {
    fn of(&self, parameter: &str) -> f64 {
        let in_head = parameter.strip_prefix(self.head).is_some_and(|rest| rest.starts_with('.'));
        if in_head { self.head_rate } else { self.backbone_rate }
    }
}

/// How far a parameter goes.
struct StepSize {
    learning_rate: f64,
    scale: Scale,
    /// Weight decay.
    decay: f64,
}

/// What the gradients are multiplied by before anything else.
#[derive(Clone)]
enum Scale {
    Known(f32),
    /// `[1]`, on a device that would have to be waited for.
    OnDevice(Box<Tensor<1>>),
}

impl Scale {
    fn apply(self, gradient: Tensor<1>) -> Tensor<1> {
        match self {
            Scale::Known(1.0) => gradient,
            Scale::Known(scale) => gradient.mul_scalar(scale),
            Scale::OnDevice(scale) => gradient * *scale,
        }
    }
}

impl Optimizer {
    /// For parameters on the device that `backend` opened.
    pub(crate) fn new(config: OptimizerConfig, backend: Backend) -> Self {
        Optimizer { config, backend, steps: 0, moments: BTreeMap::new() }
    }

    /// Root of the sum of squares over all gradients, `[1]`.
    pub(crate) fn global_norm(&self, network: &Network, gradients: &Gradients) -> Tensor<1> {
        let mut found = Found { gradients, of_parameters: Vec::new() };
        network.visit(&mut found);
        if self.on_cpu() {
            let sum = cpu::squares(found.of_parameters);
            return Tensor::from_floats([sum.sqrt() as f32], &Device::flex());
        }
        // Not read: a GPU would be waited for.
        let squares = found.of_parameters.into_iter().map(|gradient| (gradient.clone() * gradient).sum());
        let sum = squares.reduce(|sum, squares| sum + squares);
        sum.map_or_else(|| Tensor::from_floats([0.0], &Device::flex()), Tensor::sqrt)
    }

    /// One step along gradients of that global norm.
    pub(crate) fn step(
        &mut self,
        network: Network,
        mut gradients: Gradients,
        norm: Tensor<1>,
        rates: &Rates,
    ) -> Network {
        let scale = self.scale(norm);
        self.steps += 1;
        let place = || Place::in_network(&network);
        if let Scale::Known(scale) = scale
            && self.on_cpu()
            && self.config.algorithm != Algorithm::Sgd
        {
            let (mut take, mut put) = (
                Take { gradients: &mut gradients, place: place(), taken: Vec::new() },
                Put { place: place(), values: BTreeMap::new() },
            );
            let network = network.map(&mut take);
            put.values = self.adam_on_cpu(take.taken, rates, scale);
            return network.map(&mut put);
        }
        let place = place();
        network.map(&mut Step { optimizer: self, gradients: &mut gradients, rates, scale, place })
    }

    /// Scales a larger norm down to `clip_norm`.
    fn scale(&self, norm: Tensor<1>) -> Scale {
        let clip = self.config.clip_norm;
        if clip <= 0.0 {
            return Scale::Known(1.0);
        }
        if self.backend.runs_behind() {
            return Scale::OnDevice(Box::new(norm.full_like(clip) / norm.clamp_min(clip)));
        }
        let norm = norm.into_scalar::<f32>();
        Scale::Known(if norm > clip { clip / norm } else { 1.0 })
    }

    /// Whether the kernels of this processor take the steps of Adam.
    fn on_cpu(&self) -> bool {
        self.backend == Backend::Cpu
    }

    /// What a checkpoint keeps.
    pub(crate) fn state(&self) -> StateDict {
        let mut dict = steps_as_state(self.steps);
        for (name, moments) in &self.moments {
            dict.tensors.insert(format!("{MEAN}{name}"), to_host(moments.mean.clone()));
            if let Some(mean_square) = &moments.mean_square {
                dict.tensors.insert(format!("{MEAN_SQUARE}{name}"), to_host(mean_square.clone()));
            }
        }
        dict
    }

    /// Takes up what [`Optimizer::state`] gave.
    pub(crate) fn restore(&mut self, dict: &StateDict, device: &Device) -> Result<()> {
        self.steps = steps_of_state(dict)?;
        let tensor = |host: &HostTensor| Tensor::from_data(to_data(host), device);
        self.moments = dict
            .with_prefix(MEAN)
            .tensors
            .iter()
            .map(|(name, mean)| {
                let mean_square = dict.tensors.get(&format!("{MEAN_SQUARE}{name}")).map(tensor);
                (name.clone(), Moments { mean: tensor(mean), mean_square })
            })
            .collect();
        Ok(())
    }

    /// The new value of one flattened parameter.
    fn update(&mut self, name: &str, value: Tensor<1>, gradient: Tensor<1>, step: StepSize) -> Tensor<1> {
        let StepSize { learning_rate, scale, decay } = step;
        let gradient = scale.apply(gradient);
        match self.config.algorithm {
            Algorithm::AdamW => {
                let kept = value.mul_scalar(1.0 - learning_rate * decay);
                kept - self.adam(name, gradient, learning_rate)
            }
            Algorithm::Adam => {
                value.clone() - self.adam(name, decayed(gradient, value, decay), learning_rate)
            }
            Algorithm::Sgd => {
                let direction = self.accumulate(name, decayed(gradient, value.clone(), decay));
                value - direction.mul_scalar(learning_rate)
            }
        }
    }

    /// Adam's or AdamW's next step along gradients as they are.
    fn adam_step(&self, learning_rate: f64, decay: f64) -> AdamStep {
        let OptimizerConfig { algorithm, momentum, beta2, epsilon, .. } = self.config;
        let (weight_decay, decoupled_decay) =
            if algorithm == Algorithm::AdamW { (0.0, decay) } else { (decay, 0.0) };
        AdamStep {
            learning_rate,
            beta1: f64::from(momentum),
            beta2: f64::from(beta2),
            epsilon: f64::from(epsilon),
            step: self.steps,
            gradient_scale: 1.0,
            weight_decay,
            decoupled_decay,
        }
    }

    /// The new values of parameters, by their names.
    fn adam_on_cpu(&mut self, taken: Vec<Taken>, rates: &Rates, scale: f32) -> BTreeMap<String, Tensor<1>> {
        let (mut names, mut parameters) = (Vec::new(), Vec::new());
        for Taken { name, decays, value, gradient } in taken {
            let step = self.adam_step(rates.of(&name), self.decay(decays));
            let zeros = || Tensor::zeros(value.shape(), &value.device());
            let old = self.moments.remove(&name);
            let (mean, mean_square) = old.map_or((None, None), |old| (Some(old.mean), old.mean_square));
            let moments = [mean.unwrap_or_else(zeros), mean_square.unwrap_or_else(zeros)];
            let step = AdamStep { gradient_scale: scale, ..step };
            parameters.push(cpu::AdamTensors { step, weights: value, gradient, moments });
            names.push(name);
        }
        let updated = names.into_iter().zip(cpu::adam(parameters));
        let updated = updated.map(|(name, (value, [mean, mean_square]))| {
            self.moments.insert(name.clone(), Moments { mean, mean_square: Some(mean_square) });
            (name, value)
        });
        updated.collect()
    }

    /// Kernels and matrices decay; biases and batch norm do not.
    fn decay(&self, decays: bool) -> f64 {
        if decays { f64::from(self.config.weight_decay) } else { 0.0 }
    }

    fn adam(&mut self, name: &str, gradient: Tensor<1>, learning_rate: f64) -> Tensor<1> {
        let OptimizerConfig { momentum, beta2, epsilon, .. } = self.config;
        let (beta1, beta2) = (f64::from(momentum), f64::from(beta2));
        let old = self.moments.remove(name);
        let (mean, mean_square) = old.map_or((None, None), |old| (Some(old.mean), old.mean_square));
        let mean = blend(mean, gradient.clone(), beta1);
        let mean_square = blend(mean_square, gradient.clone() * gradient, beta2);
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (correction1, correction2) = (1.0 - beta1.powi(steps), 1.0 - beta2.powi(steps));
        let root = mean_square.clone().sqrt().mul_scalar(1.0 / correction2.sqrt()).add_scalar(epsilon);
        let step = mean.clone().mul_scalar(learning_rate / correction1) / root;
        self.moments.insert(name.to_owned(), Moments { mean, mean_square: Some(mean_square) });
        step
    }

    fn accumulate(&mut self, name: &str, gradient: Tensor<1>) -> Tensor<1> {
        let momentum = self.config.momentum;
        let direction = match self.moments.remove(name) {
            Some(old) => old.mean.mul_scalar(momentum) + gradient,
            None => gradient,
        };
        if momentum > 0.0 {
            self.moments.insert(name.to_owned(), Moments { mean: direction.clone(), mean_square: None });
        }
        direction
    }
}

/// In a checkpoint: the number of steps, and what stands before the names of parameters.
const STEPS: &str = "steps";
pub(crate) const MEAN: &str = "mean.";
pub(crate) const MEAN_SQUARE: &str = "mean_square.";

/// The beginning of an optimizer's state: two halves that float32 holds exactly.
pub(crate) fn steps_as_state(steps: u64) -> StateDict {
    let halves = vec![(steps >> 20) as f32, (steps & 0xf_ffff) as f32];
    let halves = HostTensor { shape: vec![2], values: halves };
    StateDict { tensors: [(STEPS.to_owned(), halves)].into() }
}

/// The steps that a state tells of.
pub(crate) fn steps_of_state(state: &StateDict) -> Result<u64> {
    let halves = state.tensors.get(STEPS).filter(|halves| halves.values.len() == 2);
    let halves = halves.ok_or_else(|| Error::MissingTensor { name: STEPS.to_owned() })?;
    Ok(((halves.values[0] as u64) << 20) | halves.values[1] as u64)
}

fn decayed(gradient: Tensor<1>, value: Tensor<1>, decay: f64) -> Tensor<1> {
    if decay == 0.0 { gradient } else { gradient + value.mul_scalar(decay) }
}

fn blend(old: Option<Tensor<1>>, new: Tensor<1>, kept: f64) -> Tensor<1> {
    let fresh = new.mul_scalar(1.0 - kept);
    match old {
        Some(old) => old.mul_scalar(kept) + fresh,
        None => fresh,
    }
}

struct Step<'a> {
    optimizer: &'a mut Optimizer,
    gradients: &'a mut Gradients,
    rates: &'a Rates,
    scale: Scale,
    place: Place,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = param.val().grad_remove(self.gradients) else { return param };
        param.map(|old| {
            let shape = old.dims();
            let (name, value) = (self.place.name(), old.inner().reshape([-1]));
            let decay = self.optimizer.decay(D > 1);
            let step = StepSize { learning_rate: self.rates.of(&name), scale: self.scale.clone(), decay };
            let updated = self.optimizer.update(&name, value, gradient.reshape([-1]), step);
            Tensor::from_inner(updated.reshape(shape)).require_grad()
        })
    }
}

/// A parameter taken out of its network, flattened.
struct Taken {
    name: String,
    decays: bool,
    value: Tensor<1>,
    gradient: Tensor<1>,
}

/// Takes the parameters that have gradients out of a network, so that nobody else holds them and they are updated where
/// they lie. Their shapes stay.
struct Take<'a> {
    gradients: &'a mut Gradients,
    place: Place,
    taken: Vec<Taken>,
}

impl ModuleMapper for Take<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = param.val().grad_remove(self.gradients) else { return param };
        param.map(|old| {
            // One value in the shape of many.
            let stand_in = Tensor::<D>::zeros([1; D], &old.device()).expand(old.dims());
            let (value, gradient) = (old.inner().reshape([-1]), gradient.reshape([-1]));
            self.taken.push(Taken { name: self.place.name(), decays: D > 1, value, gradient });
            stand_in
        })
    }
}

/// Puts parameters back.
struct Put {
    place: Place,
    values: BTreeMap<String, Tensor<1>>,
}

impl ModuleMapper for Put {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(value) = self.values.remove(&self.place.name()) else { return param };
        param.map(|old| Tensor::from_inner(value.reshape(old.dims())).require_grad())
    }
}

/// Collects gradients, flattened.
struct Found<'a> {
    gradients: &'a Gradients,
    of_parameters: Vec<Tensor<1>>,
}

impl ModuleVisitor for Found<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients);
        self.of_parameters.extend(gradient.map(|gradient| gradient.reshape([-1])));
    }
}
