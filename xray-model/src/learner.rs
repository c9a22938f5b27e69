//! A network with its loss, optimizer and device, behind slices: forward, backward, step, predict, and the
//! state that a checkpoint needs. Nothing that a step needs is read from the device, which may run behind.

use crate::architectures::Network;
use crate::backend::{Backend, DeviceInfo, Opened};
use crate::channels::Channels;
use crate::gpu::{self, Backbone, Images};
use crate::graph;
use crate::import::{explained, names_only};
use crate::initialise::initialise;
use crate::optimizer::steps_of_state;
use crate::records::StepRecord;
use crate::weights::{check_fit, weights_of, with_weights};
use crate::{
    DeviceWork, Error, Import, ImportOptions, Loss, ModelConfig, OptimizerConfig, Pixels, Precision,
    Predictor, Result, StateDict,
};

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
    /// What the factors of convolutions are rounded to in training; a CPU offers [`Precision::F32`] only.
    pub precision: Precision,
    /// Whether a GPU scales the loss, so that small gradients keep within a small range. [`Precision::F16`] needs it and
    /// always does; in others it changes no bit, and a processor does not.
    pub scale_loss: bool,
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
            precision: Precision::F32,
            scale_loss: false,
            average_decay: 0.0,
            label_smoothing: 0.0,
            prevalence: vec![0.5; classes],
        }
    }

    /// What a positive of each label weighs.
    pub(crate) fn positive_weights(&self) -> Vec<f32> {
        self.prevalence.iter().map(|&share| self.loss.positive_weight(share)).collect()
    }
}

/// Images and labels of one step.
#[derive(Clone, Copy, Debug)]
pub struct LabelledImages<'a> {
    /// Gray pixels, `[n, 1, size, size]`, whatever the network's channels.
    pub images: Pixels<'a>,
    /// 0, 1 or NaN for unknown, `[n, classes]`.
    pub labels: &'a [f32],
    /// Width and height.
    pub size: u32,
}

/// A forward pass that awaits its backward pass.
pub struct Pass(Engine<graph::Pass, gpu::Outcome<gpu::Pass>>);

impl Pass {
    /// The batch's mean loss times its weight. Waits for a device that runs behind: training reads
    /// [`Learner::records`] instead.
    ///
    /// # Errors
    /// If the device failed.
    pub fn loss(&self) -> Result<f32> {
        match &self.0 {
            Engine::Graph(pass) => Ok(pass.loss()),
            Engine::Gpu(pass) => Ok(pass.as_ref().map_err(Clone::clone)?.loss()?),
        }
    }

    /// The same pass, whose loss counts so much.
    pub fn weighted(self, weight: f32) -> Self {
        Pass(match self.0 {
            Engine::Graph(pass) => Engine::Graph(pass.weighted(weight)),
            Engine::Gpu(pass) => Engine::Gpu(pass.map(|pass| pass.weighted(weight))),
        })
    }

    /// Logits `[n, classes]` in training mode. Waits for a device that runs behind.
    ///
    /// # Errors
    /// If the device failed.
    pub fn logits(&self) -> Result<Vec<f32>> {
        match &self.0 {
            Engine::Graph(pass) => Ok(pass.logits()),
            Engine::Gpu(pass) => Ok(pass.as_ref().map_err(Clone::clone)?.logits()?),
        }
    }
}

/// What a backward pass found, and the loss that it began with.
pub struct Gradients(Engine<graph::Gradients, gpu::Outcome<gpu::Found>>);

/// By whom something is computed: burn's graph, or the kernels of a GPU, where it may have failed.
enum Engine<G, D> {
    Graph(G),
    Gpu(D),
}

/// A network in training.
pub struct Learner {
    engine: Engine<graph::Trainer, OnGpu>,
    info: DeviceInfo,
    model: ModelConfig,
    backbone_rate: f64,
}

/// A network whose weights lie on a GPU: its own are those that it began with.
struct OnGpu {
    network: Network,
    trainer: gpu::Trainer,
    /// The first failure of a step.
    failed: Option<gpu::Error>,
}

impl Learner {
    /// Steps whose records a device keeps at most: [`Learner::records`] must be asked at least this often.
    pub const MAX_UNREAD: usize = gpu::RING;

