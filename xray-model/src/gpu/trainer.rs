//! A network in training on a device: what lies there, and the steps.

use super::given::{Backbone, Images, RING};
use super::head::Logits;
use super::layout::Layout;
use super::maps::GpuMaps;
use super::objective::Objective;
use super::run::Run;
use super::store::{Gradients, Store};
use super::view::View;
use crate::architectures::Network;
use crate::optimizer::{MEAN, MEAN_SQUARE, steps_as_state, steps_of_state};
use crate::records::StepRecord;
use crate::weights::weights_of;
use crate::{
    Algorithm, DeviceWork, HostTensor, LearnerConfig, ModelConfig, OptimizerConfig, Predictor, StateDict,
};
use std::sync::{Arc, Mutex, PoisonError};
use xray_gpu::{
    Buffer, Counts, Error, Gpu, LossScale, MapShape, Parameters, Part, Precision, Rule, Update, Watch, add,
    blend, images_from_bytes_pass,
};

/// Everything of a network in training.
pub(crate) struct Trainer {
    /// In the precision of training.
    gpu: Arc<Gpu>,
    /// The same device in float32.
    exact: Arc<Gpu>,
    store: Store,
    config: LearnerConfig,
    objective: Arc<Objective>,
    /// Which parameters are the last layer's, and which decay.
    marks: Buffer,
    means: Buffer,
    squares: Buffer,
    average: Option<Average>,
    watch: Watch,
    steps: u64,
    /// Steps whose records were handed out or lie in `kept`.
    read: u64,
    kept: Vec<StepRecord>,
    /// Gradients that may be written again; what lies between tensors is zero.
    spare: Mutex<Vec<Buffer>>,
}

/// The weights' moving average.
struct Average {
    decay: f32,
    store: Store,
}

/// A forward pass.
pub(crate) struct Pass {
    logits: Logits,
    labels: Buffer,
    objective: Arc<Objective>,
    share: f32,
}

/// What a backward pass left: a gradient for each learned float, and the loss.
pub(crate) struct Found(Buffer);

impl Trainer {
    pub(crate) fn new(
        gpu: Arc<Gpu>,
        network: &Network,
        weights: &StateDict,
        config: &LearnerConfig,
    ) -> Result<Self, Error> {
        let is_scaled = config.scale_loss || gpu.precision() == Precision::F16;
        let scale = is_scaled.then(LossScale::default);
        let exact = match gpu.precision() {
            Precision::F32 => gpu.clone(),
            _ => Arc::new(gpu.with_precision(Precision::F32)?),
        };
        let layout = Arc::new(Layout::of(network));
        let store = Store::new(&gpu, layout.clone(), weights)?;
        let zeros = || Buffer::of(&gpu, &vec![0.0; layout.learned]);
        let decay = config.average_decay;
        let average = (decay > 0.0).then(|| Store::new(&gpu, layout.clone(), weights)).transpose()?;
        Ok(Trainer {
            config: config.clone(),
            objective: Arc::new(Objective::new(&gpu, config)?),
            marks: Buffer::of(&gpu, &layout.marks())?,
            means: zeros()?,
            squares: zeros()?,
            average: average.map(|store| Average { decay, store }),
            watch: watch(&gpu, scale)?,
            steps: 0,
            read: 0,
            kept: Vec::new(),
            spare: Mutex::default(),
            store,
            exact,
            gpu,
        })
    }

    /// What a step of so many images of so many pixels asks of the device, which does not do it.
    ///
    /// # Errors
    /// If the device makes no buffer as long as is needed.
    pub(crate) fn count_step(
        &self,
        network: &Network,
        images: usize,
        size: usize,
    ) -> Result<DeviceWork, Error> {
        let LearnerConfig { model, prevalence, .. } = &self.config;
        let gpu = Arc::new(self.gpu.counting());
        let mut counting = Trainer::new(gpu.clone(), network, &weights_of(network), &self.config)?;
        let before = counting.work();
        let shape = MapShape { images, height: size, width: size, channels: model.channels };
        let labels = Buffer::empty(&gpu, images * prevalence.len())?;
        // Training sends bytes.
        gpu.count(&images_from_bytes_pass(shape));
        let pass = counting.pass(network, View::empty(&gpu, shape)?, labels, false)?;
        let found = counting.backward(pass)?;
        counting.step(found, 0.0, Backbone::Rate(0.0))?;
        Ok(counting.work().since(before))
    }

    /// Normalised gray images `[n, 1, size, size]` to logits, by this network with these weights.
    pub(crate) fn forward(
        &self,
        network: &Network,
        images: &Images<'_>,
        labels: &[f32],
        is_frozen: bool,
    ) -> Result<Pass, Error> {
        self.pass(network, images.view(&self.gpu)?, Buffer::of(&self.gpu, labels)?, is_frozen)
    }

