//! What can go wrong with a model, a weights file or a device.

use crate::{Architecture, Precision};
use std::path::PathBuf;
use xray_artifacts::{Exit, Failure, FileError, one_line};
use xray_kernels::{ContextError, IsaError};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A backend that this build was compiled without.
    #[error("backend `{name}` is not part of this build")]
    BackendAbsent {
        /// The name asked for.
        name: &'static str,
    },
    /// A backend without a device on this machine.
    #[error("backend `{name}` finds no device: {reason}")]
    NoDevice {
        /// The name asked for.
        name: &'static str,
        /// What the driver said.
        reason: String,
    },
    /// A device that does not multiply in the precision asked for.
    #[error("{device} does not offer precision {asked}")]
    Precision {
        /// What was asked for.
        asked: Precision,
        /// The device's name.
        device: String,
        /// What it offers, the most exact first.
        offered: Vec<Precision>,
    },
    /// A checkpoint whose loss is scaled by what no loss is scaled by.
    #[error("the state of the loss scale is invalid: factor {}, {} steps, {} skipped", numbers[0], numbers[1], numbers[2])]
    LossScale {
        /// The factor, the steps since it changed, and the steps that were skipped.
        numbers: [f32; 3],
    },
    /// Instructions or convolutions that an environment variable names and that are not to be had.
    #[error(transparent)]
    Kernels(#[from] ContextError),
    /// A configuration that describes no network.
    #[error("model.{key} is {value}, it must be {expected}")]
    Config {
        /// The key below `model`.
        key: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// Weights without a tensor that the network has.
    #[error("tensor `{name}` is missing from the weights")]
    MissingTensor {
        /// The tensor.
        name: String,
    },
    /// Ranges of activations of another network.
    #[error("the weights come with {found} ranges of activations, this network has {expected}")]
    ActivationRanges {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A range of activations that bytes cannot reach over.
    #[error("range {number} of activations is {low} to {high}, not two finite numbers around zero")]
    ActivationRange {
        /// Which, from 0.
        number: usize,
        /// The lowest value.
        low: f32,
        /// The highest.
        high: f32,
    },
    /// Weights with a tensor that the network does not have.
    #[error("tensor `{name}` of the weights has no place in this network")]
    UnknownTensor {
        /// The tensor.
        name: String,
    },
    /// A tensor of another shape.
    #[error("tensor `{name}` has shape {found:?}, this network needs {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// In the file.
        found: Vec<usize>,
        /// In the network.
        expected: Vec<usize>,
    },
    /// A last layer of other classes.
    #[error("the weights end in {} classes (`{name}`), this network in {}", found.first().unwrap_or(&0), expected.first().unwrap_or(&0))]
    Head {
        /// The tensor.
        name: String,
        /// In the file.
        found: Vec<usize>,
        /// In the network.
        expected: Vec<usize>,
    },
    /// A first layer for other images.
    #[error("the weights take images of {found} channel{}, but {expected} are set", if *found == 1 { "" } else { "s" })]
    Channels {
        /// In the file.
        found: usize,
        /// What was asked for.
        expected: usize,
    },
    /// An operating point where "positive" cannot begin.
    #[error("op_threshs holds {value}, which is not a probability between 0 and 1")]
    OperatingPoint {
        /// What stands there.
        value: f32,
    },
    /// Weights without a last layer.
    #[error("the weights have no last layer, `{name}`")]
    NoHead {
        /// The network's layer.
        name: String,
    },
    /// Weights that end in more layers than the network.
    #[error("the weights end in several layers (`{}`), this network in one", layers.join("`, `"))]
    HeadLayers {
        /// As the file names them.
        layers: Vec<String>,
        /// All of their tensors.
        tensors: Vec<String>,
    },
    /// Weights of several networks.
    #[error("the weights hold several networks: `{}`", parts.join("`, `"))]
    Parts {
        /// What stands before their tensors' names.
        parts: Vec<String>,
    },
    /// Weights without the network that was asked for.
    #[error("the weights hold no network `{part}`, but `{}`", parts.join("`, `"))]
    NoPart {
        /// What was asked for.
        part: String,
        /// What there is.
        parts: Vec<String>,
    },
    /// Weights with two tensors for one of the network's.
    #[error("the weights hold `{name}` twice, with different values")]
    Twice {
        /// The network's name.
        name: String,
    },
    /// Weights that are not numbers.
    #[error("tensor `{name}` holds values that are NaN or infinite")]
    NotFinite {
        /// The tensor.
        name: String,
    },
    /// Weights that are numbers, whose sums and products are not.
    #[error("the network's scores of a test picture are not finite numbers: its weights are too large")]
    Overflow,
    /// Weights of which no tensor has a counterpart.
    #[error("none of the weights has a place in this network")]
    NothingFits,
    /// Weights that have the names of another network's.
    #[error("{problem}: the weights are those of {}", architecture.name())]
    OtherNetwork {
        /// Whose they are.
        architecture: Architecture,
        /// What did not fit.
        problem: Box<Error>,
    },
    /// A file that holds no weights, or is damaged.
    #[error("{path} is not a readable weights file: {reason}", path = path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// A file that is not a safetensors file, or is cut off.
    #[error("{path} is not a readable safetensors file", path = path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: safetensors::SafeTensorError,
    },
    /// A tensor of a type that is not read here.
    #[error("{path}: tensor `{name}` is {dtype}, only F32 is read", path = path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The type found.
        dtype: String,
    },
    /// A device without the memory for what it was given.
    #[error("the device has too little memory: {reason}")]
    DeviceMemory {
        /// What its driver said, or what is too large for it.
        reason: String,
        /// The most images at once that would do, where that is known.
        fits: Option<usize>,
    },
    /// A device that was lost, or that cannot run a kernel.
    #[error("the device failed: {reason}")]
    Device {
        /// What its driver said.
        reason: String,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::BackendAbsent { name: "wgpu" } => Some(
                "use --backend cpu, or put xray-train-gpu beside xray-train (`cargo xtask build --gpu` makes it)".into(),
            ),
            Error::BackendAbsent { name } => {
                Some(format!("use --backend cpu, or build xray-train with the feature `{name}`"))
            }
            Error::NoDevice { .. } => {
                Some("use --backend cpu, install the GPU's Vulkan driver, or name another GPU: XRAY_GPU=0".into())
            }
            Error::Precision { offered, .. } => {
                let names: Vec<_> = offered.iter().map(|precision| precision.name()).collect();
                Some(format!("it offers {}; name that by --precision, or take another device", names.join(", ")))
            }
            Error::LossScale { .. } => Some("the checkpoint is damaged: start over with --overwrite".into()),
            Error::OtherNetwork { architecture, .. } => {
                Some(format!("train that network: --model {}", architecture.name()))
            }
            Error::Head { .. } | Error::NoHead { .. } | Error::HeadLayers { .. } => {
                Some("start with a new last layer: --init-head replace".into())
            }
            Error::Parts { parts } | Error::NoPart { parts, .. } => {
                let first = parts.first().map_or("NAME", String::as_str);
                Some(format!("choose one, such as --init-part {first}"))
            }
            Error::Channels { found, .. } => Some(format!("set --channels {found}")),
            Error::OperatingPoint { .. } => Some("leave `op_threshs` out of the file, or correct it".into()),
            Error::Twice { .. } => Some("leave one of the two names out of the file".into()),
            Error::Weights { .. } => {
                Some("safetensors files and files that `torch.save` wrote are read".into())
            }
            Error::MissingTensor { .. }
            | Error::UnknownTensor { .. }
            | Error::ActivationRanges { .. }
            | Error::Shape { .. }
            | Error::NothingFits => {
                Some("the weights belong to another architecture, width or label set".into())
            }
            Error::Safetensors { .. } => {
                Some("the file was cut off or is of another kind; copy it again".into())
            }
            Error::NotFinite { .. } | Error::Overflow | Error::ActivationRange { .. } => {
                Some("these weights diverged or the file is damaged; take an earlier one, or copy it again".into())
            }
            Error::Dtype { .. } => Some("convert the tensor to float32 first".into()),
            Error::DeviceMemory { fits: Some(fits), .. } => {
                Some(format!("a batch of {fits} would fit, or training.micro_batch = {fits}"))
            }
            Error::DeviceMemory { .. } => Some("give it fewer images at once, or smaller ones".into()),
            Error::Device { .. } => Some(
                "the same command continues from the last checkpoint; if it fails again, use --backend cpu".into(),
            ),
            Error::File(error) => error.hint().map(str::to_owned),
            Error::Kernels(_) => {
                Some("leave the variable out: the best that this processor has is chosen".into())
            }
            Error::Config { .. } => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Error::BackendAbsent { .. }
            | Error::NoDevice { .. }
            | Error::Precision { .. }
            | Error::DeviceMemory { .. }
            | Error::Device { .. } => Exit::CannotRunHere,
            Error::Kernels(ContextError::Isa(IsaError::Missing { .. })) => Exit::CannotRunHere,
            Error::Config { .. } | Error::Kernels(_) => Exit::Usage,
            Error::File(FileError::Seal { .. }) => Exit::ModelMismatch,
            Error::File(_) => Exit::Unexpected,
            _ => Exit::ModelMismatch,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Failure::new(error.exit(), one_line(&error));
        failure.hint = error.hint();
        failure
    }
}