    /// A fresh network. The same seed gives the same weights on every device.
    ///
    /// # Errors
    /// If there is no such device, it does not offer the precision, there is no such network, or too little memory.
    pub fn new(config: &LearnerConfig, seed: u64) -> Result<Self> {
        let Opened { device, info, gpu } = config.backend.open()?;
        let asked = config.precision;
        let gpu = match gpu {
            Some(gpu) => Some(gpu::in_precision(gpu, asked, &info.name)?),
            None if asked == Precision::F32 => None,
            None => {
                let offered = vec![Precision::F32];
                return Err(Error::Precision { asked, device: info.name, offered });
            }
        };
        let info = DeviceInfo { precision: asked, ..info };
        let device = if gpu.is_some() { device } else { device.autodiff() };
        let network = Network::new(&config.model, config.prevalence.len(), &device)?;
        let mut weights = weights_of(&network);
        initialise(&mut weights, &network.initialisation(), seed);
        if let Some(bias) = weights.tensors.get_mut(&format!("{}.bias", network.head())) {
            bias.values = config.prevalence.iter().map(|&share| log_odds(share)).collect();
        }
        let network = with_weights(network, &weights)?;
        let engine = match gpu {
            None => Engine::Graph(graph::Trainer::new(network, config, device, info.backend)),
            Some(gpu) => {
                let trainer = gpu::Trainer::new(gpu, &network, &weights, config)?;
                Engine::Gpu(OnGpu { network, trainer, failed: None })
            }
        };
        Ok(Learner { engine, info, model: config.model.clone(), backbone_rate: 1.0 })
    }

    /// Takes up weights that others trained, such as [`read_weights`](crate::read_weights) found. The moving average
    /// begins with them.
    ///
    /// # Errors
    /// If they do not fit, or the device failed.
    pub fn import(&mut self, found: StateDict, options: ImportOptions) -> Result<Import> {
        let fresh = self.current()?;
        let names = names_only(&found);
        let import = Import::new(&fresh, self.network().head(), found, &options)
            .map_err(|error| explained(error, &names, self.model.architecture))?;
        check_fit(self.network(), &import.weights)?;
        self.write(&import.weights, &import.weights)?;
        Ok(import)
    }

    /// The learning rate of all layers but the last, as a part of the last one's, from the next step on. At 0 they are
    /// frozen: they compute as in inference, and neither weights nor batch norm's statistics change.
    pub fn set_backbone_rate(&mut self, factor: f64) {
        self.backbone_rate = factor;
    }

    /// Keeps the weights as they are from now on: losses are asked for, and no gradients.
    pub fn hold(&mut self) {
        if let Engine::Graph(trainer) = &mut self.engine {
            trainer.hold();
        }
    }

    /// The device that was opened.
    pub fn device(&self) -> &DeviceInfo {
        &self.info
    }

    /// What the device was asked to do since the learner was made; `None` where nobody counts.
    pub fn work(&self) -> Option<DeviceWork> {
        match &self.engine {
            Engine::Graph(_) => None,
            Engine::Gpu(OnGpu { trainer, .. }) => Some(trainer.work()),
        }
    }

    /// What a training step of so many images of `size` pixels asks of the device, which does not do it; `None` where
    /// nobody counts.
    ///
    /// # Errors
    /// If the device makes no buffer as long as is needed: says how many images would do.
    pub fn count_step(&self, images: usize, size: u32) -> Result<Option<DeviceWork>> {
        let Engine::Gpu(OnGpu { network, trainer, .. }) = &self.engine else { return Ok(None) };
        let count = |images| trainer.count_step(network, images, size as usize);
        match count(images) {
            Ok(work) => Ok(Some(work)),
            Err(error) => {
                // The most that fit lie between.
                let (mut fits, mut too_many) = (0, images);
                while too_many - fits > 1 {
                    let middle = fits.midpoint(too_many);
                    if count(middle).is_ok() { fits = middle } else { too_many = middle }
                }
                Err(match error.into() {
                    Error::DeviceMemory { reason, .. } => Error::DeviceMemory { reason, fits: Some(fits) },
                    error => error,
                })
            }
        }
    }

    /// The network, whose weights are those of now only where burn has them.
    fn network(&self) -> &Network {
        match &self.engine {
            Engine::Graph(trainer) => trainer.network(),
            Engine::Gpu(OnGpu { network, .. }) => network,
        }
    }

    /// How many weights training adjusts.
    pub fn num_parameters(&self) -> usize {
        let weights = weights_of(self.network());
        let trained = weights.tensors.iter().filter(|(name, _)| !name.contains(".running_"));
        trained.map(|(_, tensor)| tensor.values.len()).sum()
    }

    fn is_frozen(&self) -> bool {
        self.backbone_rate == 0.0
    }

    /// Logits and loss of a batch, in training mode. A failure of the device shows when [`Learner::records`] are read.
    pub fn forward(&self, batch: &LabelledImages<'_>) -> Pass {
        Pass(match &self.engine {
            Engine::Graph(trainer) => Engine::Graph(trainer.forward(batch, self.is_frozen())),
            Engine::Gpu(OnGpu { network, trainer, .. }) => {
                let (size, channels) = (batch.size as usize, Channels::of(&self.model));
                let images = Images { pixels: batch.images, size, channels };
                Engine::Gpu(trainer.forward(network, &images, batch.labels, self.is_frozen()))
            }
        })
    }