    fn pass(&self, network: &Network, images: View, labels: Buffer, is_frozen: bool) -> Result<Pass, Error> {
        let (gpu, store) = (self.gpu.clone(), self.store.clone());
        let run = if is_frozen { Run::inference(gpu, store) } else { Run::training(gpu, store) };
        let logits = Logits::of(network, GpuMaps::images(Arc::new(run), images))?;
        Ok(Pass { logits, labels, objective: self.objective.clone(), share: 1.0 })
    }

    /// Gradients of everything that is learned.
    pub(crate) fn backward(&self, pass: Pass) -> Result<Found, Error> {
        // A frozen backbone leaves none: what an earlier step left there must not count.
        let spare = if pass.logits.run.learns() { self.spare().pop() } else { None };
        let gradients = match spare {
            Some(buffer) => buffer,
            None => Buffer::of(&self.gpu, &vec![0.0; self.store.layout.learned + 1])?,
        };
        let grad_logits = Buffer::empty(&self.gpu, pass.labels.len())?;
        pass.write_loss(gradients.part(self.store.layout.learned, 1), &grad_logits);
        self.watch.scale_gradient(&self.gpu, grad_logits.whole());
        let logits = pass.logits;
        let run = logits.run.clone();
        let found = Gradients { layout: &self.store.layout, buffer: &gradients };
        let back = run.way_back(found);
        logits.back(&back, grad_logits.whole())?;
        run.go_back(&back)?;
        Ok(Found(gradients))
    }

    /// The sum of two passes' gradients and losses.
    pub(crate) fn add(&self, sum: Found, more: Found) -> Found {
        add(&self.gpu, sum.0.whole(), more.0.whole());
        self.spare().push(more.0);
        sum
    }

    /// One step of the optimizer at a learning rate for the last layer and one for all others, unless they are frozen.
    pub(crate) fn step(
        &mut self,
        Found(gradients): Found,
        head_rate: f64,
        backbone: Backbone,
    ) -> Result<(), Error> {
        let learned = self.store.layout.learned;
        if self.steps - self.read == RING as u64 {
            self.keep_records()?;
        }
        self.steps += 1;
        let OptimizerConfig { algorithm, momentum, beta2, epsilon, weight_decay, clip_norm } =
            self.config.optimizer;
        let (all, loss) = (gradients.part(0, learned), gradients.part(learned, 1));
        self.watch.judge(&self.gpu, all, loss, self.steps, clip_norm)?;
        let (backbone, frozen) = match backbone {
            Backbone::Frozen => (0.0, true),
            Backbone::Rate(rate) => (rate, false),
        };
        let update = Update {
            rule: match algorithm {
                Algorithm::Adam => Rule::Adam,
                Algorithm::AdamW => Rule::AdamW,
                Algorithm::Sgd => Rule::Sgd,
            },
            step: self.steps,
            learning_rates: [backbone, head_rate],
            frozen,
            momentum: f64::from(momentum),
            beta2: f64::from(beta2),
            epsilon: f64::from(epsilon),
            weight_decay: f64::from(weight_decay),
        };
        let parameters = Parameters {
            values: &self.store.learned,
            gradients: &gradients,
            means: &self.means,
            squares: &self.squares,
            marks: &self.marks,
        };
        update.apply(&self.gpu, parameters, &self.watch);
        if let Some(Average { decay, store }) = &self.average {
            let kept = crate::average::kept(*decay, self.steps);
            blend(&self.gpu, store.learned.whole(), self.store.learned.whole(), kept);
            blend(&self.gpu, store.running.whole(), self.store.running.whole(), kept);
        }
        self.spare().push(gradients);
        Ok(())
    }

    /// Of all steps since the last call; waits for the device.
    pub(crate) fn records(&mut self) -> Result<Vec<StepRecord>, Error> {
        self.keep_records()?;
        Ok(std::mem::take(&mut self.kept))
    }

    /// What the device was asked to do since it was given to this trainer.
    pub(crate) fn work(&self) -> DeviceWork {
        let work = |gpu: &Gpu| {
            let Counts { launches, work_groups, multiply_adds, bytes, reads } = gpu.counts();
            DeviceWork { launches, work_groups, multiply_adds, bytes, reads }
        };
        let training = work(&self.gpu);
        if Arc::ptr_eq(&self.gpu, &self.exact) { training } else { training.and(work(&self.exact)) }
    }

    /// A network with the weights that it has now, on the same device in float32.
    pub(crate) fn predictor(&self, network: Network, model: &ModelConfig) -> crate::Result<Predictor> {
        Predictor::on_gpu(network, self.exact.clone(), model)
    }

    /// The same in the precision of training.
    pub(crate) fn predictor_as_trained(
        &self,
        network: Network,
        model: &ModelConfig,
    ) -> crate::Result<Predictor> {
        Predictor::on_gpu(network, self.gpu.clone(), model)
    }

