//! Adam, AdamW and SGD with the clipping of the gradients' global norm. Own code, because a checkpoint must
//! name each parameter's state (burn keys it by an id drawn anew in every process) and because burn clips
//! each tensor by itself.

use crate::architectures::Network;
use crate::cpu;
use crate::weights::{names_of, to_data, to_host};
use crate::{Backend, Error, HostTensor, Result, StateDict};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Gradients, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
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
    /// Of the network's parameters.
    names: HashMap<ParamId, String>,
    /// Steps taken.
    steps: u64,
    /// Flattened.
    moments: HashMap<ParamId, Moments>,
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
    /// For the parameters of a network on the device that `backend` opened.
    pub(crate) fn new(config: OptimizerConfig, backend: Backend, network: &Network) -> Self {
        Optimizer { config, backend, names: names_of(network), steps: 0, moments: HashMap::new() }
    }

    /// One step along gradients, if `accepted` says so of the root of the sum of their squares, `[1]`. Gives the network
    /// back, and whether the step was taken.
    pub(crate) fn step(
        &mut self,
        network: Network,
        mut gradients: Gradients,
        rates: &Rates,
        accepted: impl FnOnce(&Tensor<1>) -> bool,
    ) -> (Network, bool) {
        if self.backend == Backend::Cpu && self.config.algorithm != Algorithm::Sgd {
            return self.adam_on_cpu(network, gradients, rates, accepted);
        }
        let mut found = Found { gradients: &gradients, of_parameters: Vec::new() };
        network.visit(&mut found);
        let norm = self.global_norm(found.of_parameters);
        if !accepted(&norm) {
            return (network, false);
        }
        let scale = self.scale(norm);
        self.steps += 1;
        (network.map(&mut Step { optimizer: self, gradients: &mut gradients, rates, scale }), true)
    }

    /// Root of the sum of squares over all gradients, `[1]`.
    fn global_norm(&self, gradients: Vec<Tensor<1>>) -> Tensor<1> {
        if self.backend == Backend::Cpu {
            let sum = cpu::squares(gradients);
            return Tensor::from_floats([sum.sqrt() as f32], &Device::flex());
        }
        // Not read: a GPU would be waited for.
        let squares = gradients.into_iter().map(|gradient| (gradient.clone() * gradient).sum());
        let sum = squares.reduce(|sum, squares| sum + squares);
        sum.map_or_else(|| Tensor::from_floats([0.0], &Device::flex()), Tensor::sqrt)
    }

    /// A step of Adam or AdamW by the kernels of this processor, which update all parameters where they lie.
    fn adam_on_cpu(
        &mut self,
        network: Network,
        mut gradients: Gradients,
        rates: &Rates,
        accepted: impl FnOnce(&Tensor<1>) -> bool,
    ) -> (Network, bool) {
        let mut take = Take { gradients: &mut gradients, taken: Vec::with_capacity(self.names.len()) };
        let (network, taken) = (network.map(&mut take), take.taken);
        let norm = self.global_norm(taken.iter().map(|taken| taken.gradient.clone()).collect());
        let is_accepted = accepted(&norm);
        let values = if is_accepted {
            let Scale::Known(scale) = self.scale(norm) else { unreachable!("a CPU is waited for") };
            self.steps += 1;
            self.updated(taken, rates, scale)
        } else {
            taken.into_iter().map(|Taken { id, value, .. }| (id, value)).collect()
        };
        (network.map(&mut Put { values }), is_accepted)
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

    /// What a checkpoint keeps.
    pub(crate) fn state(&self) -> StateDict {
        let mut dict = steps_as_state(self.steps);
        for (id, moments) in &self.moments {
            let name = &self.names[id];
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
        let tensor = |prefix: &str, name: &str| {
            let host = dict.tensors.get(&format!("{prefix}{name}"));
            host.map(|host| Tensor::from_data(to_data(host), device))
        };
        let moments = self.names.iter().filter_map(|(id, name)| {
            let mean = tensor(MEAN, name)?;
            Some((*id, Moments { mean, mean_square: tensor(MEAN_SQUARE, name) }))
        });
        self.moments = moments.collect();
        Ok(())
    }

    /// The new value of one flattened parameter.
    fn update(&mut self, id: ParamId, value: Tensor<1>, gradient: Tensor<1>, step: StepSize) -> Tensor<1> {
        let StepSize { learning_rate, scale, decay } = step;
        let gradient = scale.apply(gradient);
        match self.config.algorithm {
            Algorithm::AdamW => {
                let kept = value.mul_scalar(1.0 - learning_rate * decay);
                kept - self.adam(id, gradient, learning_rate)
            }
            Algorithm::Adam => value.clone() - self.adam(id, decayed(gradient, value, decay), learning_rate),
            Algorithm::Sgd => {
                let direction = self.accumulate(id, decayed(gradient, value.clone(), decay));
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

    /// The new values of parameters.
    fn updated(&mut self, taken: Vec<Taken>, rates: &Rates, scale: f32) -> HashMap<ParamId, Tensor<1>> {
        let (mut ids, mut parameters) = (Vec::new(), Vec::new());
        for Taken { id, decays, value, gradient } in taken {
            let step = self.adam_step(rates.of(&self.names[&id]), self.decay(decays));
            let zeros = || Tensor::zeros(value.shape(), &value.device());
            let old = self.moments.remove(&id);
            let (mean, mean_square) = old.map_or((None, None), |old| (Some(old.mean), old.mean_square));
            let moments = [mean.unwrap_or_else(zeros), mean_square.unwrap_or_else(zeros)];
            let step = AdamStep { gradient_scale: scale, ..step };
            parameters.push(cpu::AdamTensors { step, weights: value, gradient, moments });
            ids.push(id);
        }
        let updated = ids.into_iter().zip(cpu::adam(parameters));
        let updated = updated.map(|(id, (value, [mean, mean_square]))| {
            self.moments.insert(id, Moments { mean, mean_square: Some(mean_square) });
            (id, value)
        });
        updated.collect()
    }

    /// Kernels and matrices decay; biases and batch norm do not.
    fn decay(&self, decays: bool) -> f64 {
        if decays { f64::from(self.config.weight_decay) } else { 0.0 }
    }

    fn adam(&mut self, id: ParamId, gradient: Tensor<1>, learning_rate: f64) -> Tensor<1> {
        let OptimizerConfig { momentum, beta2, epsilon, .. } = self.config;
        let (beta1, beta2) = (f64::from(momentum), f64::from(beta2));
        let old = self.moments.remove(&id);
        let (mean, mean_square) = old.map_or((None, None), |old| (Some(old.mean), old.mean_square));
        let mean = blend(mean, gradient.clone(), beta1);
        let mean_square = blend(mean_square, gradient.clone() * gradient, beta2);
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (correction1, correction2) = (1.0 - beta1.powi(steps), 1.0 - beta2.powi(steps));
        let root = mean_square.clone().sqrt().mul_scalar(1.0 / correction2.sqrt()).add_scalar(epsilon);
        let step = mean.clone().mul_scalar(learning_rate / correction1) / root;
        self.moments.insert(id, Moments { mean, mean_square: Some(mean_square) });
        step
    }

    fn accumulate(&mut self, id: ParamId, gradient: Tensor<1>) -> Tensor<1> {
        let momentum = self.config.momentum;
        let direction = match self.moments.remove(&id) {
            Some(old) => old.mean.mul_scalar(momentum) + gradient,
            None => gradient,
        };
        if momentum > 0.0 {
            self.moments.insert(id, Moments { mean: direction.clone(), mean_square: None });
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
}

impl ModuleMapper for Step<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = param.val().grad_remove(self.gradients) else { return param };
        let id = param.id;
        param.map(|old| {
            let (shape, value) = (old.dims(), old.inner().reshape([-1]));
            let learning_rate = self.rates.of(&self.optimizer.names[&id]);
            let decay = self.optimizer.decay(D > 1);
            let step = StepSize { learning_rate, scale: self.scale.clone(), decay };
            let updated = self.optimizer.update(id, value, gradient.reshape([-1]), step);
            Tensor::from_inner(updated.reshape(shape)).require_grad()
        })
    }
}

/// A parameter taken out of its network, flattened.
struct Taken {
    id: ParamId,
    decays: bool,
    value: Tensor<1>,
    gradient: Tensor<1>,
}

/// Takes the parameters that have gradients out of a network, so that nobody else holds them and they are updated where
/// they lie. Their shapes stay.
struct Take<'a> {
    gradients: &'a mut Gradients,
    taken: Vec<Taken>,
}

impl ModuleMapper for Take<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = param.val().grad_remove(self.gradients) else { return param };
        let id = param.id;
        param.map(|old| {
            let old = old.inner();
            // One value in the shape of many.
            let stand_in = Tensor::<D>::zeros([1; D], &old.device()).expand(old.dims());
            let (value, gradient) = (old.reshape([-1]), gradient.reshape([-1]));
            self.taken.push(Taken { id, decays: D > 1, value, gradient });
            stand_in
        })
    }
}

/// Puts parameters back.
struct Put {
    values: HashMap<ParamId, Tensor<1>>,
}

impl ModuleMapper for Put {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(value) = self.values.remove(&param.id) else { return param };
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