    /// Gradients of the loss by every parameter.
    pub fn backward(&self, pass: Pass) -> Gradients {
        Gradients(match (&self.engine, pass.0) {
            (Engine::Graph(trainer), Engine::Graph(pass)) => Engine::Graph(trainer.backward(pass)),
            (Engine::Gpu(OnGpu { trainer, .. }), Engine::Gpu(pass)) => {
                Engine::Gpu(pass.and_then(|pass| trainer.backward(pass)))
            }
            _ => unreachable!("{ANOTHER_DEVICE}"),
        })
    }

    /// The sum of two passes' gradients, and of their losses.
    pub fn add(&self, sum: Gradients, more: Gradients) -> Gradients {
        Gradients(match (&self.engine, sum.0, more.0) {
            (Engine::Graph(trainer), Engine::Graph(sum), Engine::Graph(more)) => {
                Engine::Graph(trainer.add(sum, more))
            }
            (Engine::Gpu(OnGpu { trainer, .. }), Engine::Gpu(sum), Engine::Gpu(more)) => {
                Engine::Gpu(sum.and_then(|sum| Ok(trainer.add(sum, more?))))
            }
            _ => unreachable!("{ANOTHER_DEVICE}"),
        })
    }

    /// One optimizer step, of which [`Learner::records`] tells. A step whose loss or gradients are not finite changes
    /// nothing, nor does any after it on a device that runs behind.
    pub fn step(&mut self, gradients: Gradients, learning_rate: f64) {
        let backbone_rate = learning_rate * self.backbone_rate;
        let backbone = if self.is_frozen() { Backbone::Frozen } else { Backbone::Rate(backbone_rate) };
        match (&mut self.engine, gradients.0) {
            (Engine::Graph(trainer), Engine::Graph(gradients)) => {
                trainer.step(gradients, [backbone_rate, learning_rate]);
            }
            (Engine::Gpu(OnGpu { trainer, failed, .. }), Engine::Gpu(gradients)) => {
                let stepped = gradients.and_then(|found| trainer.step(found, learning_rate, backbone));
                if let Err(error) = stepped {
                    failed.get_or_insert(error);
                }
            }
            _ => unreachable!("{ANOTHER_DEVICE}"),
        }
    }

    /// Loss and gradient norm of each step since the last call, oldest first. Waits for a device that runs behind.
    ///
    /// # Errors
    /// What the device reports of anything since the last read.
    pub fn records(&mut self) -> Result<Vec<StepRecord>> {
        match &mut self.engine {
            Engine::Graph(trainer) => trainer.records(),
            Engine::Gpu(OnGpu { trainer, failed, .. }) => match failed.take() {
                Some(error) => Err(error.into()),
                None => Ok(trainer.records()?),
            },
        }
    }

    /// Whether steps return before the device has taken them, so that [`Learner::records`] waits for it: a GPU. The CPU
    /// has taken a step when [`Learner::step`] returns.
    pub fn runs_behind(&self) -> bool {
        self.info.backend.runs_behind()
    }

    /// Logits `[n, classes]` of normalised images `[n, 1, size, size]`, in inference mode, with the averaged
    /// weights where an average is kept.
    ///
    /// # Errors
    /// If the device failed.
    pub fn predict(&self, images: &[f32], size: u32) -> Result<Vec<f32>> {
        self.predictor()?.predict(images, size)
    }

    /// A copy for evaluation, with the averaged weights where an average is kept. It computes in float32 whatever
    /// training does, as those will that are given the weights.
    ///
    /// # Errors
    /// If the device failed.
    pub fn predictor(&self) -> Result<Predictor> {
        self.predictor_by(gpu::Trainer::predictor)
    }

    /// The same in the precision of training.
    ///
    /// # Errors
    /// If the device failed.
    pub fn predictor_as_trained(&self) -> Result<Predictor> {
        self.predictor_by(gpu::Trainer::predictor_as_trained)
    }

    fn predictor_by(
        &self,
        of_trainer: fn(&gpu::Trainer, Network, &ModelConfig) -> Result<Predictor>,
    ) -> Result<Predictor> {
        match &self.engine {
            Engine::Graph(trainer) => {
                let network = trainer.evaluated(trainer.average())?;
                Ok(Predictor::on_graph(network, trainer.device().inner(), self.info.backend, &self.model))
            }
            Engine::Gpu(OnGpu { network, trainer, .. }) => {
                let network = with_weights(network.clone(), &self.weights()?)?;
                of_trainer(trainer, network, &self.model)
            }
        }
    }