    fn keep_records(&mut self) -> Result<(), Error> {
        let count = (self.steps - self.read) as usize;
        if count > 0 {
            let records = self.watch.records(&self.gpu, self.steps + 1, count)?.into_iter();
            self.kept.extend(records.map(|record| StepRecord {
                loss: record.loss,
                gradient_norm: record.norm,
                skipped_at: record.skipped.then_some(record.scale),
            }));
            self.read = self.steps;
        }
        Ok(())
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Buffer>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn watch(gpu: &Gpu, scale: Option<LossScale>) -> Result<Watch, Error> {
    match scale {
        Some(scale) => Watch::scaled(gpu, RING, scale),
        None => Watch::new(gpu, RING),
    }
}

/// Among what the optimizer keeps: the factor of a scaled loss, the steps since it changed, and those that were skipped.
const LOSS_SCALE: &str = "loss_scale";

fn loss_scale(state: &StateDict) -> crate::Result<LossScale> {
    let missing = || crate::Error::MissingTensor { name: LOSS_SCALE.to_owned() };
    let tensor = state.tensors.get(LOSS_SCALE).ok_or_else(missing)?;
    let numbers = <[f32; 3]>::try_from(tensor.values.as_slice()).map_err(|_| missing())?;
    LossScale::new(numbers).ok_or(crate::Error::LossScale { numbers })
}

/// Everything that a checkpoint holds.
impl Trainer {
    /// The weights as they are now; waits for the device.
    pub(crate) fn weights(&self) -> Result<StateDict, Error> {
        self.store.read(&self.gpu)
    }

    /// Their moving average, if one is kept.
    pub(crate) fn average(&self) -> Result<Option<StateDict>, Error> {
        self.average.as_ref().map(|average| average.store.read(&self.gpu)).transpose()
    }

    /// What the optimizer keeps; waits for the device.
    pub(crate) fn optimizer_state(&self) -> Result<StateDict, Error> {
        let mut state = steps_as_state(self.steps);
        let kept = match self.config.optimizer {
            OptimizerConfig { algorithm: Algorithm::Sgd, momentum: 0.0, .. } => &[][..],
            OptimizerConfig { algorithm: Algorithm::Sgd, .. } => &[(MEAN, &self.means)],
            _ => &[(MEAN, &self.means), (MEAN_SQUARE, &self.squares)],
        };
        for (prefix, buffer) in kept {
            let flat = buffer.read(&self.gpu)?;
            let moments = self.store.layout.moments(&flat);
            state.tensors.extend(moments.map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
        }
        if self.watch.is_scaled() {
            let numbers = self.watch.loss_scale(&self.gpu)?.numbers();
            let scale = HostTensor { shape: vec![numbers.len()], values: numbers.to_vec() };
            state.tensors.insert(LOSS_SCALE.to_owned(), scale);
        }
        Ok(state)
    }

    /// Takes up what the optimizer kept. Zeros stand for what it did not keep.
    pub(crate) fn restore_optimizer(&mut self, state: &StateDict) -> crate::Result<()> {
        if self.watch.is_scaled() {
            self.watch = watch(&self.gpu, Some(loss_scale(state)?))?;
        }
        self.steps = steps_of_state(state)?;
        self.read = self.steps;
        let moments = |prefix| self.store.layout.pack_moments(&state.with_prefix(prefix));
        self.means = Buffer::of(&self.gpu, &moments(MEAN))?;
        self.squares = Buffer::of(&self.gpu, &moments(MEAN_SQUARE))?;
        Ok(())
    }

    /// Takes up weights that fit; the moving average begins with them, if no other is given.
    pub(crate) fn write(&mut self, weights: &StateDict, average: &StateDict) -> Result<(), Error> {
        let layout = self.store.layout.clone();
        self.store = Store::new(&self.gpu, layout.clone(), weights)?;
        if let Some(kept) = &mut self.average {
            kept.store = Store::new(&self.gpu, layout, average)?;
        }
        Ok(())
    }
}

impl Pass {
    /// The same, whose loss counts so much.
    pub(crate) fn weighted(self, share: f32) -> Self {
        Pass { share: self.share * share, ..self }
    }

    fn write_loss(&self, loss: Part<'_>, grad_logits: &Buffer) {
        let (logits, labels) = (self.logits.values.whole(), self.labels.whole());
        self.objective.write(&self.logits.run.gpu, [logits, labels], self.share, loss, grad_logits.whole());
    }

    /// Logits `[n, classes]`; waits for the device.
    pub(crate) fn logits(&self) -> Result<Vec<f32>, Error> {
        self.logits.read()
    }

    /// The loss; waits for the device.
    pub(crate) fn loss(&self) -> Result<f32, Error> {
        let gpu = &self.logits.run.gpu;
        let (loss, grad_logits) = (Buffer::empty(gpu, 1)?, Buffer::empty(gpu, self.labels.len())?);
        self.write_loss(loss.whole(), &grad_logits);
        Ok(loss.read(gpu)?[0])
    }
}