    /// The weights as they are now, without any average.
    fn current(&self) -> Result<StateDict> {
        match &self.engine {
            Engine::Graph(trainer) => Ok(trainer.weights()),
            Engine::Gpu(OnGpu { trainer, .. }) => Ok(trainer.weights()?),
        }
    }

    fn average(&self) -> Result<Option<StateDict>> {
        match &self.engine {
            Engine::Graph(trainer) => Ok(trainer.average().cloned()),
            Engine::Gpu(OnGpu { trainer, .. }) => Ok(trainer.average()?),
        }
    }

    /// The weights to keep: the averaged ones where an average is kept.
    ///
    /// # Errors
    /// If the device failed.
    pub fn weights(&self) -> Result<StateDict> {
        match self.average()? {
            Some(average) => Ok(average),
            None => self.current(),
        }
    }

    /// All that training needs to go on: weights, optimizer, average.
    ///
    /// # Errors
    /// If the device failed.
    pub fn state(&self) -> Result<StateDict> {
        let mut state = StateDict::default();
        state.extend_prefixed(NETWORK, self.current()?);
        state.extend_prefixed(
            OPTIMIZER,
            match &self.engine {
                Engine::Graph(trainer) => trainer.optimizer_state(),
                Engine::Gpu(OnGpu { trainer, .. }) => trainer.optimizer_state()?,
            },
        );
        if let Some(average) = self.average()? {
            state.extend_prefixed(AVERAGE, average);
        }
        Ok(state)
    }

    /// Takes up what [`Learner::state`] gave after `steps` steps.
    ///
    /// # Errors
    /// If it does not fit, or the device failed.
    pub fn restore(&mut self, state: &StateDict, steps: u64) -> Result<()> {
        let weights = state.with_prefix(NETWORK);
        weights.check_finite()?;
        check_fit(self.network(), &weights)?;
        let average = state.with_prefix(AVERAGE);
        if self.average()?.is_some() {
            check_fit(self.network(), &average)?;
        }
        let optimizer = state.with_prefix(OPTIMIZER);
        match &mut self.engine {
            Engine::Graph(trainer) => trainer.restore_optimizer(&optimizer, steps)?,
            Engine::Gpu(OnGpu { trainer, .. }) => trainer.restore_optimizer(&optimizer)?,
        }
        self.write(&weights, &average)
    }

    /// Begins with the weights and the optimizer's state of what [`Learner::state`] gave in another run, before any step of
    /// this one. The moving average goes on from that run's, or begins with its weights where it kept none.
    ///
    /// # Errors
    /// If it does not fit, or the device failed.
    pub fn begin_with(&mut self, mut state: StateDict) -> Result<()> {
        if state.with_prefix(AVERAGE).tensors.is_empty() {
            let weights = state.with_prefix(NETWORK);
            state.extend_prefixed(AVERAGE, weights);
        }
        // The average's decay grows with the steps that it has seen.
        let steps = steps_of_state(&state.with_prefix(OPTIMIZER))?;
        self.restore(&state, steps)
    }

    /// Gives the network weights that were seen to fit, and the moving average where one is kept.
    fn write(&mut self, weights: &StateDict, average: &StateDict) -> Result<()> {
        match &mut self.engine {
            Engine::Graph(trainer) => trainer.write(weights, average),
            Engine::Gpu(OnGpu { trainer, .. }) => Ok(trainer.write(weights, average)?),
        }
    }
}

const NETWORK: &str = "network.";
const OPTIMIZER: &str = "optimizer.";
const AVERAGE: &str = "average.";

const ANOTHER_DEVICE: &str = "what a learner made comes back to it";

/// ln(p / (1 − p)), held within ±log-odds of 1 in 10,000 for labels that never or always occur.
fn log_odds(prevalence: f64) -> f32 {
    let p = prevalence.clamp(1e-4, 1.0 - 1e-4);
    (p / (1.0 - p)).ln() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a pass records is kept until a backward pass, so that passes without one would fill the memory.
    #[test]
    fn what_is_held_records_nothing_and_has_the_same_losses() {
        let mut learner = Learner::new(&LearnerConfig::new(2), 0).expect("a small network");
        let (images, labels) = (vec![0.3_f32; 2 * 32 * 32], [1.0_f32, 0.0, 0.0, 1.0]);
        let look = |learner: &Learner| {
            let batch = LabelledImages { images: images.as_slice().into(), labels: &labels, size: 32 };
            let pass = learner.forward(&batch);
            let Engine::Graph(on_cpu) = &pass.0 else { unreachable!("a learner on the CPU") };
            (on_cpu.is_recorded(), pass.loss().expect("a number"))
        };
        let (recorded, loss) = look(&learner);
        learner.hold();
        let (still_recorded, held) = look(&learner);
        assert_eq!((recorded, still_recorded, held.to_bits()), (true, false, loss.to_bits()));
    }
}
